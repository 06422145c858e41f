"""The gate of the catalog: only a `DeidentifiedStudy` can be added, and it cannot be built from anything else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydicom import dcmread

from aurelius_catalog.dicom.frame_locations import locate_frames
from aurelius_catalog.dicom.json_header import make_header, read_text
from aurelius_catalog.errors import InvalidRequest
from aurelius_deidentify.media_types import DICOM

#: What the index cannot do without.
REQUIRED = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality")


@dataclass(frozen=True)
class DeidentifiedFile:
    """A finished, de-identified file.

    Parameters
    ----------
    path
        The file, on the same file system as the catalog's files: it is moved, not copied.
    header
        Its header as DICOM JSON (`dicom_json.make_header`).
    TransferSyntaxUID
        From its file meta.
    frames
        (offset, length) in bytes of each frame from the start of the file.
    sha256
        Hex digest of the whole file.
    size_bytes
        Size of the file.
    media_type
        What kind of file it is, if not DICOM Part 10.
    deidentification
        Which profile did what to it; None for what was made here.

    Raises
    ------
    InvalidRequest
        If the header does not say that identity was removed, or lacks an attribute of `REQUIRED`.
    """

    path: Path
    header: dict[str, Any]
    TransferSyntaxUID: str
    frames: tuple[tuple[int, int], ...]
    sha256: str
    size_bytes: int
    media_type: str = DICOM
    deidentification: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if read_text(self.header, "PatientIdentityRemoved") != "YES":
            raise InvalidRequest("A file that does not say PatientIdentityRemoved=YES cannot enter the catalog.")
        if missing := [keyword for keyword in REQUIRED if not read_text(self.header, keyword)]:
            raise InvalidRequest(f"A file without {', '.join(missing)} cannot be told from others, so it cannot enter.")

    @cached_property
    def SOPInstanceUID(self) -> str:
        """UID of the object."""
        return read_text(self.header, "SOPInstanceUID") or ""

    @cached_property
    def SeriesInstanceUID(self) -> str:
        """UID of its series."""
        return read_text(self.header, "SeriesInstanceUID") or ""

    @cached_property
    def StudyInstanceUID(self) -> str:
        """UID of its study."""
        return read_text(self.header, "StudyInstanceUID") or ""


@dataclass(frozen=True)
class DeidentifiedStudy:
    """Files of one study of one site, ready for the catalog.

    Parameters
    ----------
    site
        The clinic.
    files
        At least one.
    flags
        What people should know of the study, such as ``face``.
    projects
        Projects it belongs to whatever the rules say.

    Raises
    ------
    InvalidRequest
        If it is empty, holds files of several studies, or two files with the same SOPInstanceUID.
    """

    site: str
    files: tuple[DeidentifiedFile, ...]
    flags: frozenset[str] = frozenset()
    projects: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if len({file.StudyInstanceUID for file in self.files}) != 1:
            raise InvalidRequest("A DeidentifiedStudy holds the files of exactly one study.")
        if len({file.SOPInstanceUID for file in self.files}) != len(self.files):
            raise InvalidRequest("Two files of one DeidentifiedStudy have the same SOPInstanceUID.")

    @property
    def StudyInstanceUID(self) -> str:
        """UID of the one study."""
        return self.files[0].StudyInstanceUID

    @property
    def PatientID(self) -> str:
        """Pseudonym of the patient."""
        return read_text(self.files[0].header, "PatientID") or ""

    @property
    def patients(self) -> set[str]:
        """Pseudonyms of all its files; more than one where a site gave two patients one study."""
        return {read_text(file.header, "PatientID") or "" for file in self.files}


def read_deidentified(path: Path) -> DeidentifiedFile:
    """Read header, frame positions and hash of a de-identified Part 10 file.

    Raises
    ------
    InvalidRequest
        If the file does not say that its patient's identity was removed.
    pydicom.errors.InvalidDicomError
        If it is not a Part 10 file.
    """
    with path.open("rb") as file:
        dataset = dcmread(file, stop_before_pixels=True)
        start = file.tell()
        file.seek(0)
        content = file.read()
    header, syntax = make_header(dataset), str(dataset.file_meta.TransferSyntaxUID)
    pixels = memoryview(content)[start:]
    frames = locate_frames(pixels, start, header, syntax, lambda: dataset.get("ExtendedOffsetTable"))
    return DeidentifiedFile(path, header, syntax, frames, hashlib.sha256(content).hexdigest(), len(content))
