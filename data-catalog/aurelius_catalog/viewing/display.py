"""The display of each kind of series in a notebook."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import xarray as xr
from IPython.display import SVG

from aurelius_catalog.errors import InvalidVolume
from aurelius_catalog.objects import StoredSegmentation, StructureSet, Waveform
from aurelius_catalog.viewing.overlays import Overlaid, Overlay, ShownSeries, gather_overlays
from aurelius_catalog.viewing.picture_viewer import PictureViewer
from aurelius_catalog.viewing.volume_viewer import view_volume
from aurelius_catalog.viewing.windows import Window, read_window


def show_series(
    shown: ShownSeries,
    overlay: Overlaid | Sequence[Overlaid] | None = None,
    *,
    window: str | Window | None = None,
    opacity: float = 0.5,
) -> Any:
    """Show a series of images, and what lies over them; see `aurelius_catalog.series.Series.view`."""
    return show_image(shown.image, gather_overlays(shown, overlay), window=window, opacity=opacity)


def show_alone(
    shown: ShownSeries, drawn: StoredSegmentation | StructureSet, *, window: str | Window | None, opacity: float
) -> Any:
    """Show what was drawn on images that the catalog does not hold, over black.

    Parameters
    ----------
    shown
        The series of the drawing, and the drawing as an array: ``(z, y, x)``, or ``(segment, z, y, x)``.
    drawn
        The drawing.
    window, opacity
        As for `aurelius_catalog.series.Series.view`.
    """
    array = shown.image
    blank = xr.zeros_like(array.isel(segment=0, drop=True) if "segment" in array.dims else array, np.float32)
    return show_series(replace(shown, image=blank), drawn, window=window, opacity=opacity)


def show_object(opened: Any) -> Any:
    """Show an object that holds no images: a waveform as curves, others as they write themselves in a notebook."""
    if not isinstance(opened, Waveform):
        return opened
    buffer = BytesIO()
    opened.plot().savefig(buffer, format="svg")
    return SVG(buffer.getvalue())


def show_image(
    image: xr.DataArray,
    overlays: Sequence[Overlay] = (),
    *,
    window: str | Window | None = None,
    opacity: float = 0.5,
) -> Any:
    """Show an opened image: a volume in three planes, else its pictures with a slider.

    Parameters
    ----------
    image
        ``(z, y, x)``, ``(t, y, x)``, ``(y, x)`` or more axes before these, any real dtype; ``attrs["units"]`` names
        the unit. Of several volumes the first is shown, with a warning.
    overlays
        What lies over it; see `gather_overlays`.
    window
        A name of `windows.PRESETS`, or (lowest, highest) in the image's units; None: chosen from the values.
    opacity
        Of the overlays, 0 … 1.

    Raises
    ------
    InvalidRequest
        If there is no such window, or the opacity does not lie between 0 and 1.
    InvalidVolume
        If the image has no axes y and x.
    InvalidLabel
        If an overlay has another shape.
    """
    range_shown = None if window is None else read_window(window, str(image.attrs.get("units", "")))
    is_volume = {"z", "y", "x"} <= set(image.dims) and "affine_lps" in image.attrs
    several = [str(axis) for axis in image.dims[: -4 if "c" in image.dims else -3]]
    if several:
        axes = " and ".join(f"{axis} (there are {image.sizes[axis]})" for axis in several)
        warnings.warn(f"Shown: the first volume along {axes}. `.isel()` on the array chooses another.", stacklevel=4)
        image = image.isel(dict.fromkeys(several, 0))
    if not {"y", "x"} <= set(image.dims):
        raise InvalidVolume(f"An array with the axes {', '.join(map(str, image.dims))} is no picture.")
    if is_volume and "c" not in image.dims and image.sizes["z"] > 1:
        affine = np.array(image.attrs["affine_lps"])
        return view_volume(image.to_numpy(), affine, overlays, window=range_shown, opacity=opacity)
    return PictureViewer(image, overlays, range_shown, opacity)
