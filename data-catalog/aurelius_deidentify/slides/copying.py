"""Copies of chosen bytes of a file at their places, with zeros everywhere else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from aurelius_deidentify.errors import NotDeidentifiable

BLOCK_BYTES = 8 * 1024 * 1024
Range = tuple[int, int]
Patch = tuple[int, bytes]


def merge_ranges(ranges: Iterable[Range]) -> list[Range]:
    """Return (start, end) ranges sorted, those that touch joined."""
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif end > start:
            merged.append((start, end))
    return merged


def read_ranges(source: BinaryIO, ranges: Iterable[Range], patches: Iterable[Patch]) -> Iterator[bytearray]:
    """Yield a file block by block: the ranges as in the source, over them the patches, and zeros for the rest.

    Memory stays flat, whatever the size.

    Raises
    ------
    NotDeidentifiable
        If the source ends within a range.
    """
    pieces = sorted(
        _split((start, end - start, None) for start, end in merge_ranges(ranges)),
        key=lambda piece: piece[0],
    )
    overlays = sorted(_split((at, len(data), data) for at, data in patches), key=lambda piece: piece[0])
    end = max((at + size for at, size, _ in [*pieces, *overlays]), default=0)
    taken = [0, 0]
    for start in range(0, end, BLOCK_BYTES):
        block = bytearray(min(BLOCK_BYTES, end - start))
        for number, queue in enumerate((pieces, overlays)):
            while taken[number] < len(queue) and queue[taken[number]][0] < start + len(block):
                at, size, data = queue[taken[number]]
                place = memoryview(block)[at - start : at - start + size]
                if data is not None:
                    place[:] = data
                elif os.preadv(source.fileno(), [place], at) != size:
                    raise NotDeidentifiable("The slide file ends too early: it was cut off on its way here.")
                taken[number] += 1
        yield block


def _split(pieces: Iterable[tuple[int, int, bytes | None]]) -> Iterator[tuple[int, int, bytes | None]]:
    """Cut pieces at the borders of blocks."""
    for at, size, data in pieces:
        place = at
        while place < at + size:
            end = min(at + size, (place // BLOCK_BYTES + 1) * BLOCK_BYTES)
            yield place, end - place, None if data is None else data[place - at : end - at]
            place = end
