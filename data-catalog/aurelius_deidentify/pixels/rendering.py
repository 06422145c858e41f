"""Renderings of an object's pixels as pictures that OCR can read: frames, windows, 8 bits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_color_lut, iter_pixels
from pydicom.pixels import pixel_array as decode

from aurelius_deidentify.errors import NotDeidentifiable

Picture = NDArray[np.uint8]
#: A cine of more frames is looked at in steps: what is burned in stands still.
MOST_FRAMES = 96
#: Colours further apart than this may write in one colour on another of the same brightness.
COLOURFUL = 48
#: Grey values beyond these percentiles are cut for the second look at 16-bit images.
WINDOW = (1.0, 99.0)
#: Surroundings are so wide; ink begins at this part of the greatest difference to them, and at least at this one.
STROKE_PIXELS, INK_PART, LEAST_RELIEF = 10, 0.5, 12.0
UNREADABLE = "The pixels cannot be decoded ({}), so it is not known what they show. A person must decide."


def open_pixels(source: bytes) -> Dataset:
    """Read a Part 10 file, pixels included.

    Raises
    ------
    NotDeidentifiable
        If it cannot be read; the message holds no value of the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            return dcmread(BytesIO(source))
    except Exception as error:
        raise NotDeidentifiable(UNREADABLE.format(type(error).__name__)) from None


def count_frames(dataset: Dataset) -> int:
    """Return the number of frames.

    Raises
    ------
    NotDeidentifiable
        If the header gives something else than a number.
    """
    try:
        return max(int(dataset.get("NumberOfFrames") or 1), 1)
    except (TypeError, ValueError) as error:
        raise NotDeidentifiable(UNREADABLE.format(type(error).__name__)) from None


def choose_frames(count: int) -> list[int]:
    """Return the frames to decode: all of a short cine, evenly spaced ones, first and last included, of a long one."""
    return sorted({round(index) for index in np.linspace(0, count - 1, min(count, MOST_FRAMES))})


def iter_frames(dataset: Dataset, indices: list[int]) -> Iterator[NDArray[Any]]:
    """Yield frames as people see them: ``(rows, columns)`` stored values or ``(rows, columns, 3)`` RGB.

    Raises
    ------
    NotDeidentifiable
        If a frame cannot be decoded; the message holds no value of the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for frame in iter_pixels(dataset, indices=indices):
                yield apply_color_lut(frame, dataset) if is_palette(dataset) else frame
    except Exception as error:
        raise NotDeidentifiable(UNREADABLE.format(type(error).__name__)) from None


def read_frame(dataset: Dataset, index: int) -> NDArray[Any]:
    """Return one frame as `iter_frames` does, decoding no other.

    Raises
    ------
    NotDeidentifiable
        If it cannot be decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = decode(dataset, index=index)
            return apply_color_lut(frame, dataset) if is_palette(dataset) else frame
    except Exception as error:
        raise NotDeidentifiable(UNREADABLE.format(type(error).__name__)) from None


def is_palette(dataset: Dataset) -> bool:
    """Whether stored values are numbers of colours."""
    return bool(dataset.get("PhotometricInterpretation") == "PALETTE COLOR")


def make_pictures(frame: NDArray[Any]) -> list[Picture]:
    """Return the pictures, (rows, columns) uint8, in which drawn text can be seen whatever its colour.

    Parameters
    ----------
    frame
        (rows, columns) stored values of any integer type, or (rows, columns, 3) RGB.

    Notes
    -----
    Drawn text has the largest value there is, or one among the image's own: 16-bit images are shown over their whole
    range and, where that differs, over the range most pixels are in. Coloured images are shown by the brightest and
    by the darkest of their channels, because writing and ground may be equally bright.
    """
    if frame.ndim == 3:
        colours = to_bytes(frame) if frame.dtype != np.uint8 else frame
        bright, dark = colours.max(axis=2), colours.min(axis=2)
        coloured = np.count_nonzero(bright.astype(np.int16) - dark > COLOURFUL) > bright.size // 500
        return [bright, dark] if coloured else [bright]
    whole = to_bytes(frame)
    if frame.dtype.itemsize == 1:
        return [whole]
    low, high = np.percentile(frame[:: 1 + frame.shape[0] // 512, :: 1 + frame.shape[1] // 512], WINDOW)
    cut = to_bytes(np.clip(frame, low, high))
    return [whole, cut] if int(np.abs(whole.astype(np.int16) - cut).mean()) > 4 else [whole]


def raise_ink(picture: Picture) -> list[Picture]:
    """Return the parts of a picture that stand out from their surroundings, brighter and darker, as white on black.

    Takes and returns (rows, columns) uint8.

    Tissue changes slowly or little, drawn strokes do neither. A ramp, not a threshold, keeps the soft edges that help
    a reader.
    """
    ground = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(STROKE_PIXELS)), np.float32)
    relief = picture - ground
    raised = []
    for standing_out in (relief, -relief):
        least = INK_PART * float(standing_out.max())
        if least >= LEAST_RELIEF:
            raised.append(np.clip((standing_out - least) * (255.0 / least), 0, 255).astype(np.uint8))
    return raised


def to_bytes(values: NDArray[Any]) -> Picture:
    """Return values of any real type and shape stretched over 0 to 255, as uint8."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    return ((values.astype(np.float32) - low) * (255.0 / (high - low))).astype(np.uint8)
