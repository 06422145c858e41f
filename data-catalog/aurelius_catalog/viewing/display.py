"""The display of each kind of series in a notebook."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from IPython.display import SVG

from aurelius_catalog.errors import InvalidVolume
from aurelius_catalog.objects import CLASSES, BulkAnnotations, StoredSegmentation, StructureSet, Waveform
from aurelius_catalog.objects.reading import find_visible
from aurelius_catalog.viewing.overlays import Overlay, gather_overlays
from aurelius_catalog.viewing.picture_viewer import PictureViewer
from aurelius_catalog.viewing.volume_viewer import view_volume
from aurelius_catalog.viewing.windows import Window, read_window

if TYPE_CHECKING:
    from aurelius_catalog.series import Series
    from aurelius_catalog.viewing.overlays import Overlaid


def show_series(
    series: Series,
    overlay: Overlaid | Sequence[Overlaid] | None = None,
    *,
    window: str | Window | None = None,
    opacity: float = 0.5,
) -> Any:
    """Show a series as what it is; see `aurelius_catalog.series.Series.view`."""
    if series.record.SOPClassUID not in CLASSES:
        image = series.to_xarray()
        overlays = gather_overlays(series, image, overlay)
        return show_image(image, overlays, window=window, opacity=opacity)
    opened = series.open()
    if isinstance(opened, Waveform):
        buffer = BytesIO()
        opened.plot().savefig(buffer, format="svg")
        return SVG(buffer.getvalue())
    if isinstance(opened, BulkAnnotations):
        return opened.open_slide().view(opened, opacity=opacity)
    if isinstance(opened, (StoredSegmentation, StructureSet)):
        images = find_visible(series._store, opened.referenced_series)
        if images is not None:
            return type(series)(series._store, images).view(opened, window=window, opacity=opacity)
        if isinstance(opened, StructureSet):
            opened.open_images()  # says what is missing
        array = opened.to_xarray()
        blank = xr.zeros_like(array.isel(segment=0, drop=True) if "segment" in array.dims else array, np.float32)
        return show_image(blank, gather_overlays(series, blank, opened), window=window, opacity=opacity)
    if isinstance(opened, xr.DataArray):
        return show_image(opened, gather_overlays(series, opened, overlay), window=window, opacity=opacity)
    return opened


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
