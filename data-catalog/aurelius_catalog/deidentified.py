"""The gate of the catalog: only a `DeidentifiedStudy` can be added, and it cannot be built from anything else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread

from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.frames import locate_frames

#: What the index cannot do without.
REQUIRED = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality")


@dataclass(frozen=True)
class DeidentifiedFile:
    """A finished, de-identified Part 10 file.

    Parameters
    ----------
    path
        The file, on the same file system as the catalog's files: it is moved, not copied.
    dataset
        Its header, file meta included, without pixel data.
    frames
        (offset, length) in bytes of each frame from the start of the file.
    sha256
        Hex digest of the whole file.
    size_bytes
        Size of the file.

    Raises
    ------
    InvalidRequest
        If the header does not say that identity was removed, or lacks an attribute of `REQUIRED`.
    """

    path: Path
    dataset: Dataset
    frames: tuple[tuple[int, int], ...]
    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        if self.dataset.get("PatientIdentityRemoved") != "YES":
            raise InvalidRequest("A file that does not say PatientIdentityRemoved=YES cannot enter the catalog.")
        if missing := [keyword for keyword in REQUIRED if not self.dataset.get(keyword)]:
            raise InvalidRequest(f"A file without {', '.join(missing)} cannot be told from others, so it cannot enter.")


@dataclass(frozen=True)
class DeidentifiedStudy:
    """Files of one study of one site, ready for the catalog.

    Raises
    ------
    InvalidRequest
        If it is empty, holds files of several studies, or two files with the same SOPInstanceUID.
    """

    site: str
    files: tuple[DeidentifiedFile, ...]

    def __post_init__(self) -> None:
        if len({file.dataset.StudyInstanceUID for file in self.files}) != 1:
            raise InvalidRequest("A DeidentifiedStudy holds the files of exactly one study.")
        if len({file.dataset.SOPInstanceUID for file in self.files}) != len(self.files):
            raise InvalidRequest("Two files of one DeidentifiedStudy have the same SOPInstanceUID.")

    @property
    def StudyInstanceUID(self) -> str:
        """UID of the one study."""
        return str(self.files[0].dataset.StudyInstanceUID)


def read_deidentified(path: Path) -> DeidentifiedFile:
    """Read header, frame positions and hash of a de-identified file.

    Raises
    ------
    InvalidRequest
        If the file does not say that its patient's identity was removed.
    pydicom.errors.InvalidDicomError
        If it is not a Part 10 file.
    """
    with path.open("rb") as file:
        dataset = dcmread(file, stop_before_pixels=True)
        frames = locate_frames(file, dataset)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return DeidentifiedFile(path, dataset, frames, digest, path.stat().st_size)
