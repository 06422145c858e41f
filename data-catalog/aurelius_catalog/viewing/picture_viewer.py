"""The viewer of pictures that form no volume: radiographs, cine runs, colour, with a slider to choose one."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import ipywidgets
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image

from aurelius_catalog.errors import InvalidLabel
from aurelius_catalog.viewing.overlays import Overlay
from aurelius_catalog.viewing.windows import Window, choose_window

#: Pixels along the longer side that the browser is sent at most.
LONGEST_PX = 1024
#: Frames per second of a cine run whose header names no rate.
FRAMES_PER_SECOND = 8
UNITS = {"t": "s", "z": "mm"}


class PictureViewer(ipywidgets.VBox):
    """One picture of several, with a slider; frames are read when they are shown.

    Parameters
    ----------
    image
        ``([frame,] y, x[, c])``: grey in any real dtype, or colour of 8 or 16 bits.
    overlays
        Labels with the axes of the image, without ``c``.
    window
        (lowest, highest) grey; None: chosen from the middle frame.
    opacity
        Of the overlays, 0 … 1.

    Raises
    ------
    InvalidLabel
        If an overlay has other axes.
    """

    def __init__(
        self, image: xr.DataArray, overlays: Sequence[Overlay] = (), window: Window | None = None, opacity: float = 0.5
    ) -> None:
        shape = tuple(size for axis, size in image.sizes.items() if axis != "c")
        for overlay in overlays:
            if overlay.array.shape != shape:
                raise InvalidLabel(f"The label has shape {overlay.array.shape}, the pictures {shape}.")
        self._image = image
        self._overlays = overlays
        self._opacity = opacity
        self._lead = str(image.dims[0]) if len(shape) == 3 else None
        count = shape[0] if self._lead else 1
        self._window = None if "c" in image.dims else window or choose_window(self._read(count // 2).astype(np.float32))
        self._size = _choose_size(image)
        self.picture = ipywidgets.Image(format="png", width=self._size[0])
        self.caption = ipywidgets.HTML()
        self.slider = ipywidgets.IntSlider(min=0, max=count - 1, readout=False, continuous_update=True)
        self.slider.layout.width = f"{min(self._size[0], 480)}px"
        self.slider.observe(lambda _: self.show(self.slider.value), "value")
        controls = [self.caption]
        if count > 1:
            play = ipywidgets.Play(min=0, max=count - 1, interval=self._find_interval_ms())
            ipywidgets.jslink((play, "value"), (self.slider, "value"))
            controls = [play, self.slider, self.caption]
        super().__init__([self.picture, ipywidgets.HBox(controls)])
        self.show(0)

    def show(self, number: int) -> None:
        """Show a frame, counted from 0."""
        pixels = self._read(number)
        grey = pixels.ndim == 2
        shown = _to_grey(pixels, self._window or (0, 1), self._is_inverted) if grey else _to_colour(pixels)
        for overlay in self._overlays:
            labels = overlay.array if self._lead is None else overlay.array[number]
            shown = _blend(shown, labels, overlay, self._opacity)
        picture = Image.fromarray(shown)
        if picture.size != self._size:
            picture = picture.resize(self._size, Image.Resampling.BOX)
        buffer = BytesIO()
        picture.save(buffer, "PNG", compress_level=1)
        self.picture.value = buffer.getvalue()
        self.caption.value = self._describe(number)

    @property
    def _is_inverted(self) -> bool:
        return self._image.attrs.get("PhotometricInterpretation") == "MONOCHROME1"  # the lowest value is white

    def _read(self, number: int) -> NDArray[Any]:
        return (self._image if self._lead is None else self._image.isel({self._lead: number})).to_numpy()

    def _describe(self, number: int) -> str:
        if self._lead is None or self._image.sizes[self._lead] == 1:
            return ""
        text = f"{number + 1} of {self._image.sizes[self._lead]}"
        if self._lead in self._image.coords:
            value = float(self._image[self._lead][number])
            text += f" · {self._lead} = {value:.2f} {UNITS.get(self._lead, '')}".rstrip()
        return text

    def _find_interval_ms(self) -> int:
        if self._lead == "t" and "t" in self._image.coords:
            steps = np.diff(self._image["t"].to_numpy().astype(np.float64))
            if steps.size and 0.005 <= float(np.median(steps)) <= 5:
                return max(round(float(np.median(steps)) * 1000), 40)  # faster than that no browser follows
        return 1000 // FRAMES_PER_SECOND


def _choose_size(image: xr.DataArray) -> tuple[int, int]:
    """Return the (width, height) that is shown, in the picture's true proportions; warn if it is reduced."""
    rows, columns = image.sizes["y"], image.sizes["x"]
    steps = [float(image[axis][1]) if axis in image.coords and image.sizes[axis] > 1 else 1.0 for axis in "yx"]
    tall, wide = rows * steps[0] / min(steps), columns * steps[1] / min(steps)
    scale = min(1.0, LONGEST_PX / max(tall, wide))
    if scale < 1:
        warnings.warn(
            f"Shown reduced to {scale:.0%}: {columns} × {rows} pixels are too many for a page. The data is untouched.",
            stacklevel=6,  # where a person wrote `series.view()`
        )
    return max(round(wide * scale), 1), max(round(tall * scale), 1)


def _to_grey(pixels: NDArray[Any], window: Window, inverted: bool) -> NDArray[np.uint8]:
    low, high = window
    grey = np.clip((np.nan_to_num(pixels.astype(np.float32)) - low) / (high - low), 0, 1)
    shown = ((1 - grey if inverted else grey) * 255).astype(np.uint8)
    return np.repeat(shown[..., None], 3, axis=-1)


def _to_colour(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels[..., :3])
    highest = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else max(float(pixels.max()), 1e-6)
    return (np.clip(pixels[..., :3] / highest, 0, 1) * 255).astype(np.uint8)


def _blend(shown: NDArray[np.uint8], labels: NDArray[Any], overlay: Overlay, opacity: float) -> NDArray[np.uint8]:
    result = shown.astype(np.float32)
    if not overlay.segments:  # values: the more, the redder
        share = np.clip(np.nan_to_num(labels / max(float(np.nanmax(overlay.array)), 1e-6)), 0, 1)[..., None] * opacity
        return (result * (1 - share) + np.array((255, 64, 0)) * share).astype(np.uint8)
    for segment, colour in zip(overlay.segments, overlay.segment_colours, strict=True):
        mask = labels == segment.number
        result[mask] = result[mask] * (1 - opacity) + np.array(colour) * opacity
    return result.astype(np.uint8)
