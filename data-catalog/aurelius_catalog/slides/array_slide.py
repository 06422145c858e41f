"""Slides that OpenSlide cannot read, behind the interface of those it can."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openslide import AbstractSlide
from PIL import Image

from aurelius_catalog.errors import InvalidRequest

Pixels = NDArray[np.uint8]


class ArraySlide(AbstractSlide):
    """A slide whose levels are read as arrays.

    Parameters
    ----------
    sizes
        Width and height of each level in pixels, finest first.
    properties
        Its properties, under OpenSlide's names.
    """

    def __init__(self, sizes: list[tuple[int, int]], properties: dict[str, str]) -> None:
        super().__init__()
        self._sizes = tuple(sizes)
        self._properties = properties

    @abstractmethod
    def read_pixels(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Read ``(height, width, 4)`` uint8 RGBA of a level; x and y are its pixels, and all of it lies inside."""

    @classmethod
    def detect_format(cls, filename: str | bytes | PathLike[str] | PathLike[bytes]) -> str | None:
        """Return None: the catalog knows the kind of such slides, their files do not show it."""
        return None

    def close(self) -> None:
        """Do nothing: files are open only while they are read."""

    @property
    def level_count(self) -> int:
        """The number of levels."""
        return len(self._sizes)

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each level in pixels."""
        return self._sizes

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """How many pixels of level 0 a pixel of each level stands for: the mean of both axes, as OpenSlide counts."""
        (finest_width, finest_height) = self._sizes[0]
        return tuple((finest_width / width + finest_height / height) / 2 for width, height in self._sizes)

    @property
    def properties(self) -> Mapping[str, str]:
        """The properties of the slide, under OpenSlide's names."""
        return self._properties

    @property
    def associated_images(self) -> Mapping[str, Image.Image]:
        """None: the catalog holds no pictures of the glass."""
        return {}

    def get_best_level_for_downsample(self, downsample: float) -> int:
        """Return the coarsest level that is at least as fine."""
        fine = [level for level, by in enumerate(self.level_downsamples) if by <= downsample * 1.01]
        return max(fine, default=0)

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Image.Image:
        """Read a region as OpenSlide does: ``location`` in pixels of level 0, transparent beside the slide."""
        width, height = self._sizes[level]
        x, y = (
            round(place * own / finest)
            for place, own, finest in zip(location, self._sizes[level], self._sizes[0], strict=True)
        )
        region = np.zeros((size[1], size[0], 4), np.uint8)
        left, top, right, bottom = max(x, 0), max(y, 0), min(x + size[0], width), min(y + size[1], height)
        if right > left and bottom > top:
            pixels = self.read_pixels(level, left, top, right - left, bottom - top)
            region[top - y : bottom - y, left - x : right - x] = pixels
        return Image.fromarray(region)


def to_rgba(pixels: NDArray[np.generic], white: float = 255.0) -> Pixels:
    """Turn stored pixels into what a slide shows: grey becomes colour.

    Parameters
    ----------
    pixels
        ``(y, x)`` or ``(y, x, c)``, unsigned; c is 1, 3 or 4.
    white
        The value that is shown as bright as can be; see `find_white`.

    Raises
    ------
    InvalidRequest
        If the pixels are something else.
    """
    colours: NDArray[Any] = pixels[..., None] if pixels.ndim == 2 else pixels
    if colours.ndim != 3 or colours.shape[2] not in (1, 3, 4) or colours.dtype.kind != "u":
        raise InvalidRequest(
            f"Pixels of shape {pixels.shape} and type {pixels.dtype} cannot be shown as a slide: read the file with "
            "tifffile, from what `series.read_files()` returns."
        )
    shown = np.full((*colours.shape[:2], 4), 255, np.uint8)
    shown[..., :3] = (colours if white == 255.0 else np.minimum(colours * (255.0 / white), 255.0))[..., :3]
    return shown


def find_white(pixels: NDArray[Any]) -> float:
    """Choose the value of a slide of more than 8 bits that is shown as white: nearly its highest, which may be a speck.

    Parameters
    ----------
    pixels
        Stored values of any shape ``(…)``, unsigned.

    Returns
    -------
    float
        255 for uint8; else the 99.9th percentile of the stored values.
    """
    return 255.0 if pixels.dtype == np.uint8 else max(float(np.percentile(pixels, 99.9)), 1.0)
