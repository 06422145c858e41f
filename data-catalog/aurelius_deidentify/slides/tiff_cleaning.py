"""The plan of a TIFF slide's clean copy, made before a byte is written.

The copy keeps the offsets of its source: the directories of the scan are written again in their place with the tags
that may stay, their tiles are copied untouched, and everything else in the file, known or not, becomes zeros. So the
bytes of labels and macros, of dropped texts and of gaps between them are not in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from aurelius_deidentify.errors import NotDeidentifiable
from aurelius_deidentify.slides import tags
from aurelius_deidentify.slides.copying import Patch, Range, read_ranges
from aurelius_deidentify.slides.descriptions import clean_aperio, clean_ome, is_ome, list_aperio_values
from aurelius_deidentify.slides.icc import clean_profile
from aurelius_deidentify.slides.jpeg import blank_jpeg, blank_jpeg2000
from aurelius_deidentify.slides.pyramid import (
    COMPRESSION,
    STRIP_COUNTS,
    STRIP_OFFSETS,
    TILE_COUNTS,
    TILE_OFFSETS,
    Kind,
    choose_directories,
    find_kind,
    is_level,
    measure,
)
from aurelius_deidentify.slides.tiff import LARGE, SUB_IFDS, TiffFile
from aurelius_deidentify.slides.tiff_layout import Directory, Entry

#: Shorter values occur by chance in compressed tiles and prove nothing.
SHORTEST_IDENTIFIER = 6


@dataclass
class CleaningPlan:
    """A clean copy of one TIFF slide, ready to be written.

    Parameters
    ----------
    kind
        The format.
    width, height
        Of the scan at full resolution, in pixels.
    identifiers
        Identifying texts that stand in the source and must not stand in the copy.
    """

    path: Path
    kind: Kind
    width: int
    height: int
    ranges: list[Range] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    identifiers: set[str] = field(default_factory=set)

    def write(self, target: Path) -> None:
        """Write the clean copy.

        Raises
        ------
        NotDeidentifiable
            If the source has become shorter.
        """
        with self.path.open("rb") as source, target.open("wb") as written:
            for block in read_ranges(source, self.ranges, self.patches):
                written.write(block)


def plan_tiff(path: Path) -> CleaningPlan | None:
    """Plan the clean copy of a TIFF slide; None if the file is a TIFF picture and not a slide.

    Raises
    ------
    NotDeidentifiable
        If its structure is damaged, or holds what is not understood.
    """
    with path.open("rb") as file:
        tiff = TiffFile(file)
        kind = find_kind(tiff)
        if kind is None:
            return None
        width, height = measure(tiff, tiff.directories[0])
        plan = CleaningPlan(path, kind, width, height)
        _TiffPlanner(tiff, plan).fill()
    return plan


class _TiffPlanner:
    """Fills a plan; holds what all of its steps need."""

    def __init__(self, tiff: TiffFile, plan: CleaningPlan) -> None:
        self.tiff, self.plan, self.layout = tiff, plan, tiff.layout
        self.end = tiff.size + tiff.size % 2  # where values that outgrow their place are put

    def fill(self) -> None:
        tiff, plan = self.tiff, self.plan
        chosen = choose_directories(tiff, plan.kind)
        self.numbers = {old: new for new, old in enumerate(chosen)}
        plan.ranges.append((0, 16 if self.layout.big else 12 if self.layout.ndpi and tiff.size >= LARGE else 8))
        for each in tiff.directories:
            self._collect_identifiers(each)
        kept = list(chosen.values())
        for number, (directory, after) in enumerate(zip(kept, [*kept[1:], None], strict=True)):
            children = [child for child in directory.children if is_level(tiff, child, tiff.directories[0])]
            self._plan_directory(directory, after.at if after else 0, children, is_first=number == 0)
            for child in children:
                self._plan_directory(child, 0, [], is_first=False)

    def _plan_directory(self, directory: Directory, next_at: int, children: list[Directory], *, is_first: bool) -> None:
        entries = []
        for entry in directory.entries.values():
            if entry.code == SUB_IFDS:
                if children:
                    size = entry.size // entry.count
                    value = b"".join(self.layout.pack(child.at, size) for child in children)
                    entries.append(self._write_value(entry, value, len(children)))
            elif tags.keeps_numbers(entry.code, entry.kind, entry.count):
                entries.append(entry)
                if not entry.inline:
                    self._keep(entry.at, entry.at + entry.size)
            elif (cleaned := self._clean_value(entry, is_first=is_first)) is not None:
                entries.append(self._write_value(entry, cleaned, len(cleaned)))
        self.plan.patches.append((directory.at, self._write_directory(directory, entries, next_at)))
        self._plan_pixels(directory)

    def _clean_value(self, entry: Entry, *, is_first: bool) -> bytes | None:
        """Return what is left of a value other than numbers; None if nothing is."""
        tiff, kind = self.tiff, self.plan.kind
        if entry.code == tags.DESCRIPTION and kind is Kind.APERIO:
            return clean_aperio(tiff.read_text(entry)).encode("ascii", "replace") + b"\0"
        if entry.code == tags.DESCRIPTION and kind is Kind.OME and is_first:
            return clean_ome(tiff.read_text(entry), self.numbers).encode() + b"\0"
        if entry.code == tags.MAKE and kind is Kind.NDPI and tiff.read_text(entry).lower().startswith("hamamatsu"):
            return b"Hamamatsu\0"  # by which readers know the format
        if entry.code == tags.JPEG_TABLES:
            return _blank_tables(tiff.read_bytes(entry))
        if entry.code == tags.ICC_PROFILE:
            return clean_profile(tiff.read_bytes(entry))
        return None

    def _write_value(self, entry: Entry, value: bytes, count: int) -> Entry:
        """Return the entry of a new value, which takes the place of the old one or goes to the end of the file."""
        layout = self.layout
        head = layout.pack(entry.code, 2) + layout.pack(entry.kind, 2)
        head += layout.pack(count, layout.entry_size - 4 - layout.inline_size)
        if len(value) <= layout.inline_size:
            raw = head + value.ljust(layout.inline_size, b"\0")
            return Entry(entry.code, entry.kind, count, entry.at, len(value), True, raw, bytes(len(entry.high)))
        at = entry.at
        if len(value) > entry.size:
            at, self.end = self.end, self.end + len(value) + len(value) % 2
        self.plan.patches.append((at, value))
        raw = head + layout.pack(at % (1 << 8 * layout.inline_size), layout.inline_size)
        high = layout.pack(at >> 32, 4) if entry.high else b""
        return Entry(entry.code, entry.kind, count, at, len(value), False, raw, high)

    def _write_directory(self, directory: Directory, entries: list[Entry], next_at: int) -> bytes:
        layout = self.layout
        entries = sorted(entries, key=lambda entry: entry.code)
        data = layout.pack(len(entries), layout.count_size) + b"".join(entry.raw for entry in entries)
        return data + layout.pack(next_at, layout.pointer_size) + b"".join(entry.high for entry in entries)

    def _plan_pixels(self, directory: Directory) -> None:
        tiff, entries = self.tiff, directory.entries
        places = (TILE_OFFSETS, TILE_COUNTS) if TILE_OFFSETS in entries else (STRIP_OFFSETS, STRIP_COUNTS)
        offsets, sizes = (tiff.read_integers(entries.get(code)) for code in places)
        if not offsets or len(offsets) != len(sizes):
            raise NotDeidentifiable("An image of the slide does not say where its tiles are. Export the slide anew.")
        compression = (tiff.read_integers(entries.get(COMPRESSION)) or (1,))[0]
        known = tags.COMPRESSION_PLAIN | tags.COMPRESSION_JPEG | tags.COMPRESSION_JPEG2000
        if compression not in known:
            raise NotDeidentifiable(f"The slide is compressed by a method ({compression}) that is not known here.")
        for offset, size in zip(offsets, sizes, strict=True):
            if offset + size > tiff.size:
                raise NotDeidentifiable("The slide file ends too early: it was cut off on its way here.")
            if not size:
                continue
            self._keep(offset, offset + size)
            if compression not in tags.COMPRESSION_PLAIN:
                self._plan_tile(offset, size, compression)

    def _keep(self, start: int, end: int) -> None:
        ranges = self.plan.ranges
        if ranges and ranges[-1][1] == start:  # tiles mostly follow one another: a million of them is one range
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((start, end))

    def _plan_tile(self, offset: int, size: int, compression: int) -> None:
        blank = blank_jpeg if compression in tags.COMPRESSION_JPEG else blank_jpeg2000
        found = blank(lambda wanted: self.tiff.read(offset, wanted), size)
        self.plan.patches += [(offset + place, data) for place, data in found]

    def _collect_identifiers(self, directory: Directory) -> None:
        texts = [self.tiff.read_text(directory.entries.get(code)).strip() for code in tags.IDENTIFYING]
        description = self.tiff.read_text(directory.entries.get(tags.DESCRIPTION))
        if self.plan.kind is Kind.APERIO:
            texts += list_aperio_values(description)
        elif description and not is_ome(description):
            texts.append(description)
        self.plan.identifiers |= {text for text in texts if len(text) >= SHORTEST_IDENTIFIER}


def _blank_tables(data: bytes) -> bytes:
    patched = bytearray(data)
    for place, value in blank_jpeg(lambda wanted: data[:wanted], len(data)):
        patched[place : place + len(value)] = value
    return bytes(patched)
