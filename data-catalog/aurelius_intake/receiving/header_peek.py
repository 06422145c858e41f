"""A quick look at the first bytes of a file: what it is, and to which study it belongs.

A handful of elements is wanted before anything is decided about a file; decoding all of it for them would cost more
than everything that is done to it later. They are found by the scanner of `aurelius_deidentify.header.elements`; what
is not plain little endian is left to pydicom.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from aurelius_deidentify.header.elements import Found, scan_elements
from aurelius_deidentify.header.heads import UnknownStructure
from aurelius_deidentify.header.part10 import UNFAMILIAR, find_meta

MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
MARK_AT = 128
META_AT = 132
#: Tag (group << 16 | element) to field; the last one wanted is the largest.
WANTED: Mapping[int, str] = {
    0x00020002: "MediaClassUID",
    0x00020010: "TransferSyntaxUID",
    0x00080016: "SOPClassUID",
    0x00080018: "SOPInstanceUID",
    0x00080060: "Modality",
    0x00100020: "PatientID",
    0x0020000D: "StudyInstanceUID",
    0x0020000E: "SeriesInstanceUID",
}
LAST = max(WANTED)
#: Transfer syntaxes whose data set is not plain little endian.
NOT_PLAIN = UNFAMILIAR | {DeflatedExplicitVRLittleEndian}


@dataclass(frozen=True)
class HeaderPeek:
    """What a header says first: empty strings for what it does not say, and for what is no DICOM file."""

    SOPClassUID: str = ""
    SOPInstanceUID: str = ""
    Modality: str = ""
    StudyInstanceUID: str = ""
    SeriesInstanceUID: str = ""
    PatientID: str = ""
    TransferSyntaxUID: str = ""
    MediaClassUID: str = ""

    @property
    def is_object(self) -> bool:
        """Whether the file says of which study it is."""
        return bool(self.StudyInstanceUID)

    @property
    def is_directory(self) -> bool:
        """Whether it is a DICOMDIR (PS3.3 Annex F)."""
        return self.MediaClassUID == MEDIA_DIRECTORY


NOTHING = HeaderPeek()


def glance_at(start: bytes) -> HeaderPeek:
    """Look at a Part 10 file.

    Parameters
    ----------
    start
        The file, or so much of its beginning as is at hand.
    """
    if start[MARK_AT:META_AT] != b"DICM":
        return NOTHING
    try:
        return HeaderPeek(**_scan(start))
    except (UnknownStructure, UnicodeDecodeError):
        return _ask_pydicom(start)


def _scan(data: bytes) -> dict[str, str]:
    """Return what is wanted of a file's meta information and data set.

    Raises
    ------
    UnknownStructure
        If the bytes are not plain little endian, or end within what is scanned.
    UnicodeDecodeError
        If a value is not ASCII.
    """
    meta, body = find_meta(data)
    found = _read_wanted(data, meta)
    if found.get("MediaClassUID") == MEDIA_DIRECTORY:
        return found  # no object of a study, and long
    syntax = found.get("TransferSyntaxUID", "")
    if not syntax or syntax in NOT_PLAIN:
        raise UnknownStructure
    elements, _ = scan_elements(data, body, len(data), syntax == ImplicitVRLittleEndian, until=LAST)
    return found | _read_wanted(data, elements)


def _read_wanted(data: bytes, elements: list[Found]) -> dict[str, str]:
    return {WANTED[head.tag]: _read_text(data[start:end]) for head, _, start, end, _ in elements if head.tag in WANTED}


def _read_text(value: bytes) -> str:
    return value.decode("ascii").split("\\")[0].strip(" \0")


def _ask_pydicom(start: bytes) -> HeaderPeek:
    names = [name for tag, name in WANTED.items() if tag >> 16 > 2]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values, and values identify
            header = dcmread(BytesIO(start), stop_before_pixels=True, specific_tags=names)
            values = {name: str(header.get(name) or "") for name in names}
            values["TransferSyntaxUID"] = str(header.file_meta.get("TransferSyntaxUID") or "")
            values["MediaClassUID"] = str(header.file_meta.get("MediaStorageSOPClassUID") or "")
            return HeaderPeek(**values)
    except Exception:  # whatever it is, the desk will look at the whole file and say why
        return NOTHING
