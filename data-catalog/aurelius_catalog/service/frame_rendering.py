"""Rendered frames: windowed, in 8 bits, at the size asked for (PS3.3 section C.11, PS3.18 section 8.3.5)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi

from aurelius_catalog.dicom.frame_locations import decode_frame, is_encapsulated
from aurelius_catalog.errors import InvalidRequest, NotAcceptable
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import InstanceRecord
from aurelius_catalog.service.transcoding import read_stored

#: Where a header names no window, the window lies between these percentiles.
PERCENTILES = (0.5, 99.5)
Values = NDArray[Any]


@dataclass(frozen=True)
class Window:
    """The range of values shown, as ``center,width,function`` of PS3.18 section 8.3.5.1.4; in rescaled units."""

    center: float
    width: float
    function: str = "LINEAR"


@dataclass(frozen=True)
class Viewport:
    """The size of a picture and, in pixels of the frame, the region it shows (PS3.18 section 8.3.5.1.3).

    Regions of negative width or height are shown mirrored; without one the whole frame is.
    """

    width: int
    height: int
    region: tuple[float, float, float, float] | None = None


def render_frame(
    store: LocalStore, instance: InstanceRecord, index: int, window: Window | None, viewport: Viewport | None
) -> Image.Image:
    """Render one frame, in colour where it has colour.

    Parameters
    ----------
    store, instance, index
        The store, the instance, and the frame, counted from 0.
    window
        Of a grey image; None: that of the header, else one between `PERCENTILES`.
    viewport
        Size and region; None for the whole frame as it is.

    Raises
    ------
    InvalidRequest
        If the frame cannot be decoded, or the viewport lies outside it.
    NotAcceptable
        If its header is not enough to render it.
    """
    (data,) = read_stored(store, instance, [index])
    try:
        packed = instance.BitsAllocated == 1 and not is_encapsulated(instance.TransferSyntaxUID)
        pixels = _unpack_bits(data, instance) if packed else decode_frame(data, instance)
        path = store.settings.files / instance.path
        picture = Image.fromarray(_colour(pixels, instance, path, index, window))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise NotAcceptable(
            f"Instance {instance.SOPInstanceUID} cannot be drawn ({type(error).__name__}): ask for its frames."
        ) from error
    return picture if viewport is None else _fit(picture, viewport)


def _unpack_bits(data: bytes, instance: InstanceRecord) -> Values:
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    rows, columns = instance.Rows or 0, instance.Columns or 0
    return bits[: rows * columns].reshape(rows, columns)


def _colour(pixels: Values, instance: InstanceRecord, path: Path, index: int, window: Window | None) -> Values:
    """Return ``(rows, columns)`` or ``(rows, columns, 3)`` uint8."""
    if pixels.ndim == 3:
        return _drop_bits(pixels, instance.BitsStored or 8)
    header = _read_header(path)
    if instance.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(pixels, header)
        return _drop_bits(colours[..., :3], 8 * colours.dtype.itemsize)
    grey = _show(pixels, header, index, window)
    shown = np.round(grey * 255).astype(np.uint8)
    return 255 - shown if instance.PhotometricInterpretation == "MONOCHROME1" else shown


def _drop_bits(colours: Values, bits: int) -> Values:
    return np.ascontiguousarray(colours >> max(bits - 8, 0)).astype(np.uint8)


@lru_cache(maxsize=8)
def _read_header(path: Path) -> Dataset:
    return dcmread(path, stop_before_pixels=True)


def _show(pixels: Values, header: Dataset, index: int, window: Window | None) -> Values:
    """Return ``(rows, columns)`` float, 0 for black to 1 for white."""
    rescale = _find_group(header, index, "PixelValueTransformationSequence")
    values = apply_modality_lut(pixels, rescale).astype(np.float32)
    voi = _find_group(header, index, "FrameVOILUTSequence")
    if window is None and voi.get("VOILUTSequence"):
        looked_up = apply_voi(values.astype(np.int32), voi).astype(np.float32)
        return looked_up / max(float(looked_up.max()), 1.0)
    return _apply_window(values, window or _read_window(voi) or _choose_window(values))


def _find_group(header: Dataset, index: int, keyword: str) -> Dataset:
    """Return the functional group of a frame, of all frames, or the header itself (PS3.3 section C.7.6.16)."""
    frames = header.get("PerFrameFunctionalGroupsSequence") or ()
    shared = header.get("SharedFunctionalGroupsSequence") or ()
    for item in (*frames[index : index + 1], *shared[:1]):
        if item.get(keyword):
            return item[keyword][0]
    return header


def _read_window(group: Dataset) -> Window | None:
    with suppress(AttributeError, LookupError, TypeError, ValueError):  # a malformed window is ignored
        center, width = (np.atleast_1d(group[name].value)[0] for name in ("WindowCenter", "WindowWidth"))
        window = Window(float(center), float(width), str(group.get("VOILUTFunction") or "LINEAR"))
        return window if np.isfinite([window.center, window.width]).all() and window.width > 0 else None
    return None


def _choose_window(values: Values) -> Window:
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, PERCENTILES) if finite.size else (0.0, 1.0)
    if high <= low:
        low, high = float(finite.min(initial=0)), float(finite.max(initial=1))
    return Window((float(low) + float(high)) / 2, max(float(high) - float(low), 1e-6), "LINEAR_EXACT")


def _apply_window(values: Values, window: Window) -> Values:
    """Return values from 0 to 1 (PS3.3 sections C.11.2.1.2 and C.11.2.1.3)."""
    center, width = window.center, window.width
    if window.function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -80, 80)))
    if window.function == "LINEAR":  # steps of whole values: half a value less on either side
        center, width = center - 0.5, max(width - 1, 1e-6)
    return np.clip(np.nan_to_num((values - center) / width + 0.5), 0, 1)


def _fit(picture: Image.Image, viewport: Viewport) -> Image.Image:
    x, y, width, height = viewport.region or (0.0, 0.0, float(picture.width), float(picture.height))
    box = (min(x, x + width), min(y, y + height), max(x, x + width), max(y, y + height))
    left, top = max(box[0], 0.0), max(box[1], 0.0)
    right, bottom = min(box[2], float(picture.width)), min(box[3], float(picture.height))
    if right - left < 1 or bottom - top < 1:
        raise InvalidRequest(f"The viewport shows nothing: the frame has {picture.width} x {picture.height} pixels.")
    scale = min(viewport.width / (right - left), viewport.height / (bottom - top))
    size = (max(round((right - left) * scale), 1), max(round((bottom - top) * scale), 1))
    drawn = picture.resize(size, Image.Resampling.BICUBIC, (left, top, right, bottom), reducing_gap=2)
    flips: list[tuple[float, Callable[[Image.Image], Image.Image]]] = [
        (width, lambda shown: shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        (height, lambda shown: shown.transpose(Image.Transpose.FLIP_TOP_BOTTOM)),
    ]
    for extent, flip in flips:
        drawn = flip(drawn) if extent < 0 else drawn
    return drawn
