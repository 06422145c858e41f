"""Files that are not DICOM: slides, NIfTI volumes and pictures, each with a sidecar.

What a file is, its content says; its name only matters where the content contradicts it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from blake3 import blake3
from pydicom import Dataset, FileDataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RawDataStorage

from aurelius_catalog.errors import NotDeidentifiable
from aurelius_deidentify.media_types import DICOM, NIFTI
from aurelius_deidentify.pixels import shows_face
from aurelius_deidentify.slides import SlidePlan, plan_slide
from aurelius_deidentify.slides.dicom_slides import SLIDE_CLASS
from aurelius_intake.foreign.nifti import NiftiPlan, plan_nifti
from aurelius_intake.foreign.pictures import is_picture, to_dicom
from aurelius_intake.foreign.sidecar import Sidecar, describe, find_sidecar, read_sidecar

NAMESPACE = uuid.UUID("6f1f3f0e-8f5b-5d0c-9d53-0f7f3a0c51aa")
#: Ends of names that promise one of these formats.
SUFFIXES = (".svs", ".ndpi", ".mrxs", ".nii", ".nii.gz", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
BROKEN = "Named like a slide, a picture or a NIfTI volume, but its content is none. Export it anew."


@dataclass(frozen=True)
class ForeignFile:
    """A file that is no DICOM, understood, and said whose it is.

    Parameters
    ----------
    path
        The file that stands for it.
    files
        Everything that belongs to it: the file itself first, then its sidecar and the folder of an MRXS.
    media_type
        Of what the catalog will hold.
    header
        What a DICOM header would say, identified; UIDs it does not have are made of its content, so that the same
        content has the same ones.
    evidence
        Identifying texts found inside of it, none of which may be found in what is stored.
    project
        The project its study belongs to whatever the rules say; None if only they decide.
    flags
        What a steward should look at although it is stored: ``face`` for a head a face could be drawn from.
    """

    path: Path
    files: tuple[Path, ...]
    media_type: str
    header: FileDataset
    evidence: frozenset[str]
    project: str | None
    flags: frozenset[str] = frozenset()
    _write: Callable[[Path], None] | None = None

    def write_clean(self, target: Path) -> None:
        """Write the clean copy, always a single file.

        Raises
        ------
        NotDeidentifiable
            If it cannot be cleaned with certainty.
        """
        if self._write is None:
            raise TypeError("a picture is stored as DICOM: take to_dicom()")
        self._write(target)

    def to_dicom(self) -> bytes | None:
        """Return a picture as an identified Part 10 file; None for slides and NIfTI, which stay what they are.

        Raises
        ------
        NotDeidentifiable
            If the picture is damaged, too large, or of a kind that DICOM has no place for.
        """
        return to_dicom(self.path, self.header) if self.media_type == DICOM else None

    def stub(self) -> bytes:
        """Return the header alone as a Part 10 file, to be de-identified like any other."""
        file = BytesIO()
        dcmwrite(file, self.header, enforce_file_format=True)
        return file.getvalue()


def read_foreign(path: Path, projects: Collection[str] = ()) -> ForeignFile | None:
    """Understand a file that is no DICOM; None if it is DICOM, or nothing that is known here.

    Parameters
    ----------
    path
        The file that stands for the object, see `find_principal`.
    projects
        Names of the projects there are.

    Raises
    ------
    NotDeidentifiable
        If it is damaged, cannot be cleaned, or nothing says whose it is; the message says what to do.
    """
    with path.open("rb") as file:
        head = file.read(132)
    if head[128:] == b"DICM":
        return None
    slide = plan_slide(path)
    if slide is not None:
        return _read_slide(slide, projects)
    nifti = plan_nifti(path)
    if nifti is not None:
        sidecar = read_sidecar(path, "MR", needs_project=True)
        header = _make_header(path, sidecar, RawDataStorage, sidecar.Modality)
        project = _check_project(sidecar, projects)
        flags = frozenset({"face"} if shows_face([_describe_volume(sidecar, nifti)]) else ())
        return ForeignFile(path, _list_files(path), NIFTI, header, nifti.evidence, project, flags, nifti.write)
    if is_picture(head):
        sidecar = read_sidecar(path, "XC")
        header = _make_header(path, sidecar, "", sidecar.Modality or "OT")
        return ForeignFile(path, _list_files(path), DICOM, header, frozenset(), _check_project(sidecar, projects))
    if path.name.lower().endswith(SUFFIXES):
        raise NotDeidentifiable(BROKEN)
    return None


def find_principal(path: Path) -> Path:
    """Return the file that a file belongs to: the picture of a sidecar, the ``.mrxs`` of its folder, or itself."""
    for folder in path.parents[:-1]:  # the root has no name
        for suffix in (".mrxs", ".MRXS"):
            if (principal := folder.with_name(folder.name + suffix)).is_file():
                return principal
    if path.suffix.lower() != ".json":
        return path
    bare = path.with_suffix("")
    named = [bare, *(bare.with_name(bare.name + form) for suffix in SUFFIXES for form in (suffix, suffix.upper()))]
    return next((each for each in named if each.is_file() and each.name.lower().endswith(SUFFIXES)), path)


def _read_slide(slide: SlidePlan, projects: Collection[str]) -> ForeignFile:
    sidecar = read_sidecar(slide.path, "SM")
    header = _make_header(slide.path, sidecar, SLIDE_CLASS, "SM")
    header.Manufacturer = slide.Manufacturer
    header.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    header.TotalPixelMatrixColumns, header.TotalPixelMatrixRows = slide.width, slide.height
    project = _check_project(sidecar, projects)
    files = _list_files(slide.path)
    return ForeignFile(slide.path, files, slide.media_type, header, slide.identifiers, project, _write=slide.write)


def _describe_volume(sidecar: Sidecar, nifti: NiftiPlan) -> Dataset:
    """Return what a DICOM header would say of a volume's size, to judge whether it shows a face."""
    columns, rows, slices = (*nifti.shape, 1, 1)[:3]
    dataset = Dataset()
    dataset.Modality, dataset.BodyPartExamined = sidecar.Modality, sidecar.BodyPartExamined
    dataset.SeriesDescription = sidecar.SeriesDescription
    dataset.Columns, dataset.Rows, dataset.NumberOfFrames = columns, rows, slices
    dataset.PixelSpacing, dataset.SliceThickness = [nifti.spacing[1], nifti.spacing[0]], nifti.spacing[2]
    return dataset


def _check_project(sidecar: Sidecar, projects: Collection[str]) -> str | None:
    if sidecar.project and sidecar.project not in projects:
        known = ", ".join(sorted(projects)) or "none yet"
        raise NotDeidentifiable(f"The sidecar names a project that projects.toml does not know; it knows: {known}.")
    return sidecar.project or None


def _list_files(path: Path) -> tuple[Path, ...]:
    sidecar, folder = find_sidecar(path), path.with_suffix("")
    inside = sorted(each for each in folder.rglob("*") if each.is_file()) if path.suffix.lower() == ".mrxs" else []
    return (path, *([sidecar] if sidecar else []), *inside)


def _make_header(path: Path, sidecar: Sidecar, SOPClassUID: str, Modality: str) -> FileDataset:
    """Return an identified header; UIDs that nobody gave are made of the content (PS3.5 section B.2)."""
    digest = _hash_content(path)
    header = describe(sidecar)
    header.Modality, header.SOPClassUID = Modality, SOPClassUID or RawDataStorage
    header.SOPInstanceUID = _make_uid(digest, "instance")
    header.SeriesInstanceUID = _make_uid(digest, "series")
    if not header.get("StudyInstanceUID"):
        header.StudyInstanceUID = _make_uid(digest, "study")
    return _complete(header)


def _complete(header: Dataset) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return FileDataset("", header, preamble=bytes(128), file_meta=meta, is_implicit_VR=False, is_little_endian=True)


def _hash_content(path: Path) -> str:
    hasher = blake3()
    sidecar = find_sidecar(path)
    for each in _list_files(path):
        if each != sidecar:
            hasher.update(blake3().update_mmap(each).digest())
    return hasher.hexdigest()


def _make_uid(digest: str, part: str) -> str:
    return f"2.25.{uuid.uuid5(NAMESPACE, f'{part} {digest}').int}"
