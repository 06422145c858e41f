"""Windows: the values of an image that are shown as black and as white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aurelius_catalog.errors import InvalidRequest

Window = tuple[float, float]
#: Ranges in Hounsfield units by name: (lowest, highest) grey.
PRESETS: dict[str, Window] = {
    "bone": (-500.0, 1300.0),
    "brain": (0.0, 80.0),
    "liver": (-45.0, 105.0),
    "lung": (-1350.0, 150.0),
    "mediastinum": (-125.0, 225.0),
    "soft tissue": (-160.0, 240.0),
}


def read_window(window: str | Window, units: str) -> Window:
    """Read a window that a person named or wrote.

    Parameters
    ----------
    window
        A name of `PRESETS`, or (lowest, highest) in the image's units.
    units
        Of the image.

    Raises
    ------
    InvalidRequest
        For an unknown name, a name on an image that is not in Hounsfield units, or a malformed or empty range.
    """
    if isinstance(window, str):
        if window not in PRESETS:
            raise InvalidRequest(
                f"There is no window {window!r}; there are {', '.join(PRESETS)}, or (lowest, highest)."
            )
        if units != "HU":
            raise InvalidRequest(
                f"The window {window!r} is in Hounsfield units, this image is in {units or 'units of its own'}: "
                "give (lowest, highest)."
            )
        return PRESETS[window]
    try:
        low, high = (float(value) for value in window)
    except (TypeError, ValueError) as error:
        raise InvalidRequest("A window is a name or two numbers, (lowest, highest).") from error
    if not low < high < float("inf"):
        raise InvalidRequest(f"The window ({low:g}, {high:g}) shows nothing: lowest must lie below highest.")
    return low, high


def choose_window(image: NDArray[np.float32]) -> Window:
    """Choose the window of an image: a CT preset for Hounsfield units, else robust percentiles.

    ``image`` is float32 with any axes, in Hounsfield units or any others.
    """
    step = max(1, round((image.size / 10**6) ** (1 / image.ndim)))
    sample = image[(slice(None, None, step),) * image.ndim]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 1.0
    if sample.min() < -500:  # only CT goes that far below zero
        air_filled = np.mean((sample > -950) & (sample < -600))
        return PRESETS["lung"] if air_filled > 0.05 else PRESETS["soft tissue"]
    inside = sample[sample > 0]
    low, high = np.percentile(inside if inside.size else sample, (1, 99.5))
    return float(low), float(high) if high > low else float(low) + 1
