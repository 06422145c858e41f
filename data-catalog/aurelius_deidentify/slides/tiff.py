"""The structure of TIFF files, as far as cleaning a slide needs it: classic, BigTIFF and Hamamatsu's NDPI.

Sources: TIFF 6.0, the BigTIFF design, and NDPI as OpenSlide and tifffile read it (an 8-byte pointer to the next
directory, and behind it the upper 32 bits of every value).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from aurelius_deidentify.errors import NotDeidentifiable
from aurelius_deidentify.slides.tiff_layout import Directory, Entry, TiffLayout

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_FORMATS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
SUB_IFDS = 330
NDPI_FLAG = 65420
LARGE = 2**32
#: No slide has more directories than this; a file that claims to runs in a circle.
MOST_DIRECTORIES = 100_000
DAMAGED = "The TIFF structure is damaged: {}. Nothing of it was stored; export the slide anew."


class TiffFile:
    """A TIFF file opened for looking at its directories; pixel data is never touched.

    Parameters
    ----------
    file
        The file, open for reading; it stays the caller's.

    Raises
    ------
    NotDeidentifiable
        If a directory or a value lies outside of the file, or directories form a circle.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = file.fileno()
        self.size = os.fstat(self._descriptor).st_size
        head = self.read(0, 16)
        order = "<" if head[:2] == b"II" else ">"
        self.layout = TiffLayout(order, head[2:4] in (b"+\0", b"\0+"), ndpi=False)
        first = self.layout.unpack(head[8:16] if self.layout.big else head[4:8])
        if not self.layout.big and (ndpi_first := self._find_ndpi(head, first)) is not None:
            self.layout, first = TiffLayout(order, big=False, ndpi=True), ndpi_first
        self._seen: set[int] = set()
        self.directories = list(self._walk(first))

    def read(self, at: int, size: int) -> bytes:
        """Return bytes of the file.

        Raises
        ------
        NotDeidentifiable
            If the file ends before them.
        """
        data = os.pread(self._descriptor, size, at) if 0 <= at <= self.size else b""
        if len(data) != size:
            raise NotDeidentifiable(DAMAGED.format("it points behind the end of the file"))
        return data

    def read_bytes(self, entry: Entry) -> bytes:
        """Return the value of an entry as the bytes it is."""
        return self.read(entry.at, entry.size)

    def read_text(self, entry: Entry | None) -> str:
        """Return an ASCII value; empty if there is none."""
        if entry is None or entry.kind not in (2, 7):
            return ""
        return self.read_bytes(entry).rstrip(b"\0").decode("utf-8", "replace")

    def read_numbers(self, entry: Entry | None) -> tuple[float, ...]:
        """Return the numbers of an entry, rationals divided; empty if it holds none."""
        if entry is None:
            return ()
        data = self.read_bytes(entry)
        if entry.kind in (5, 10):
            halves = struct.unpack(f"{self.layout.order}{entry.count * 2}{'I' if entry.kind == 5 else 'i'}", data)
            return tuple(a / b if b else 0.0 for a, b in zip(halves[::2], halves[1::2], strict=True))
        if entry.kind not in _FORMATS:
            return ()
        numbers = struct.unpack(f"{self.layout.order}{entry.count}{_FORMATS[entry.kind]}", data)
        if entry.high and entry.inline and entry.count == 1 and entry.kind == 4:
            return (numbers[0] + (self.layout.unpack(entry.high) << 32),)
        return numbers

    def read_integers(self, entry: Entry | None) -> tuple[int, ...]:
        """Return the numbers of an entry as integers."""
        return tuple(int(number) for number in self.read_numbers(entry))

    def _find_ndpi(self, head: bytes, first: int) -> int | None:
        """Return where the first directory is if this is an NDPI file."""
        wide = self.layout.unpack(head[4:12])
        at = wide if self.size >= LARGE and wide < self.size else first
        if not 8 <= at <= self.size - 2:
            return None
        count = self.layout.unpack(self.read(at, 2))
        table = os.pread(self._descriptor, count * 12, at + 2)
        codes = {self.layout.unpack(table[place : place + 2]) for place in range(0, len(table) - 1, 12)}
        return at if NDPI_FLAG in codes else None

    def _walk(self, at: int) -> Iterator[Directory]:
        while at:
            directory = self._read_directory(at)
            for child in self.read_integers(directory.entries.get(SUB_IFDS)):
                directory.children.append(self._read_directory(child))
            yield directory
            at = directory.next_at

    def _read_directory(self, at: int) -> Directory:
        if at in self._seen or len(self._seen) > MOST_DIRECTORIES:
            raise NotDeidentifiable(DAMAGED.format("its directories form a circle"))
        self._seen.add(at)
        layout = self.layout
        count = layout.unpack(self.read(at, layout.count_size))
        if count > 4096:
            raise NotDeidentifiable(DAMAGED.format("a directory has too many entries"))
        table_at = at + layout.count_size
        table = self.read(table_at, count * layout.entry_size)
        next_place = table_at + len(table)
        next_at = layout.unpack(self.read(next_place, layout.pointer_size))
        end = next_place + layout.pointer_size
        highs = b""
        if layout.ndpi:  # they only mean something in large files, but are there in all of them
            highs = self.read(end, 4 * count) if self.size >= LARGE else bytes(4 * count)
            end += 4 * count
        entries = {}
        for number in range(count):
            raw = table[number * layout.entry_size :][: layout.entry_size]
            high = highs[number * 4 : number * 4 + 4]
            entry = self._read_entry(raw, high, table_at + number * layout.entry_size)
            if entry is not None:
                entries[entry.code] = entry
        return Directory(at, end, next_at, entries)

    def _read_entry(self, raw: bytes, high: bytes, at: int) -> Entry | None:
        layout = self.layout
        code, kind = layout.unpack(raw[:2]), layout.unpack(raw[2:4])
        count = layout.unpack(raw[4 : -layout.inline_size])
        if kind not in SIZES:
            return None
        size = SIZES[kind] * count
        inline = size <= layout.inline_size
        value_at = at + layout.entry_size - layout.inline_size
        if not inline:
            value_at = layout.unpack(raw[-layout.inline_size :]) + (layout.unpack(high) << 32 if high else 0)
            if value_at + size > self.size:
                raise NotDeidentifiable(DAMAGED.format("a value lies behind the end of the file"))
        return Entry(code, kind, count, value_at, size, inline, raw, high)


def is_tiff(head: bytes) -> bool:
    """Whether a file begins as a TIFF file does."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
