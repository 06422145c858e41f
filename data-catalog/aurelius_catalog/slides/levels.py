"""The levels of a slide as lazy xarray arrays: read only as far as they are used, with coordinates in micrometres."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from aurelius_catalog.records import SlideRecord
from aurelius_catalog.store import Store

#: Slides are read in squares of so many pixels, side by side.
PART_PX = 1024
THREADS = 4


class LevelArray(BackendArray):
    """One level of a slide, ``(y, x, c)`` uint8 RGB, read as far as it is indexed.

    Parameters
    ----------
    store
        The store that it is read from.
    record
        The record of the slide.
    level
        The number of the level, 0 for the finest.
    """

    def __init__(self, store: Store, record: SlideRecord, level: int) -> None:
        size = record.get_level(level)
        self._store, self._record, self._level = store, record, level
        self.shape = (size.height, size.width, 3)
        self.dtype = np.dtype(np.uint8)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> NDArray[np.uint8]:
        rows, columns = (
            range(size)[part] if isinstance(part, slice) else range(size)[part : part + 1 or None]
            for part, size in zip(key[:2], self.shape, strict=False)
        )
        if rows and columns:
            top, left = min(rows), min(columns)
            size = max(columns) + 1 - left, max(rows) + 1 - top
            pixels = read_pixels(self._store, self._record, self._level, left, top, *size)
            pixels = pixels[_count_from(rows, top), _count_from(columns, left)]
        else:
            pixels = np.zeros((len(rows), len(columns), 3), np.uint8)
        return pixels[(*(slice(None) if isinstance(part, slice) else 0 for part in key[:2]), key[2])]


def read_pixels(
    store: Store, record: SlideRecord, level: int, x: int, y: int, width: int, height: int
) -> NDArray[np.uint8]:
    """Read a region of any size of one level, in parts side by side.

    Returns
    -------
    numpy.ndarray
        ``(y, x, c)`` uint8 RGB; beside the slide, its background.
    """
    uid = record.SeriesInstanceUID
    if width <= PART_PX and height <= PART_PX:
        return np.array(store.read_slide_region(uid, level, x, y, width, height))  # people may write to theirs
    pixels = np.empty((height, width, 3), np.uint8)

    def read(corner: tuple[int, int]) -> None:
        top, left = corner
        size = min(PART_PX, width - left), min(PART_PX, height - top)
        pixels[top : top + size[1], left : left + size[0]] = store.read_slide_region(
            uid, level, x + left, y + top, *size
        )

    corners = [(top, left) for top in range(0, height, PART_PX) for left in range(0, width, PART_PX)]
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(read, corners):
            pass
    return pixels


def open_level(store: Store, record: SlideRecord, level: int) -> xr.DataArray:
    """Open one level lazily.

    Returns
    -------
    xarray.DataArray
        ``(y, x, c)`` uint8 RGB. Coordinates are the middles of the pixels from the upper left corner of the slide, in
        micrometres, or in pixels of level 0 where the slide does not say how large those are; ``attrs["units"]`` of
        each says which.
    """
    size, (by_x, by_y) = record.get_level(level), record.scale(level)
    known = record.mpp_x is not None and record.mpp_y is not None
    steps = {"y": by_y * (record.mpp_y or 1.0), "x": by_x * (record.mpp_x or 1.0)} if known else {"y": by_y, "x": by_x}
    counts = {"y": size.height, "x": size.width}
    units = {"units": "µm" if known else "px"}
    coordinates: dict[str, Any] = {
        name: (name, (np.arange(counts[name]) + 0.5) * step, units) for name, step in steps.items()
    }
    coordinates["c"] = ("c", ["R", "G", "B"])
    attributes = {
        "level": level,
        "downsample": size.downsample,
        "SeriesInstanceUID": record.SeriesInstanceUID,
        **({"spacing_um": [steps["y"], steps["x"]]} if known else {}),
    }
    data = indexing.LazilyIndexedArray(LevelArray(store, record, level))
    variable = xr.Variable(("y", "x", "c"), data, attributes)
    return xr.DataArray(variable, coordinates, name="image")


def open_tree(store: Store, record: SlideRecord, chunks: Mapping[str, int] | None = None) -> xr.DataTree:
    """Open all levels lazily: one node for each, named by its number, with the variable ``image``."""
    levels = {str(number): open_level(store, record, number).to_dataset() for number in range(len(record.levels))}
    if chunks is not None:
        levels = {name: level.chunk({"y": PART_PX, "x": PART_PX, **chunks}) for name, level in levels.items()}
    attributes = {
        "SeriesInstanceUID": record.SeriesInstanceUID,
        "vendor": record.vendor,
        "mpp_x": record.mpp_x,
        "mpp_y": record.mpp_y,
        "objective_power": record.objective_power,
    }
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attributes), **levels})


def _count_from(positions: range, start: int) -> slice:
    """Return positions as a slice of what begins at ``start``."""
    stop = positions.stop - start
    return slice(positions.start - start, stop if stop >= 0 else None, positions.step)
