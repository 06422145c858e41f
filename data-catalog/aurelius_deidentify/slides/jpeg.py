"""Segments of JPEG and JPEG 2000 codestreams, in which compressed tiles carry metadata.

Sources: ITU-T T.81 annex B (markers), JFIF 1.02, ITU-T T.800 annex A.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aurelius_deidentify.errors import NotDeidentifiable

SOI, EOI, SOS, APP0, APP14, COM = 0xD8, 0xD9, 0xDA, 0xE0, 0xEE, 0xFE
SOF0 = 0xC0
#: Start-of-frame markers: baseline, extended, progressive, lossless and their arithmetic kin.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
#: What of an application segment tells decoders about colour, and holds no text.
_KEPT = {APP0: (b"JFIF\0", 14), APP14: (b"Adobe", 12)}
#: Headers are read in pieces of this size; a tile's rarely needs more.
HEAD_BYTES = 4096
Patch = tuple[int, bytes]


@dataclass(frozen=True)
class JpegSegment:
    """One marker segment: ``start`` is its 0xFF, ``end`` lies behind its payload."""

    marker: int
    start: int
    end: int


class _Short(Exception):
    """The bytes at hand end within the header."""


def list_segments(data: bytes) -> Iterator[JpegSegment]:
    """Yield the segments of a JPEG stream in order, entropy-coded data skipped.

    Raises
    ------
    NotDeidentifiable
        If the stream is not JPEG, or ends too early.
    """
    try:
        yield from _walk(data, through_scans=True)
    except _Short:
        raise NotDeidentifiable("A JPEG stream ends too early: the picture is damaged. Export it anew.") from None


def _walk(data: bytes, *, through_scans: bool) -> Iterator[JpegSegment]:
    if data[:2] != b"\xff\xd8":
        raise NotDeidentifiable("JPEG data does not begin as such: the picture is damaged. Export it anew.")
    place = 2
    while True:
        while data[place : place + 2] == b"\xff\xff":  # fill bytes
            place += 1
        if place + 2 > len(data):
            raise _Short
        if data[place] != 0xFF:
            raise NotDeidentifiable("JPEG data has no marker where one must be: the picture is damaged.")
        marker = data[place + 1]
        if marker == EOI:
            yield JpegSegment(marker, place, place + 2)
            return
        if place + 4 > len(data):
            raise _Short
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if end > len(data):
            raise _Short
        yield JpegSegment(marker, place, end)
        if marker == SOS:
            if not through_scans:
                return
            found = _SCAN_END.search(data, end)
            if found is None:
                raise _Short
            end = found.start()
        place = end


def blank_jpeg(read: Callable[[int], bytes], size: int) -> list[Patch]:
    """Find what to overwrite so that a JPEG stream carries no metadata; its length and pixels stay.

    Parameters
    ----------
    read
        Gives the first so many bytes of the stream.
    size
        Length of the stream.

    Returns
    -------
    list of (int, bytes)
        Offset in the stream, and the bytes to put there.

    Raises
    ------
    NotDeidentifiable
        If the stream is not JPEG, or ends within its header.
    """
    wanted = HEAD_BYTES
    while True:
        data = read(min(wanted, size))
        try:
            segments = list(_walk(data, through_scans=False))
            break
        except _Short:
            if wanted >= size:
                raise NotDeidentifiable("A JPEG tile ends within its header: the slide is damaged.") from None
            wanted *= 16
    return [patch for each in segments if (patch := _blank_segment(data, each)) is not None]


def _blank_segment(data: bytes, segment: JpegSegment) -> Patch | None:
    if segment.marker != COM and not APP0 <= segment.marker <= 0xEF:
        return None
    start, kept = segment.start + 4, 0
    if segment.marker in _KEPT:
        signature, length = _KEPT[segment.marker]
        if data[start : start + len(signature)] == signature:
            kept = length
    remains = segment.end - start - kept
    if remains <= 0 or not any(data[start + kept : segment.end]):
        return None
    return start + kept, bytes(remains)


def blank_jpeg2000(read: Callable[[int], bytes], size: int) -> list[Patch]:
    """Find what to overwrite so that the main header of a JPEG 2000 codestream holds no comment.

    Raises
    ------
    NotDeidentifiable
        If it is not a bare codestream: a JP2 file may hold XML and more.
    """
    data = read(min(65536, size))
    if data[:4] != b"\xff\x4f\xff\x51":
        raise NotDeidentifiable("A tile is a JPEG 2000 file, not a codestream: what else is in it is not known.")
    patches, place = [], 2
    while place + 4 <= len(data) and (marker := data[place : place + 2]) != b"\xff\x90":
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == b"\xff\x64" and any(data[place + 6 : end]):
            patches.append((place + 6, b" " * (min(end, size) - place - 6)))
        place = end
    return patches


def strip_jpeg(data: bytes) -> bytes:
    """Return a JPEG stream without application data, comments and whatever follows its end.

    Only Adobe's colour flag stays: without it a decoder takes RGB for YCbCr.
    """
    kept, place = [b"\xff\xd8"], 2
    for segment in list_segments(data):
        if segment.start > place:  # entropy-coded data before this marker
            kept.append(data[place : segment.start])
        if segment.marker == APP14 and data[segment.start + 4 :][:5] == b"Adobe":
            kept.append(b"\xff\xee\x00\x0e" + data[segment.start + 4 :][:12])
        elif segment.marker != COM and not APP0 <= segment.marker <= 0xEF:
            kept.append(data[segment.start : segment.end])
        place = segment.end
    return b"".join(kept)
