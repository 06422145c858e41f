"""Labels over a slide: drawn tile by tile in their colours, and read by physical size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image

from aurelius_catalog.dicom.segments import Colour
from aurelius_catalog.errors import InvalidLabel, NotFound
from aurelius_catalog.records import SlideRecord
from aurelius_catalog.slides.placement import Place
from aurelius_catalog.slides.region import SlideRegion, choose_region

#: Tiles of labels are half transparent: where two lay over one another a seam would show, so they have no overlap.
TILE_PX = 512


@dataclass(frozen=True)
class LegendEntry:
    """One thing that a label knows: its number, what it means, and the colour it is shown in."""

    number: int
    label: str
    colour: Colour


class SlideLabel(ABC):
    """A label over a slide, wherever it comes from.

    Parameters
    ----------
    name
        Its name in a legend.
    slide
        The slide it lies over.
    marks
        The things it distinguishes.
    place
        Its place on the slide.
    size
        Width and height in pixels of its own.
    """

    def __init__(
        self, name: str, slide: SlideRecord, marks: Sequence[LegendEntry], place: Place, size: tuple[int, int]
    ) -> None:
        self.name, self.slide, self.marks = name, slide, tuple(marks)
        self.place, self.size = place, size

    def __repr__(self) -> str:
        return f"<SlideLabel {self.name}: {', '.join(mark.label for mark in self.marks)}>"

    @abstractmethod
    def draw(self, x: int, y: int, width: int, height: int, by: int, shown: Collection[int]) -> NDArray[np.uint8]:
        """Draw a part of it.

        Parameters
        ----------
        x, y, width, height
            In pixels of its own, x and y whole multiples of ``by``.
        by
            How many of these one pixel of the picture covers along each side, a power of two.
        shown
            Numbers of the marks to draw.

        Returns
        -------
        numpy.ndarray
            ``(y, x, c)`` uint8 RGBA.
        """

    @abstractmethod
    def _sample(self, region: SlideRegion, numbers: Sequence[int]) -> NDArray[np.generic]:
        """Return ``(mark, y, x)`` bool, or float32 0 … 1, at the middles of the pixels of a region."""

    def read_region(
        self,
        x_um: float,
        y_um: float,
        width_um: float,
        height_um: float,
        size_px: int | tuple[int, int] = 512,
        *,
        masks: bool = False,
        labels: Sequence[str] | None = None,
    ) -> xr.DataArray:
        """Read a region by its physical size, as `Slide.read_region` reads the picture: pixel for pixel the same place.

        Parameters
        ----------
        x_um, y_um, width_um, height_um, size_px
            As there. Each pixel gets what lies at its middle.
        masks
            Whether each mark comes by itself, for those that overlap or hold fractions.
        labels
            Which marks; None: all.

        Returns
        -------
        xarray.DataArray
            ``(y, x)`` uint8 (uint16 where numbers are higher), 0 where there is nothing; with ``masks``
            ``(segment, y, x)`` bool, or float32 0 … 1 for fractions.

        Raises
        ------
        InvalidRequest
            If the region is empty or too large, or the slide does not say how large its pixels are.
        InvalidLabel
            If marks share a pixel, or hold fractions, and are not asked for as masks; or there is no such mark.
        """
        region = choose_region(x_um, y_um, width_um, height_um, size_px)
        wanted = self.marks if labels is None else [self._find_mark(label) for label in labels]
        numbers = [mark.number for mark in wanted]
        values = self._sample(region, numbers)
        coordinates = {axis: region.coordinates[axis] for axis in "yx"}
        attributes = {"spacing_um": [region.step_um[1], region.step_um[0]]}
        if masks:
            names = {"segment": numbers, "label": ("segment", [mark.label for mark in wanted])}
            return xr.DataArray(values, {**coordinates, **names}, ("segment", "y", "x"), name="label", attrs=attributes)
        combined = _combine(values, numbers)
        return xr.DataArray(combined, coordinates, ("y", "x"), name="label", attrs={**attributes, "units": "segment"})

    def _find_mark(self, label: str) -> LegendEntry:
        for mark in self.marks:
            if mark.label == label:
                return mark
        raise InvalidLabel(f"There is no {label!r}; there are: {', '.join(mark.label for mark in self.marks)}.")


def draw_tile(label: SlideLabel, level: int, column: int, row: int, shown: Collection[int]) -> bytes:
    """Draw a DeepZoom tile of a label as PNG, transparent where there is nothing.

    Raises
    ------
    NotFound
        If there is no such tile.
    """
    width, height = label.size
    finest = (max(width, height) - 1).bit_length()
    by = 1 << (finest - level) if 0 <= level <= finest else 0
    x, y = column * TILE_PX * by, row * TILE_PX * by
    if not by or min(column, row) < 0 or x >= width or y >= height:
        raise NotFound("This label has no such tile.")
    side = TILE_PX * by
    picture = label.draw(x, y, min(side, width - x), min(side, height - y), by, shown)
    file = BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _combine(values: NDArray[np.generic], numbers: Sequence[int]) -> NDArray[np.generic]:
    if values.dtype != bool:
        raise InvalidLabel("This label holds fractions, not yes or no: take `masks=True` and a threshold.")
    combined = np.zeros(values.shape[1:], np.min_scalar_type(max(numbers, default=1)))
    for number, mask in zip(numbers, values, strict=True):
        if combined[mask].any():
            raise InvalidLabel("What this label marks overlaps here: take `masks=True`.")
        combined[mask] = number
    return combined
