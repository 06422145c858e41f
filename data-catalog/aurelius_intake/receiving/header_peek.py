"""A quick look at the first bytes of a file: what it is, and to which study it belongs.

A handful of elements is wanted before anything is decided about a file; parsing all of it for them would cost more
than everything that is done to it later. What is not plain little endian is left to pydicom.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

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
LONG_FORM = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
SHORT_FORM = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS"}
    | {b"ST", b"TM", b"UI", b"UL", b"US"}
)
UNDEFINED_LENGTH = 0xFFFFFFFF
_SHORT = struct.Struct("<HH2sH").unpack_from
_TAG_AND_LENGTH = struct.Struct("<HHI").unpack_from
_LENGTH = struct.Struct("<I").unpack_from


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
        return HeaderPeek(**_walk(start))
    except (_Unusual, struct.error, UnicodeDecodeError):
        return _ask_pydicom(start)


class _Unusual(Exception):
    """The bytes are not laid out plainly, or end before all is found."""


def _walk(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    body = _walk_explicit(data, META_AT, 0x0002FFFF, found)
    syntax = found.get("TransferSyntaxUID")
    if found.get("MediaClassUID") == MEDIA_DIRECTORY:
        return found  # no object of a study, and long
    if syntax in (None, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        raise _Unusual
    (_walk_implicit if syntax == ImplicitVRLittleEndian else _walk_explicit)(data, body, LAST, found)
    return found


def _walk_explicit(data: bytes, at: int, last: int, found: dict[str, str]) -> int:
    """Note what is wanted up to a tag; returns where the next element begins (PS3.5 section 7.1.2)."""
    end = len(data)
    while at < end:
        group, element, VR, length = _SHORT(data, at)
        tag = group << 16 | element
        if tag > last:
            return at
        value = at + 8
        if VR in LONG_FORM:
            length = _LENGTH(data, value)[0]
            value += 4
        elif VR not in SHORT_FORM:
            raise _Unusual
        at = value + length
        if length == UNDEFINED_LENGTH:
            raise _Unusual
        if tag in WANTED:
            found[WANTED[tag]] = _read_text(data[value:at])
    raise _Unusual


def _walk_implicit(data: bytes, at: int, last: int, found: dict[str, str]) -> int:
    """Do as `_walk_explicit` does, without VRs (PS3.5 section 7.1.3)."""
    end = len(data)
    while at < end:
        group, element, length = _TAG_AND_LENGTH(data, at)
        tag = group << 16 | element
        if tag > last:
            return at
        value = at + 8
        at = value + length
        if length == UNDEFINED_LENGTH:
            raise _Unusual
        if tag in WANTED:
            found[WANTED[tag]] = _read_text(data[value:at])
    raise _Unusual


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
