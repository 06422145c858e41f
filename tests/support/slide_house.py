"""Slides put straight into a catalog, in every format it keeps, and DICOM slides made up for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, VLWholeSlideMicroscopyImageStorage, generate_uid

from aurelius_catalog.access.person import Person
from aurelius_catalog.dicom.json_header import make_header
from aurelius_catalog.index.deidentified import DeidentifiedFile, DeidentifiedStudy
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import SeriesRecord
from aurelius_catalog.service.slide_levels import list_level_headers
from aurelius_deidentify.slides import plan_slide
from aurelius_intake.settings import IntakeSettings
from support.gate import describe_invented, read_invented
from support.objects_house import name_object
from support.slide_files import Pixels

PROJECT = "path"
MPP_UM = 0.5


def add_slide(settings: IntakeSettings, source: Path, site: str = "north", project: str = PROJECT) -> str:
    """Clean a slide file and add it as a series of its own; returns its SeriesInstanceUID."""
    plan = plan_slide(source)
    assert plan is not None, f"{source.name} is no slide"
    clean = _make_folder(settings) / f"{source.name}.clean"
    plan.write(clean)
    header = make_slide_header(source.name)
    header.TotalPixelMatrixColumns, header.TotalPixelMatrixRows = plan.width, plan.height
    content = clean.read_bytes()
    file = describe_invented(
        clean,
        make_header(header),
        hashlib.sha256(content).hexdigest(),
        len(content),
        TransferSyntaxUID=str(ExplicitVRLittleEndian),
        media_type=plan.media_type,
    )
    return _add(settings, [file], site, project)


def add_dicom_slide(
    settings: IntakeSettings, sources: Sequence[Path], site: str = "north", project: str = PROJECT
) -> str:
    """Add DICOM slide files as they are, but for saying that they are de-identified."""
    files = []
    for source in sources:
        dataset = dcmread(source)
        dataset.PatientIdentityRemoved, dataset.DeidentificationMethod = "YES", "Generated"
        dataset.PatientID = dataset.PatientID or "slide"
        target = _make_folder(settings) / source.name
        dataset.save_as(target, enforce_file_format=True)
        files.append(read_invented(target))
    return _add(settings, files, site, project)


def write_dicom_slide(folder: Path, scan: Pixels, *, tile: int = 128, sparse: bool = False) -> list[Path]:
    """Write two levels of a scan ``(y, x, 3)`` as DICOM; a sparse one lacks the first tile of its first level."""
    folder.mkdir(parents=True)
    levels = [scan, np.asarray(Image.fromarray(scan).reduce(2))]
    paths = []
    for number, level in enumerate(levels):
        dataset = make_slide_header(folder.name)
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[folder.name, str(number)])
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber, dataset.ImageType = number + 1, ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
        _fill_pixels(dataset, level, tile, MPP_UM * 2**number, sparse, number == 0)
        paths.append(folder / f"{number}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def make_slide_header(name: str) -> Dataset:
    """Return what a header says of any slide; its UIDs are made of the name."""
    study, series, instance, frame = (generate_uid(entropy_srcs=[name, part]) for part in "abcd")
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = VLWholeSlideMicroscopyImageStorage, instance
    header.StudyInstanceUID, header.SeriesInstanceUID, header.FrameOfReferenceUID = study, series, frame
    header.PatientID, header.PatientName, header.PatientSex = f"slide-{name}", "", "F"
    header.PatientIdentityRemoved, header.DeidentificationMethod = "YES", "Generated"
    header.Modality, header.Manufacturer, header.StudyDate = "SM", "Aurelius", "20200102"
    header.ImageType, header.SeriesNumber, header.InstanceNumber = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], 1, 1
    return header


def complete_slide(level: Dataset) -> Dataset:
    """Add what highdicom asks of a slide that it makes something of."""
    for keyword in ("PatientBirthDate", "StudyTime", "AccessionNumber", "StudyID", "ReferringPhysicianName"):
        setattr(level, keyword, "")
    level.ContainerIdentifier, level.SpecimenDescriptionSequence = "glass", [Dataset()]
    level.SpecimenDescriptionSequence[0].SpecimenIdentifier = "piece"
    level.SpecimenDescriptionSequence[0].SpecimenUID = generate_uid()
    return level


def segment_slide(level: Dataset, values: NDArray[np.generic], kind: str, **options: Any) -> Dataset:
    """Write a SEG of a slide as others do; ``values`` is ``(y, x)`` numbers or ``(y, x, segment)``."""
    count = values.shape[2] if values.ndim == 3 else int(values.max())
    return hd.seg.Segmentation(
        source_images=[complete_slide(level)],
        pixel_array=values[None],
        segmentation_type=kind,
        segment_descriptions=[
            hd.seg.SegmentDescription(number, f"tissue {number}", codes.SCT.Tissue, codes.SCT.Tissue, "MANUAL")
            for number in range(1, count + 1)
        ],
        **name_object(5),
        tile_pixel_array=True,
        tile_size=(100, 90),
        **options,
    )


def list_level_datasets(store: LocalStore, series: SeriesRecord) -> list[Dataset]:
    """Return the headers of the levels that DICOMweb shows of a slide file, finest first."""
    levels = [Dataset.from_json(text) for text in list_level_headers(store, series).values()]
    for level in levels:
        level.file_meta = FileMetaDataset()
        level.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return levels


def _fill_pixels(dataset: Dataset, level: Pixels, tile: int, mpp_um: float, sparse: bool, torn: bool) -> None:
    height, width = level.shape[:2]
    columns, rows = -(-width // tile), -(-height // tile)
    padded = np.full((rows * tile, columns * tile, 3), 255, np.uint8)
    padded[:height, :width] = level
    places = [(row * tile, column * tile) for row in range(rows) for column in range(columns)]
    if sparse:
        places = places[:0:-1] if torn else places[::-1]  # they may come in any order, and some be missing
    dataset.Rows = dataset.Columns = tile
    dataset.TotalPixelMatrixRows, dataset.TotalPixelMatrixColumns = height, width
    dataset.NumberOfFrames = len(places)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    measures = Dataset()
    measures.PixelSpacing, measures.SliceThickness = [mpp_um / 1000, mpp_um / 1000], 0.001
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.DimensionOrganizationType = "TILED_SPARSE" if sparse else "TILED_FULL"
    if sparse:
        dataset.PerFrameFunctionalGroupsSequence = [_place_frame(top, left, mpp_um) for top, left in places]
    dataset.PixelData = b"".join(padded[top : top + tile, left : left + tile].tobytes() for top, left in places)


def _place_frame(top: int, left: int, mpp_um: float) -> Dataset:
    position, groups = Dataset(), Dataset()
    position.RowPositionInTotalImagePixelMatrix = top + 1
    position.ColumnPositionInTotalImagePixelMatrix = left + 1
    position.XOffsetInSlideCoordinateSystem = f"{left * mpp_um / 1000:.6f}"
    position.YOffsetInSlideCoordinateSystem = f"{top * mpp_um / 1000:.6f}"
    position.ZOffsetInSlideCoordinateSystem = "0"
    groups.PlanePositionSlideSequence = [position]
    return groups


def _make_folder(settings: IntakeSettings) -> Path:
    folder = settings.files.parent / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _add(settings: IntakeSettings, files: Sequence[DeidentifiedFile], site: str, project: str) -> str:
    study = DeidentifiedStudy(site, tuple(files), projects=frozenset({project}))
    LocalStore(settings, Person.service("intake")).add_study(study)
    return files[0].SeriesInstanceUID
