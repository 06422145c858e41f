"""The viewer of volumes, with labels and values over them: ipyniivue, which carries its scripts and needs no server.

The images travel to the browser as NIfTI in memory: int16, compressed, in patient coordinates.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import nibabel as nib
import numpy as np
from ipyniivue import NiiVue, ShowRender, Volume
from numpy.typing import NDArray

from aurelius_catalog.errors import InvalidLabel, InvalidRequest, InvalidVolume
from aurelius_catalog.viewing.nifti_encoding import choose_reduction, encode_nifti, reduce_affine, split_blocks
from aurelius_catalog.viewing.overlays import Overlay
from aurelius_catalog.viewing.windows import Window, choose_window
from aurelius_catalog.volumes.geometry import LPS_TO_RAS

OVERLAY_OPACITY = 0.5
HEIGHT_PX = 420
#: NiiVue's colour maps of values, one after the other.
HEAT = ("warm", "cool", "green", "violet")


def view_volume(
    array_zyx: NDArray[np.generic],
    affine_lps: NDArray[np.float64],
    overlays: Sequence[Overlay] = (),
    *,
    window: Window | None = None,
    opacity: float = OVERLAY_OPACITY,
) -> NiiVue:
    """Show a volume in three planes, in radiological convention; the V key goes on to single planes and a rendering.

    Parameters
    ----------
    array_zyx
        ``(z, y, x)``, any real dtype; Hounsfield units for CT.
    affine_lps
        ``(4, 4)`` float64: maps (column, row, slice, 1) to mm, patient LPS.
    overlays
        What lies over it, each on a grid of its own or on that of the volume. The view opens at the first label.
    window
        (lowest, highest) grey; None: what suits the values.
    opacity
        Of the overlays, 0 … 1.

    Returns
    -------
    ipyniivue.NiiVue
        The widget. A volume of more than `nifti_encoding.MOST_VOXELS` is reduced, with a warning.

    Raises
    ------
    InvalidVolume
        If the array is not three-dimensional.
    InvalidLabel
        If an overlay without a grid of its own has another shape.
    InvalidRequest
        If the opacity does not lie between 0 and 1.
    """
    volumes = make_volumes(array_zyx, affine_lps, overlays, window=window, opacity=opacity)
    # No rendering beside the planes: it would slow every mouse move on a machine without a graphics card.
    widget = NiiVue(
        height=HEIGHT_PX,
        is_radiological_convention=True,
        multiplanar_show_render=ShowRender.NEVER,
        crosshair_width=0.5,
        crosshair_gap=8,
    )
    labels = next((each for each in overlays if each.segments and each.array.any()), None)
    if labels is not None:
        widget.scene.crosshair_pos = locate_finding(labels, array_zyx.shape, affine_lps)
    widget.load_volumes(volumes)
    return widget


def make_volumes(
    array_zyx: NDArray[np.generic],
    affine_lps: NDArray[np.float64],
    overlays: Sequence[Overlay] = (),
    *,
    window: Window | None = None,
    opacity: float = OVERLAY_OPACITY,
) -> list[Volume]:
    """Make the volumes that an existing viewer loads: the image, then its overlays.

    The image is ``(z, y, x)`` of any real dtype, Hounsfield units for CT; the affine ``(4, 4)`` float64 in mm, patient
    LPS. Parameters, warnings and errors are those of `view_volume`.
    """
    if array_zyx.ndim != 3 or 0 in array_zyx.shape:
        raise InvalidVolume(f"Only a volume (z, y, x) can be shown; this array has shape {array_zyx.shape}.")
    if not 0 <= opacity <= 1:
        raise InvalidRequest(f"The opacity {opacity:g} does not lie between 0 and 1.")
    image = np.nan_to_num(np.asarray(array_zyx, dtype=np.float32))
    affine = np.asarray(affine_lps, dtype=np.float64)
    factors = choose_reduction(image.shape, affine)
    if max(factors) > 1:
        warnings.warn(
            f"Shown reduced: each voxel is the mean of {factors[0]} × {factors[1]} × {factors[2]} (z, y, x). "
            "The data itself is untouched.",
            stacklevel=6,  # where a person wrote `series.view()`
        )
    low, high = window or choose_window(image)
    data = encode_nifti(split_blocks(image, factors).mean(axis=(1, 3, 5)), reduce_affine(affine, factors))
    volumes = [Volume(name="volume.nii.gz", data=data, colormap="gray", cal_min=low, cal_max=high)]
    heats = 0
    for overlay in overlays:
        grid = affine if overlay.affine_lps is None else overlay.affine_lps
        if overlay.array.ndim != 3 or (overlay.array.shape != array_zyx.shape and overlay.affine_lps is None):
            raise InvalidLabel(
                f"The label has shape {overlay.array.shape}, the volume {array_zyx.shape}: not the same grid."
            )
        if overlay.segments:
            volumes.append(_make_label(overlay, grid, opacity))
        else:
            volumes.append(_make_heat(overlay, grid, opacity, HEAT[heats % len(HEAT)]))
            heats += 1
    return volumes


def _make_label(overlay: Overlay, affine: NDArray[np.float64], opacity: float) -> Volume:
    factors = choose_reduction(overlay.array.shape, affine)
    # The largest number of a block, not the mean: a small finding must not vanish.
    labels = split_blocks(overlay.array, factors).max(axis=(1, 3, 5)).astype(np.int16)
    data = encode_nifti(labels, reduce_affine(affine, factors))
    volume = Volume(name="label.nii.gz", data=data, opacity=opacity, colorbar_visible=False)
    volume.set_colormap_label(colour_segments(overlay))
    return volume


def _make_heat(overlay: Overlay, affine: NDArray[np.float64], opacity: float, colormap: str) -> Volume:
    values = np.nan_to_num(np.asarray(overlay.array, dtype=np.float32))
    factors = choose_reduction(values.shape, affine)
    data = encode_nifti(split_blocks(values, factors).mean(axis=(1, 3, 5)), reduce_affine(affine, factors))
    highest = float(values.max())
    # What is a twentieth of the most or less stays clear, so that the image shows.
    low, high = (highest / 20, highest) if highest > 0 else (float(values.min()), 0.0)
    return Volume(
        name=f"{overlay.name}.nii.gz", data=data, opacity=opacity, colormap=colormap, cal_min=low, cal_max=high
    )


def locate_finding(overlay: Overlay, shape: Sequence[int], affine_lps: NDArray[np.float64]) -> list[float]:
    """Find where to look first: in the slice with most of the label, the labelled voxel nearest to its middle.

    Parameters
    ----------
    overlay
        A label that is not empty.
    shape, affine_lps
        Size along (z, y, x) and place of the volume it lies over.

    Returns
    -------
    list of float
        Fractions 0 … 1 of the volume along right-to-left, back-to-front, feet-to-head, as NiiVue counts.
    """
    z = int(np.count_nonzero(overlay.array, axis=(1, 2)).argmax())
    inside = np.argwhere(overlay.array[z])
    y, x = inside[np.linalg.norm(inside - inside.mean(axis=0), axis=1).argmin()]
    index = np.array([x, y, z, 1], dtype=np.float64)
    if overlay.affine_lps is not None:
        index = np.linalg.inv(affine_lps) @ overlay.affine_lps @ index
    position = [0.0, 0.0, 0.0]
    turns = nib.io_orientation(LPS_TO_RAS @ affine_lps)
    for (axis, direction), place, size in zip(turns, index[:3], shape[::-1], strict=True):
        fraction = min(max((float(place) + 0.5) / size, 0.0), 1.0)
        position[int(axis)] = fraction if direction > 0 else 1 - fraction
    return position


def colour_segments(overlay: Overlay) -> dict[str, Any]:
    """Return NiiVue's colour table of a label map: transparent background, then one colour per segment."""
    colours = [(0, 0, 0), *overlay.segment_colours]
    red, green, blue = ([float(colour[channel]) for colour in colours] for channel in range(3))
    return {
        "R": red,
        "G": green,
        "B": blue,
        "A": [0.0, *(255.0 for _ in overlay.segments)],
        "I": [0.0, *(float(segment.number) for segment in overlay.segments)],
        "labels": ["", *(segment.label for segment in overlay.segments)],
    }
