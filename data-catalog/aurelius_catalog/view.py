"""A volume, with a label over it, in the notebook: ipyniivue, which carries its viewer with it and asks no server.

The images travel to the browser as NIfTI in memory: int16, compressed, in patient coordinates.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import nibabel as nib
import numpy as np
from ipyniivue import NiiVue, ShowRender, Volume
from numpy.typing import NDArray

from aurelius_catalog.errors import InvalidLabel, InvalidVolume
from aurelius_catalog.model import Segment
from aurelius_catalog.nifti import LPS_TO_RAS, choose_reduction, encode_nifti, reduce_affine, split_blocks

OVERLAY_OPACITY = 0.5
HEIGHT_PX = 420
#: Windows in Hounsfield units: (lowest, highest) grey.
LUNG_HU, SOFT_TISSUE_HU = (-1350.0, 150.0), (-160.0, 240.0)
#: Segment colours that colour-blind people can tell apart as well (Okabe and Ito, 2008).
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))


def view_volume(
    array_zyx: NDArray[np.generic],
    affine_lps: NDArray[np.float64],
    overlay_zyx: NDArray[np.generic] | None = None,
    segments: Sequence[Segment] = (),
) -> NiiVue:
    """Show a volume in three planes, in radiological convention; the V key goes on to single planes and a rendering.

    Parameters
    ----------
    array_zyx
        ``(z, y, x)``, any real dtype; Hounsfield units for CT.
    affine_lps
        ``(4, 4)``: maps (column, row, slice, 1) to millimetres, patient LPS.
    overlay_zyx
        ``(z, y, x)`` segment numbers on the same grid, 0 where there is none.
    segments
        What the numbers mean, for the legend.

    Returns
    -------
    ipyniivue.NiiVue
        The widget. A volume over `nifti.MOST_VOXELS` is reduced, and a warning says how far.

    Raises
    ------
    InvalidVolume
        If the array is not three-dimensional.
    InvalidLabel
        If the overlay has another shape.
    """
    volumes = make_volumes(array_zyx, affine_lps, overlay_zyx, segments)
    # No rendering beside the planes: it would slow every mouse move on a machine without a graphics card.
    widget = NiiVue(
        height=HEIGHT_PX,
        is_radiological_convention=True,
        multiplanar_show_render=ShowRender.NEVER,
        crosshair_width=0.5,
        crosshair_gap=8,
    )
    if overlay_zyx is not None and overlay_zyx.any():
        widget.scene.crosshair_pos = locate_finding(overlay_zyx, np.asarray(affine_lps, dtype=np.float64))
    widget.load_volumes(volumes)
    return widget


def make_volumes(
    array_zyx: NDArray[np.generic],
    affine_lps: NDArray[np.float64],
    overlay_zyx: NDArray[np.generic] | None = None,
    segments: Sequence[Segment] = (),
) -> list[Volume]:
    """Make what a viewer that is already there loads: the image and, if there is one, the label over it.

    Parameters, warnings and errors are those of `view_volume`.
    """
    if array_zyx.ndim != 3 or 0 in array_zyx.shape:
        raise InvalidVolume(f"Only a volume (z, y, x) can be shown; this array has shape {array_zyx.shape}.")
    if overlay_zyx is not None and overlay_zyx.shape != array_zyx.shape:
        raise InvalidLabel(f"The label has shape {overlay_zyx.shape}, the volume {array_zyx.shape}: not the same grid.")
    image = np.nan_to_num(np.asarray(array_zyx, dtype=np.float32))
    affine = np.asarray(affine_lps, dtype=np.float64)
    factors = choose_reduction(image.shape, affine)
    if max(factors) > 1:
        warnings.warn(
            f"Shown reduced: each voxel is the mean of {factors[0]} × {factors[1]} × {factors[2]} (z, y, x). "
            "The data itself is untouched.",
            stacklevel=4,
        )
    low, high = choose_window(image)
    shown = encode_nifti(split_blocks(image, factors).mean(axis=(1, 3, 5)), reduce_affine(affine, factors))
    volumes = [Volume(name="volume.nii.gz", data=shown, colormap="gray", cal_min=low, cal_max=high)]
    if overlay_zyx is not None:
        # The largest number of a block, not the mean: a small finding must not vanish.
        labels = split_blocks(overlay_zyx, factors).max(axis=(1, 3, 5)).astype(np.int16)
        data = encode_nifti(labels, reduce_affine(affine, factors))
        overlay = Volume(name="label.nii.gz", data=data, opacity=OVERLAY_OPACITY, colorbar_visible=False)
        overlay.set_colormap_label(colour_segments(segments or _name_segments(labels)))
        volumes.append(overlay)
    return volumes


def choose_window(image: NDArray[np.float32]) -> tuple[float, float]:
    """Choose the grey range of a volume ``(z, y, x)``: a CT window for Hounsfield units, else robust percentiles."""
    sample = image[:: max(1, image.shape[0] // 64), ::2, ::2] if image.size > 10**6 else image
    if sample.min() < -500:  # only CT goes that far below zero
        air_filled = np.mean((sample > -950) & (sample < -600))
        return LUNG_HU if air_filled > 0.05 else SOFT_TISSUE_HU
    inside = sample[sample > 0]
    low, high = np.percentile(inside if inside.size else sample, (1, 99.5))
    return float(low), float(high) if high > low else float(low) + 1


def locate_finding(labels_zyx: NDArray[np.generic], affine_lps: NDArray[np.float64]) -> list[float]:
    """Find where to look first: in the slice with most of the label, the labelled voxel nearest to its middle.

    Returns
    -------
    list of float
        Fractions 0 … 1 of the volume along right-to-left, back-to-front, feet-to-head, as NiiVue counts.
    """
    z = int(np.count_nonzero(labels_zyx, axis=(1, 2)).argmax())
    inside = np.argwhere(labels_zyx[z])
    y, x = inside[np.linalg.norm(inside - inside.mean(axis=0), axis=1).argmin()]
    position = [0.0, 0.0, 0.0]
    turns = nib.io_orientation(LPS_TO_RAS @ affine_lps)
    for (axis, direction), index, size in zip(turns, (x, y, z), labels_zyx.shape[::-1], strict=True):
        fraction = (int(index) + 0.5) / size
        position[int(axis)] = fraction if direction > 0 else 1 - fraction
    return position


def colour_segments(segments: Sequence[Segment]) -> dict[str, list[float] | list[str]]:
    """Return NiiVue's colour table of a label map: transparent background, then one colour per segment."""
    colours = [(0, 0, 0), *(COLOURS[(segment.number - 1) % len(COLOURS)] for segment in segments)]
    red, green, blue = ([float(colour[channel]) for colour in colours] for channel in range(3))
    return {
        "R": red,
        "G": green,
        "B": blue,
        "A": [0.0, *(255.0 for _ in segments)],
        "I": [0.0, *(float(segment.number) for segment in segments)],
        "labels": ["", *(segment.label for segment in segments)],
    }


def _name_segments(labels: NDArray[np.int16]) -> tuple[Segment, ...]:
    found = sorted(set(np.unique(labels).tolist()) - {0}) or [1]
    return tuple(Segment(number=number, label=f"segment {number}") for number in found)
