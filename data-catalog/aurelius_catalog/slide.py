"""A whole slide, as a researcher holds it in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.records import SlideLevel, SlideRecord
from aurelius_catalog.slides.levels import open_level, open_tree, read_pixels
from aurelius_catalog.slides.region import MOST_PICTURE_PX, choose_region, choose_size
from aurelius_catalog.store import Store

if TYPE_CHECKING:
    from aurelius_catalog.viewing.slide_label import SlideLabel
    from aurelius_catalog.viewing.slide_overlays import Given
    from aurelius_catalog.viewing.slide_viewer import SlideViewer


class Slide:
    """One whole slide: the same wherever the catalog is, and whatever format the slide is kept in.

    Parameters
    ----------
    store
        Where it is read from.
    record
        What it consists of.

    Examples
    --------
    >>> slide = series.slide()  # doctest: +SKIP
    >>> slide.read_region(x_um=2000, y_um=1500, width_um=250, height_um=250, size_px=512)  # doctest: +SKIP
    """

    def __init__(self, store: Store, record: SlideRecord) -> None:
        self._store = store
        self.record = record

    def __repr__(self) -> str:
        finest = self.levels[0]
        size = f"{finest.width} × {finest.height} px"
        if self.record.mpp_x is not None and self.record.mpp_y is not None:
            width_um, height_um = self.size_um
            size += f", {width_um / 1000:.2f} × {height_um / 1000:.2f} mm at {self.record.mpp_x:.4g} µm per pixel"
        return f"<Slide {self.record.vendor}, {size}, {len(self.levels)} levels>"

    @property
    def levels(self) -> tuple[SlideLevel, ...]:
        """The resolutions it is kept in, finest first."""
        return self.record.levels

    @property
    def mpp(self) -> tuple[float, float]:
        """Micrometres per pixel of level 0, along x and y.

        Raises
        ------
        InvalidRequest
            If the slide does not say.
        """
        return self.record.mpp

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height in micrometres; raises as `mpp` does."""
        finest, (mpp_x, mpp_y) = self.levels[0], self.mpp
        return finest.width * mpp_x, finest.height * mpp_y

    def to_xarray(self, level: int = 0) -> xr.DataArray:
        """Open one level lazily: ``(y, x, c)`` uint8 RGB, coordinates in micrometres; see `tree.open_level`."""
        return open_level(self._store, self.record, level)

    def datatree(self, chunks: Mapping[str, int] | None = None) -> xr.DataTree:
        """Open all levels lazily: node ``0``, ``1`` … each with ``image``; see `tree.open_tree`.

        Parameters
        ----------
        chunks
            None for plain lazy arrays, ``{}`` for dask arrays in squares of 1024 pixels, ``{"y": 512, "x": 512}`` for
            others.
        """
        return open_tree(self._store, self.record, chunks)

    def read_pixels(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Read a region by the pixels of a level.

        Returns
        -------
        numpy.ndarray
            ``(y, x, c)`` uint8 RGB; beside the slide, its background.
        """
        return read_pixels(self._store, self.record, level, x, y, width, height)

    def read_region(
        self, x_um: float, y_um: float, width_um: float, height_um: float, size_px: int | tuple[int, int] = 512
    ) -> xr.DataArray:
        """Read a region by its physical size, from the level that fits, scaled to just so many pixels.

        Parameters
        ----------
        x_um, y_um
            Its upper left corner, from that of the slide, in micrometres. It may lie beside the slide.
        width_um, height_um
            Its size in micrometres.
        size_px
            Width and height of the picture in pixels, or its longer side.

        Returns
        -------
        xarray.DataArray
            ``(y, x, c)`` uint8 RGB, with the middles of its pixels in micrometres as coordinates.

        Raises
        ------
        InvalidRequest
            If the region is empty or the picture too large, or the slide does not say how large its pixels are.
        """
        mpp, region = self.mpp, choose_region(x_um, y_um, width_um, height_um, size_px)
        step_um = region.step_um
        level = self.record.choose_level(min(step / size for step, size in zip(step_um, mpp, strict=True)))
        by = [scale * size for scale, size in zip(self.record.scale(level), mpp, strict=True)]
        box = x_um / by[0], y_um / by[1], (x_um + width_um) / by[0], (y_um + height_um) / by[1]
        left, top = int(np.floor(box[0])), int(np.floor(box[1]))
        size = int(np.ceil(box[2])) - left, int(np.ceil(box[3])) - top
        if size[0] * size[1] > MOST_PICTURE_PX:
            raise InvalidRequest("This region is too large to be read at once: read a smaller one, or its parts.")
        pixels = Image.fromarray(self.read_pixels(level, left, top, *size))
        inner = (box[0] - left, box[1] - top, min(box[2] - left, size[0]), min(box[3] - top, size[1]))
        shape = region.columns, region.rows
        picture = pixels.resize(shape, Image.Resampling.LANCZOS, box=inner, reducing_gap=3.0)
        coordinates = {**region.coordinates, "c": ("c", ["R", "G", "B"])}
        attributes = {"spacing_um": [step_um[1], step_um[0]], "level": level}
        return xr.DataArray(np.asarray(picture), coordinates, ("y", "x", "c"), name="image", attrs=attributes)

    def thumbnail(self, size_px: int = 512) -> Image.Image:
        """Return the whole slide as a picture whose longer side has so many pixels."""
        finest = self.levels[0]
        columns, rows = choose_size(size_px, finest.width, finest.height)
        level = self.levels[self.record.choose_level(finest.width / columns)]
        if level.width * level.height > MOST_PICTURE_PX:
            raise InvalidRequest("This slide has no level small enough for a picture of the whole: look at `view()`.")
        pixels = self.read_pixels(self.levels.index(level), 0, 0, level.width, level.height)
        return Image.fromarray(pixels).resize((columns, rows), Image.Resampling.LANCZOS, reducing_gap=3.0)

    def labels(self) -> list[SlideLabel]:
        """Open what people and models drew on the slide: label versions, predictions, then bulk annotations.

        Each can be shown by `view`, and read where the slide is read by its own ``read_region``.
        """
        from aurelius_catalog.viewing.slide_overlays import list_labels  # few slides have any

        return list_labels(self._store, self.record)

    def view(
        self,
        labels: Given | Sequence[Given] | None = None,
        *,
        regions: Mapping[str, ArrayLike] | None = None,
        opacity: float = 0.5,
        height_px: int = 480,
    ) -> SlideViewer:
        """Show the slide in the notebook: drag to move, scroll to zoom (OpenSeadragon, offline).

        Parameters
        ----------
        labels
            What lies over it, one thing or a list: what `labels` returns, label versions (`Series.segmentations`),
            predictions, series that hold a segmentation or bulk annotations, or arrays ``(y, x)``, such as a model's
            result: whole numbers, or fractions 0 … 1, with coordinates in micrometres. A legend switches them.
        regions, height_px
            Outlines to draw over it, and its height; see `aurelius_catalog.viewing.slide_viewer.SlideViewer`.
        opacity
            Of filled labels, 0 … 1.
        """
        from aurelius_catalog.viewing.slide_overlays import gather_labels  # few slides have any
        from aurelius_catalog.viewing.slide_viewer import SlideViewer  # the viewer is wanted in a notebook only

        gathered = gather_labels(self._store, self.record, labels, opacity)
        return SlideViewer(self._store, self.record, regions, height_px, gathered)
