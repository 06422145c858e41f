"""The residual scan: a search for a patient's identifying values in the bytes that are given away."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from aurelius_deidentify.header.identifiers import UID
from aurelius_deidentify.residue.false_positives import Hit, drop_false_positives
from aurelius_deidentify.residue.needles import compile_needles, encode_value, find_root, is_chancy

#: Bytes before a match that say where it stands: tag, VR and length of the element it begins.
AROUND = 12
LONGEST_UID = 64
UID_TAIL = re.compile(rb"[0-9.]+")
DEFLATED, EXPLICIT = str(DeflatedExplicitVRLittleEndian).encode(), str(ExplicitVRLittleEndian).encode()
#: What may follow a date in a DT value, which has no sign between date and time.
TIME = re.compile(rb"(?:[01][0-9]|2[0-3])(?:[0-5][0-9]){0,2}(?![0-9])")


@dataclass(frozen=True)
class ResidueReport:
    """How much was searched for in how much.

    Parameters
    ----------
    values
        Identifying values searched for.
    scanned_bytes
        Bytes searched.
    hits
        Matches that are not false positives.
    """

    values: int
    scanned_bytes: int
    hits: int


class ResidueScanner:
    """Searches bytes for identifying values, at the speed of the memory.

    Parameters
    ----------
    values
        As `aurelius_deidentify.header.identifiers.identifying_values` yields them. Words are found in any case and in
        every character set DICOM knows, and as UTF-16LE; dates also as people write them; UIDs also where they begin a
        longer one.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self.values = frozenset(value for value in values if value)
        self._uids = frozenset(value.encode() for value in self.values if UID.fullmatch(value))
        needles = {
            needle for value in self.values if value.encode() not in self._uids for needle in encode_value(value)
        }
        self._roots = sorted({find_root(uid) for uid in self._uids})
        self._needles = self._roots + sorted(needles)
        self._chancy = [number >= len(self._roots) and is_chancy(needle) for number, needle in enumerate(self._needles)]
        self._database = compile_needles(self._needles)
        #: The bytes around matches found to be false positives, so that they are not examined again.
        self.dismissed: set[bytes] = set()

    def scan(self, data: bytes | memoryview, pixels: tuple[int, int] | None = None) -> list[Hit]:
        """Return every match, at the boundaries of a word or number.

        Parameters
        ----------
        data
            The bytes of a file, or of a part of one.
        pixels
            (start, end) of the pixel data element; there, values below six bytes are not searched for.
        """
        view, database = memoryview(data), self._database
        if database is None or not len(view):
            return []
        found: list[tuple[int, int]] = []
        start, end = pixels or (0, 0)
        chancy = self._chancy

        def note(number: int, _from: int, to: int, _flags: int, _more: object) -> None:
            if not (chancy[number] and start < to <= end):
                found.append((number, to))

        buffer: Any = view  # the stub knows str and bytes only; any buffer will do
        database.scan(buffer, match_event_handler=note)
        hits: set[Hit] = set()
        for number, to in found:
            offset = to - len(self._needles[number])
            if number < len(self._roots):
                length = self._measure_uid(view, offset)
            else:
                length = to - offset if _is_bounded(view, offset, to) else 0
            if length:
                hits.add(Hit(offset, length))
        return sorted(hits, key=lambda hit: hit.offset)

    def _measure_uid(self, view: memoryview, offset: int) -> int:
        """Return the length of the known UID that stands at an offset, also where it only begins what stands there."""
        if offset and chr(view[offset - 1]) in "0123456789.":
            return 0
        match = UID_TAIL.match(view[offset : offset + LONGEST_UID])
        found = match.group().rstrip(b".") if match else b""
        while found.count(b".") >= 2:
            if found in self._uids:
                return len(found)
            found = found.rpartition(b".")[0]
        return 0


def find_residue(scanner: ResidueScanner, data: bytes, pixels: tuple[int, int] | None = None) -> tuple[Hit, ...]:
    """Return the matches in a Part 10 file that are not false positives.

    Parameters
    ----------
    scanner
        Knows what to look for.
    data
        The whole file. A deflated one is inflated first; offsets then count in the inflated bytes.
    pixels
        (start, end) of the pixel data element, where the file has one.

    Notes
    -----
    False positives are: digits inside numbers and times; a word of the vocabulary, or one below four letters, inside a
    value the profile keeps ("Head" as a body part, though the patient is called so); the name of a maker or coding
    scheme; a UID that names a kind of thing; fewer than six bytes inside large binary values; a date that was moved
    onto another.
    """
    if DEFLATED in data[:1024]:
        data, pixels = _inflate(data), None
    hits = scanner.scan(data, pixels)
    around = {hit: bytes(data[max(0, hit.offset - AROUND) : hit.offset + hit.length + 2]) for hit in hits}
    if scanner.dismissed.issuperset(around.values()):
        return ()
    left = tuple(drop_false_positives(data, hits, scanner.values))
    if not left:  # a date is explained by the other dates of its file, so each file anew
        scanner.dismissed.update(text for hit, text in around.items() if hit.length != len("YYYYMMDD"))
    return left


def _is_bounded(view: memoryview, start: int, end: int) -> bool:
    """Whether a match is a word or number of its own, not a piece of a longer one."""
    step = 2 if end - start > 1 and not view[start + 1] else 1
    before = view[start - step] if start >= step else 0
    after = view[end] if end < len(view) else 0
    first, last = view[start], view[end - step]
    if _is_digit(first) and (_is_digit(before) or (before == 0x2E and start > 1 and _is_digit(view[start - 2]))):
        return False
    if _is_digit(last) and _is_digit(after):
        return end - start == 8 and TIME.match(view[end : end + 7]) is not None
    return not (_is_letter(first) and _is_letter(before)) and not (_is_letter(last) and _is_letter(after))


def _is_digit(byte: int) -> bool:
    return 0x30 <= byte <= 0x39


def _is_letter(byte: int) -> bool:
    return 0x41 <= byte & 0xDF <= 0x5A


def _inflate(data: bytes) -> bytes:
    """Return the file as if it had been written without deflating (PS3.5 section A.5), or as it is if it is damaged."""
    start = 144 + int.from_bytes(data[140:144], "little")
    try:
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[start:])
    except zlib.error:
        return data
    return data[:start].replace(DEFLATED, EXPLICIT.ljust(len(DEFLATED), b"\0"), 1) + inflated


def find_pixels(data: bytes) -> tuple[int, int] | None:
    """Return (start, end) of the pixel data element of a Part 10 file; None where none can be found."""
    file = BytesIO(data)
    try:
        header = dcmread(file, stop_before_pixels=True, force=True)
    except Exception:
        return None
    start = file.tell()
    implicit, little = header.original_encoding
    if not little or data[start : start + 2] != b"\xe0\x7f":
        return None
    long_form = not implicit
    value = start + (12 if long_form else 8)
    length = int.from_bytes(data[value - 4 : value], "little")
    if length != 0xFFFFFFFF:
        return start, min(value + length, len(data))
    delimiter = data.rfind(b"\xfe\xff\xdd\xe0\0\0\0\0")
    return (start, delimiter + 8) if delimiter > start else None
