"""Regions of a slide by their physical size, and the pixels that a picture of them has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aurelius_catalog.errors import InvalidRequest

#: A picture of a region has no more pixels than this: 4 bytes each, and a screen has ten.
MOST_PICTURE_PX = 1 << 26


@dataclass(frozen=True)
class SlideRegion:
    """A region, and how it becomes a picture.

    Parameters
    ----------
    corner_um
        x and y of its upper left corner in micrometres from that of the slide.
    step_um
        Width and height of a pixel of the picture.
    columns, rows
        Of the picture.
    """

    corner_um: tuple[float, float]
    step_um: tuple[float, float]
    columns: int
    rows: int

    @property
    def middles_um(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The middles of the columns ``(x,)`` and of the rows ``(y,)``, float64 µm from the slide's corner."""
        x = self.corner_um[0] + (np.arange(self.columns) + 0.5) * self.step_um[0]
        y = self.corner_um[1] + (np.arange(self.rows) + 0.5) * self.step_um[1]
        return np.asarray(x), np.asarray(y)

    @property
    def coordinates(self) -> dict[str, Any]:
        """Coordinates of the axes y and x for xarray, in micrometres."""
        x, y = self.middles_um
        return {"y": ("y", y, {"units": "µm"}), "x": ("x", x, {"units": "µm"})}


def choose_region(
    x_um: float, y_um: float, width_um: float, height_um: float, size_px: int | tuple[int, int]
) -> SlideRegion:
    """Turn a request for a region into a grid of pixels; see `aurelius_catalog.slide.Slide.read_region`.

    Raises
    ------
    InvalidRequest
        If the region is empty or the picture too large.
    """
    if not (width_um > 0 and height_um > 0 and np.isfinite([x_um, y_um, width_um, height_um]).all()):
        raise InvalidRequest("A region has a place and a size larger than nothing, in micrometres.")
    columns, rows = choose_size(size_px, width_um, height_um)
    return SlideRegion((x_um, y_um), (width_um / columns, height_um / rows), columns, rows)


def choose_size(size_px: int | tuple[int, int], width: float, height: float) -> tuple[int, int]:
    """Return width and height of a picture in pixels; of one number, it is the longer side.

    Raises
    ------
    InvalidRequest
        If it has no pixel, or too many.
    """
    if isinstance(size_px, int):
        by = size_px / max(width, height)
        size_px = max(1, round(width * by)), max(1, round(height * by))
    columns, rows = size_px
    if columns < 1 or rows < 1 or columns * rows > MOST_PICTURE_PX:
        raise InvalidRequest(f"A picture has at least one pixel and at most {MOST_PICTURE_PX}.")
    return columns, rows
