"""DICOM slides read frame by frame, at the positions that the index knows (PS3.3 section C.8.12)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from openslide import (
    PROPERTY_NAME_MPP_X,
    PROPERTY_NAME_MPP_Y,
    PROPERTY_NAME_OBJECTIVE_POWER,
    PROPERTY_NAME_VENDOR,
)
from pydicom import Dataset, dcmread
from pydicom.uid import UID

from aurelius_catalog.dicom.frame_locations import decode_frame, strip_items
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.records import InstanceRecord
from aurelius_catalog.slides.array_slide import ArraySlide, Pixels, find_white, to_rgba

#: Decoded tiles that are kept: a row of them across a screen, and the next.
KEPT_TILES = 64
#: Tiles from which the brightness of a slide of more than 8 bits is measured.
SAMPLED_TILES = 16
_WANTED = [
    "NumberOfOpticalPaths",
    "ObjectiveLensPower",
    "OpticalPathSequence",
    "TotalPixelMatrixColumns",
    "TotalPixelMatrixFocalPlanes",
    "TotalPixelMatrixRows",
]


class FrameSlide(ArraySlide):
    """A DICOM slide whose levels lie in one file each; of several focal planes or optical paths, the first is shown.

    Parameters
    ----------
    folder
        The catalog's files.
    instances
        The levels: instances of VL Whole Slide Microscopy Image Storage.

    Raises
    ------
    InvalidRequest
        If one of them does not say how large it is, or where its frames lie.
    """

    def __init__(self, folder: Path, instances: Sequence[InstanceRecord]) -> None:
        levels: dict[tuple[int, int], _Level] = {}
        for instance in instances:
            level = _Level(folder / instance.path, instance)
            levels.setdefault(level.size, level)
        self._levels = sorted(levels.values(), key=lambda level: -level.size[0])
        finest = self._levels[0]
        super().__init__([level.size for level in self._levels], finest.describe())
        self._read_tile = lru_cache(maxsize=KEPT_TILES)(self._decode_tile)

    def read_pixels(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Read ``(height, width, 4)`` uint8 RGBA; transparent where a sparse level has no tile."""
        region = np.zeros((height, width, 4), np.uint8)
        this = self._levels[level]
        for frame in this.find_frames(x, y, width, height):
            left, top = this.places[frame]
            tile = self._read_tile(level, frame)
            x0, y0 = max(left, x), max(top, y)
            x1, y1 = min(left + tile.shape[1], x + width), min(top + tile.shape[0], y + height)
            region[y0 - y : y1 - y, x0 - x : x1 - x] = tile[y0 - top : y1 - top, x0 - left : x1 - left]
        return region

    def _decode_tile(self, level: int, frame: int) -> Pixels:
        return to_rgba(self._levels[level].decode_frame(frame), self._white)

    @cached_property
    def _white(self) -> float:
        coarsest = self._levels[-1]
        chosen = range(0, len(coarsest.places), -(-len(coarsest.places) // SAMPLED_TILES))
        return find_white(np.stack([coarsest.decode_frame(frame) for frame in chosen]))


class _Level:
    """One level: a file, and where in the picture each of its frames lies."""

    def __init__(self, path: Path, instance: InstanceRecord) -> None:
        self.path, self.instance = path, instance
        self.header = dcmread(path, stop_before_pixels=True, specific_tags=[*_WANTED])
        size = [self.header.get(name) for name in ("TotalPixelMatrixColumns", "TotalPixelMatrixRows")]
        if not all(size) or not instance.Rows or not instance.Columns or not instance.frames:
            raise InvalidRequest("This DICOM slide does not say how large it is, or where its frames are.")
        self.size = int(size[0]), int(size[1])
        self.tile = instance.Columns, instance.Rows
        self.places = self._list_places()

    def _list_places(self) -> NDArray[np.int64]:
        """Return ``(frame, 2)``: x and y of the first pixel of each frame of the first plane, from 0."""
        columns, rows = (-(-whole // part) for whole, part in zip(self.size, self.tile, strict=True))
        per_frame, count = self.instance.per_frame, len(self.instance.frames)
        names = "ColumnPositionInTotalImagePixelMatrix", "RowPositionInTotalImagePixelMatrix"
        if all(name in per_frame for name in names):  # sparse: each frame says where it lies, counted from 1
            each = [per_frame[name] if len(per_frame[name]) == count else per_frame[name] * count for name in names]
            return np.array(each, dtype=np.int64).T - 1
        index = np.arange(min(count, columns * rows))  # full: row by row
        return np.stack([index % columns * self.tile[0], index // columns * self.tile[1]], axis=1)

    def find_frames(self, x: int, y: int, width: int, height: int) -> list[int]:
        """Return the frames that a region touches, the first plane's last, so that it lies on top."""
        left, top = self.places[:, 0], self.places[:, 1]
        touched = (left < x + width) & (left + self.tile[0] > x) & (top < y + height) & (top + self.tile[1] > y)
        return [int(frame) for frame in np.flatnonzero(touched)[::-1]]

    def decode_frame(self, frame: int) -> NDArray[np.generic]:
        """Return the stored pixels of one frame."""
        offset, length = self.instance.frames[frame]
        with self.path.open("rb") as file:
            data = os.pread(file.fileno(), length, offset)
        return decode_frame(
            strip_items(data) if UID(self.instance.TransferSyntaxUID).is_encapsulated else data, self.instance
        )

    def describe(self) -> dict[str, str]:
        """Return the properties of the slide under OpenSlide's names."""
        found = {PROPERTY_NAME_VENDOR: "dicom"}
        spacing = self.instance.per_frame.get("PixelSpacing")
        if spacing and spacing[0]:
            row_mm, column_mm = spacing[0]
            found |= {PROPERTY_NAME_MPP_X: str(column_mm * 1000), PROPERTY_NAME_MPP_Y: str(row_mm * 1000)}
        paths: list[Dataset] = list(self.header.get("OpticalPathSequence") or [])
        if paths and paths[0].get("ObjectiveLensPower"):
            found[PROPERTY_NAME_OBJECTIVE_POWER] = str(paths[0].ObjectiveLensPower)
        return found
