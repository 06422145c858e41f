"""Part 10 files (PS3.10): reading them without trust, and writing valid ones."""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import DataElement, Dataset, FileDataset, dcmread, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from aurelius_deidentify.errors import NotDeidentifiable
from aurelius_deidentify.header.element_encoding import write_element
from aurelius_deidentify.header.elements import PIXELS, UNDEFINED_LENGTH, Found, scan_elements
from aurelius_deidentify.header.heads import UnknownStructure

#: This software in file meta (PS3.10 section 7.1).
IMPLEMENTATION_CLASS_UID = "2.25.190443377651720918366370523911406384217"
IMPLEMENTATION_VERSION_NAME = "AURELIUS_1"
IMPLICIT, DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
#: Other transfer syntaxes whose data set is not explicit little endian: JPIP deflated, and GE's private one.
UNFAMILIAR = frozenset(
    [BIG_ENDIAN, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205", "1.2.840.113619.5.2"]
)  # fmt: skip
META_START = 132
DAMAGED = "The file is damaged ({}) and was not taken apart."
CUT_OFF = "The file ends in the middle of an element."


@dataclass(eq=False)
class Part10:
    """A file whose data set can be scanned.

    Parameters
    ----------
    data, start
        The bytes of the data set in little endian, and the offset they begin at.
    implicit
        Whether VRs are implicit.
    syntax
        TransferSyntaxUID of the file.
    meta
        Where the elements of its file meta stand, and in what.
    deflated
        Whether the file to write is deflated.
    """

    data: bytes
    start: int
    implicit: bool
    syntax: str
    meta: tuple[bytes, list[Found]]
    deflated: bool = False


def open_part10(source: bytes) -> Part10:
    """Find file meta and data set of a Part 10 file.

    Raises
    ------
    NotDeidentifiable
        If it is not a Part 10 file.
    UnknownStructure
        If only pydicom can tell what is in it.
    """
    meta, end = find_meta(source)
    syntax = _read_syntax(source, meta)
    if not syntax or syntax in UNFAMILIAR or end > len(source):
        raise UnknownStructure
    if syntax != DEFLATED:
        return Part10(source, end, syntax == IMPLICIT, syntax, (source, meta))
    try:
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(source[end:])
    except zlib.error:
        raise UnknownStructure from None
    return Part10(inflated, 0, implicit=False, syntax=syntax, meta=(source, meta), deflated=True)


def find_meta(source: bytes) -> tuple[list[Found], int]:
    """Return the elements of a file's meta information, and the offset of its data set; raises as `open_part10`."""
    if source[128:META_START] != b"DICM":
        raise NotDeidentifiable("This is not a DICOM Part 10 file.")
    if source[META_START : META_START + 8] != b"\2\0\0\0UL\4\0":
        raise UnknownStructure
    end = META_START + 12 + int.from_bytes(source[META_START + 8 : META_START + 12], "little")
    return scan_elements(source, META_START, end, implicit=False)


def make_meta(data: bytes, found: list[Found]) -> FileMetaDataset:
    """Return file meta as pydicom has it."""
    return FileMetaDataset({one[0].base: _make_raw(one, data) for one in found})  # type: ignore[arg-type]


def write_meta(SOPClassUID: bytes, SOPInstanceUID: bytes, syntax: str) -> bytes:
    """Return preamble and file meta of a de-identified file (PS3.10 section 7.1)."""
    elements = b"".join(
        [
            b"\2\0\1\0OB\0\0\2\0\0\0\0\1",
            write_element(0x00020002, "UI", SOPClassUID, implicit=False),
            write_element(0x00020003, "UI", SOPInstanceUID, implicit=False),
            write_element(0x00020010, "UI", syntax.encode("ascii"), implicit=False),
            _IMPLEMENTATION,
        ]
    )
    return b"".join([bytes(128), b"DICM\2\0\0\0UL\4\0", len(elements).to_bytes(4, "little"), elements])


def deflate(data: bytes) -> bytes:
    """Return a data set deflated, padded to even length (PS3.5 section A.5)."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = compressor.compress(data) + compressor.flush()
    return deflated + b"\0" * (len(deflated) % 2)


def read_identified(source: Path | BytesIO) -> FileDataset:
    """Read a Part 10 file by pydicom.

    Raises
    ------
    NotDeidentifiable
        If it is not a Part 10 file, or ends too early.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            dataset = dcmread(source)
    except InvalidDicomError:
        raise NotDeidentifiable("This is not a DICOM Part 10 file.") from None
    except EOFError:
        raise NotDeidentifiable(CUT_OFF) from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the disk; without a number, pydicom means a damaged file
        raise NotDeidentifiable(DAMAGED.format(type(error).__name__)) from None
    if any("End of file reached" in str(warning.message) for warning in caught):
        raise NotDeidentifiable(CUT_OFF)
    return dataset


def translate(dataset: FileDataset) -> tuple[Part10, DataElement | RawDataElement | None]:
    """Write what pydicom read as explicit little endian; returns it, and the pixel data as it is.

    Raises
    ------
    NotDeidentifiable
        If an element ends before its length says, or there is no transfer syntax.
    """
    syntax = str(dataset.file_meta.get("TransferSyntaxUID") or "")
    if not syntax:
        raise NotDeidentifiable("The object has no TransferSyntaxUID.")
    elements = {tag: dataset.get_item(tag) for tag in dataset.keys()}  # noqa: SIM118 - iterating would decode
    for element in elements.values():
        _refuse_truncated(element)
    pixels = [elements.pop(tag) for tag in list(elements) if tag in PIXELS]
    header = Dataset(elements)  # type: ignore[arg-type]
    implicit, little = dataset.original_encoding
    header.set_original_encoding(implicit, little, dataset.original_character_set)
    body = BytesIO()
    dcmwrite(body, header, implicit_vr=False, little_endian=True, force_encoding=True)
    meta = DicomBytesIO()
    meta.is_implicit_VR, meta.is_little_endian = False, True
    write_dataset(meta, dataset.file_meta)
    written = meta.getvalue()
    found, _ = scan_elements(written, 0, len(written), implicit=False)
    part10 = Part10(body.getvalue(), 0, implicit=False, syntax=syntax, meta=(written, found))
    return part10, pixels[0] if pixels else None


def write_encoded(dataset: Dataset, implicit: bool, little: bool) -> bytes:
    """Return a de-identified data set with file meta as a Part 10 file of the given encoding, by pydicom."""
    target = BytesIO()
    dataset.preamble = bytes(128)
    # Forced, because pydicom refuses transfer syntaxes younger than itself; nothing is re-encoded anyway.
    dcmwrite(target, dataset, implicit_vr=implicit, little_endian=little, force_encoding=True)
    return target.getvalue()


def _refuse_truncated(element: DataElement | RawDataElement) -> None:
    if not isinstance(element, RawDataElement) or element.value is None or element.length == UNDEFINED_LENGTH:
        return
    if len(element.value) != element.length:
        raise NotDeidentifiable(CUT_OFF)


def _read_syntax(source: bytes, meta: list[Found]) -> str:
    for head, _, value, value_end, _ in meta:
        if head.tag == 0x00020010:
            return source[value:value_end].decode("ascii", "replace").strip(" \0")
    return ""


def _make_raw(one: Found, data: bytes) -> RawDataElement:
    head, _, start, end, _ = one
    value = data[start:end]
    return RawDataElement(head.base, head.VR, len(value), value, 0, False, True)


_IMPLEMENTATION = write_element(0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode(), implicit=False) + write_element(
    0x00020013, "SH", IMPLEMENTATION_VERSION_NAME.encode(), implicit=False
)
