"""The gate of the catalog: only a `DeidentifiedStudy` can be added, and only the functions here make its files.

A header says that it was de-identified because somebody wrote so, and anybody can. What is let in is therefore told by
where it comes from: `describe_deidentified` takes what the de-identifier returned, `read_derived` what the house or
its people made of a series that the catalog holds already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydicom import dcmread
from sqlalchemy import Connection, select

from aurelius_catalog.dicom.frame_locations import locate_frames
from aurelius_catalog.dicom.json_header import make_header, read_text
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.index.schema import series
from aurelius_deidentify.header.deidentified_object import DeidentifiedObject
from aurelius_deidentify.media_types import DICOM

#: What the index cannot do without.
REQUIRED = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality")
#: What the functions of this module give each `DeidentifiedFile`; nothing else may.
_SEAL = object()


@dataclass(frozen=True)
class DeidentifiedFile:
    """A finished, de-identified file; made by `describe_deidentified` and `read_derived`, never by hand.

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
    seal
        Proof that a function of this module made it.
    media_type
        What kind of file it is, if not DICOM Part 10.
    deidentification
        Which profile did what to it; None for what was made here.

    Raises
    ------
    InvalidRequest
        If it is made by hand, its header does not say that identity was removed, or lacks an attribute of `REQUIRED`.
    """

    path: Path
    header: dict[str, Any]
    TransferSyntaxUID: str
    frames: tuple[tuple[int, int], ...]
    sha256: str
    size_bytes: int
    seal: InitVar[object]
    media_type: str = DICOM
    deidentification: dict[str, Any] | None = None

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise InvalidRequest("Only what de-identification made can enter the catalog: put the file into an inbox.")
        if read_text(self.header, "PatientIdentityRemoved") != "YES":
            raise InvalidRequest("A file that does not say PatientIdentityRemoved=YES cannot enter the catalog.")
        if missing := [keyword for keyword in REQUIRED if not read_text(self.header, keyword)]:
            raise InvalidRequest(f"A file without {', '.join(missing)} cannot be told from others, so it cannot enter.")

    def __reduce__(self) -> str:
        raise TypeError("A de-identified file is let in by the process that made it: it cannot be pickled.")

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
        If it is empty, holds anything but a `DeidentifiedFile`, files of several studies, or two files with the same
        SOPInstanceUID.
    """

    site: str
    files: tuple[DeidentifiedFile, ...]
    flags: frozenset[str] = frozenset()
    projects: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if any(type(file) is not DeidentifiedFile for file in self.files):
            raise InvalidRequest("Only what de-identification made can enter the catalog: put the file into an inbox.")
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


def describe_deidentified(
    path: Path,
    out: DeidentifiedObject,
    *,
    frames: Sequence[tuple[int, int]] = (),
    TransferSyntaxUID: str = "",
    media_type: str = DICOM,
    deidentification: dict[str, Any] | None = None,
) -> DeidentifiedFile:
    """Describe a file that was just written from what the de-identifier returned.

    Of a DICOM file the hash is that of the de-identifier's own bytes, so that the file is not read again; a slide or
    a NIfTI file is read once for it.

    Parameters
    ----------
    path, frames, TransferSyntaxUID, media_type, deidentification
        As for `DeidentifiedFile`.
    out
        What the de-identifier made of the object; of a slide or a NIfTI file, of the header that stands for it.

    Raises
    ------
    InvalidRequest
        If ``out`` does not come from the de-identifier, or the file has another size than what it returned.
    """
    if type(out) is not DeidentifiedObject:
        raise InvalidRequest("Only what de-identification made can enter the catalog: put the file into an inbox.")
    size_bytes = path.stat().st_size
    if media_type == DICOM:
        pieces = (out.head, out.pixels, out.tail)
        if size_bytes != sum(map(len, pieces)):
            raise InvalidRequest("The file is not what de-identification returned: its size is another.")
        digest = hashlib.sha256(pieces[0])
        digest.update(pieces[1])
        digest.update(pieces[2])
    else:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    return DeidentifiedFile(
        path,
        out.header,
        TransferSyntaxUID,
        tuple(frames),
        digest.hexdigest(),
        size_bytes,
        _SEAL,
        media_type,
        deidentification,
    )


def read_masked(path: Path, out: DeidentifiedObject, deidentification: dict[str, Any]) -> DeidentifiedFile:
    """Describe a file whose pixels were masked after de-identification, by reading it again.

    Raises
    ------
    InvalidRequest
        If ``out`` does not come from the de-identifier, or the file holds another object.
    """
    if type(out) is not DeidentifiedObject:
        raise InvalidRequest("Only what de-identification made can enter the catalog: put the file into an inbox.")
    file = _read_file(path, deidentification)
    if (file.SOPInstanceUID, read_text(file.header, "PatientID")) != (
        read_text(out.header, "SOPInstanceUID"),
        out.pseudonym,
    ):
        raise InvalidRequest("The masked file is another object than the one that was de-identified.")
    return file


def read_derived(connection: Connection, path: Path, SeriesInstanceUID: str) -> DeidentifiedFile:
    """Describe an object that was derived from a series of the catalog, by reading it.

    Patient and study are compared with what the index holds of the series, not with a record that anybody can write.

    Raises
    ------
    InvalidRequest
        If it does not say that its patient's identity was removed, belongs to another patient or study, or the index
        holds no such series.
    pydicom.errors.InvalidDicomError
        If it is not a Part 10 file.
    """
    file = _read_file(path, None)
    held = select(series.c.PatientID, series.c.StudyInstanceUID)
    source = connection.execute(held.where(series.c.SeriesInstanceUID == SeriesInstanceUID)).first()
    if source is None or (read_text(file.header, "PatientID"), file.StudyInstanceUID) != tuple(source):
        raise InvalidRequest("An object joins the patient and the study of the series it was derived from, or none.")
    return file


def _read_file(path: Path, deidentification: dict[str, Any] | None) -> DeidentifiedFile:
    with path.open("rb") as file:
        dataset = dcmread(file, stop_before_pixels=True)
        start = file.tell()
        file.seek(0)
        content = file.read()
    header, syntax = make_header(dataset), str(dataset.file_meta.TransferSyntaxUID)
    pixels = memoryview(content)[start:]
    frames = locate_frames(pixels, start, header, syntax, lambda: dataset.get("ExtendedOffsetTable"))
    digest = hashlib.sha256(content).hexdigest()
    return DeidentifiedFile(
        path, header, syntax, frames, digest, len(content), _SEAL, deidentification=deidentification
    )
