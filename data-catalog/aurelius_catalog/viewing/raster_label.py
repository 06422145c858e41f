"""Labels of a slide that mark pixels: segmentations, and arrays such as a model's result."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.records import SlideRecord
from aurelius_catalog.slides.placement import Place
from aurelius_catalog.slides.region import MOST_PICTURE_PX, SlideRegion
from aurelius_catalog.viewing.slide_label import LegendEntry, SlideLabel

#: Reads (x, y, width, height) in pixels: ``(mark, y, x)`` bool, or float32 0 … 1; nothing beside the picture.
Reader = Callable[[int, int, int, int], NDArray[np.generic]]
#: Longer side of the small copy that is kept, so that showing the whole does not read every pixel again.
OVERVIEW_PX = 2048
#: The label is read for it in squares of so many pixels.
BLOCK_PX = 1024


class MatrixLabel(SlideLabel):
    """A label of pixels; where one of its pixels is marked, so are the larger ones that show it from afar.

    Parameters
    ----------
    read
        Reads a part of it.
    opacity
        Of what it marks, 0 … 1.
    name, slide, marks, place, size
        As of any `SlideLabel`.
    """

    def __init__(
        self,
        read: Reader,
        opacity: float,
        name: str,
        slide: SlideRecord,
        marks: Sequence[LegendEntry],
        place: Place,
        size: tuple[int, int],
    ) -> None:
        super().__init__(name, slide, marks, place, size)
        self._read, self._opacity = read, opacity
        self._overview: NDArray[np.generic] | None = None
        self._overview_lock = Lock()
        self._overview_by = 1 << max(0, -(-max(size) // OVERVIEW_PX) - 1).bit_length()

    def draw(self, x: int, y: int, width: int, height: int, by: int, shown: Collection[int]) -> NDArray[np.uint8]:
        """Draw a part of it, ``(y, x, c)`` uint8 RGBA; see `SlideLabel.draw`."""
        if (own := self._overview_by) <= by:
            right, bottom = -(-(x + width) // own), -(-(y + height) // own)
            layers = _reduce(self._take_overview()[:, y // own : bottom, x // own : right], by // own)
        else:
            layers = _reduce(self._read(x, y, width, height), by)
        chosen = [(mark, layer) for mark, layer in zip(self.marks, layers, strict=True) if mark.number in shown]
        return _paint(chosen, layers.shape[1:], self._opacity)

    def _take_overview(self) -> NDArray[np.generic]:
        with self._overview_lock:  # of many tiles that need it, the first makes it
            if self._overview is None:
                self._overview = self._make_overview()
            return self._overview

    def _make_overview(self) -> NDArray[np.generic]:
        by, (width, height) = self._overview_by, self.size
        pixel = self._read(0, 0, 1, 1)
        overview = np.zeros((len(pixel), -(-height // by), -(-width // by)), pixel.dtype)
        step = max(BLOCK_PX, by)
        for top in range(0, height, step):
            for left in range(0, width, step):
                part = _reduce(self._read(left, top, min(step, width - left), min(step, height - top)), by)
                y, x = top // by, left // by
                overview[:, y : y + part.shape[1], x : x + part.shape[2]] = part
        return overview

    def _sample(self, region: SlideRegion, numbers: Sequence[int]) -> NDArray[np.generic]:
        (mpp_x, mpp_y), place = self.slide.mpp, self.place
        x_um, y_um = region.middles_um
        columns = np.floor((x_um / mpp_x - place.x) / place.by_x).astype(np.int64)
        rows = np.floor((y_um / mpp_y - place.y) / place.by_y).astype(np.int64)
        width, height = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
        if width * height > MOST_PICTURE_PX:
            raise InvalidRequest("This region is too large to be read at once: read a smaller one, or its parts.")
        layers = self._read(int(columns[0]), int(rows[0]), width, height)
        order = [[mark.number for mark in self.marks].index(number) for number in numbers]
        return layers[np.ix_(order, rows - rows[0], columns - columns[0])]


def _reduce(layers: NDArray[np.generic], by: int) -> NDArray[np.generic]:
    """Make ``(mark, y, x)`` smaller; a pixel holds the most of those it covers, so that no small finding vanishes."""
    if by == 1:
        return layers
    count, height, width = layers.shape
    padded = np.pad(layers, ((0, 0), (0, -height % by), (0, -width % by)))
    reduced: NDArray[np.generic] = padded.reshape(count, -(-height // by), by, -(-width // by), by).max(axis=(2, 4))
    return reduced


def _paint(
    chosen: Sequence[tuple[LegendEntry, NDArray[np.generic]]], shape: tuple[int, ...], opacity: float
) -> NDArray[np.uint8]:
    """Lay colours over one another: ``(y, x, c)`` uint8 RGBA."""
    colour, cover = np.zeros((*shape, 3), np.float32), np.zeros((*shape, 1), np.float32)
    for mark, layer in chosen:
        if not layer.any():
            continue
        share = layer.astype(np.float32)[..., None]
        colour = colour * (1 - share) + np.array(mark.colour, np.float32) * share
        cover = cover + share - cover * share
    colour = np.divide(colour, cover, out=colour, where=cover > 0)
    return np.concatenate([colour, cover * (255 * opacity)], axis=2).round().astype(np.uint8)
