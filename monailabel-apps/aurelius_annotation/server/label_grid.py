"""The grid of a label: laid onto the image's own grid, its segments named, or refused with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aurelius_annotation.server.uploaded_label import UploadedLabel
from aurelius_catalog.errors import InvalidLabel
from aurelius_catalog.records import Segment

#: How far, in voxels, the corners of a label may lie from those of the image. Formats store float32.
TOLERANCE = 0.05


def fit_to_grid(label: UploadedLabel, shape: Sequence[int], affine_lps: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Lay a label onto an image's grid. Axes may be swapped or turned around, which is exact; nothing is resampled.

    Parameters
    ----------
    label
        The label on its own grid.
    shape, affine_lps
        Voxels of the image along (i, j, k), and its 4 x 4 float64 matrix from indices to mm, patient LPS.

    Returns
    -------
    numpy.ndarray
        (z, y, x) uint8 on the image's grid.

    Raises
    ------
    InvalidLabel
        If the label lies elsewhere, or on another grid.
    """
    if not np.isfinite(label.affine_lps).all():
        raise InvalidLabel("The label does not say where it lies.")
    to_image = np.linalg.inv(affine_lps) @ label.affine_lps  # label index to image index
    rotation = np.rint(to_image[:3, :3])
    if not (np.abs(rotation).sum(axis=0) == 1).all() or not (np.abs(rotation).sum(axis=1) == 1).all():
        raise InvalidLabel(_differs("its voxels have another size or direction"))
    axes = [int(np.flatnonzero(row)[0]) for row in rotation]
    values = label.values.transpose(axes)
    if values.shape != tuple(shape):
        raise InvalidLabel(_differs(f"it has {_times(values.shape)} voxels, the image {_times(shape)}"))
    flipped = [axis for axis in range(3) if rotation[axis, axes[axis]] < 0]
    exact = np.eye(4)
    exact[:3, :3] = rotation
    exact[flipped, 3] = [shape[axis] - 1 for axis in flipped]
    corners = np.array([[*corner, 1] for corner in np.ndindex(2, 2, 2)]) * [*np.array(label.values.shape) - 1, 1]
    if (gap := float(np.abs(corners @ (to_image - exact).T).max())) > TOLERANCE:
        raise InvalidLabel(_differs(f"it lies {gap:.2g} voxels beside the image"))
    return np.ascontiguousarray(np.flip(values, tuple(flipped)).transpose(2, 1, 0))


def name_segments(
    values: Sequence[int], label_info: Sequence[Mapping[str, object]], names: Mapping[int, str], known: Sequence[str]
) -> dict[int, Segment]:
    """Name the segment that each voxel value stands for.

    Slicer numbers the saved segments 1, 2, 3, … but its ``label_info`` counts ``idx`` over all segments, a background
    one included; so ``idx`` is followed only where it can be right, and position otherwise.

    Parameters
    ----------
    values
        Voxel values above 0 that occur.
    label_info
        ``[{"name": …, "idx": …}, …]`` as the client sent it.
    names
        Names by value as the file itself carries them; they win.
    known
        Names of the app's labels, for clients that send none.

    Returns
    -------
    dict
        Voxel value to segment; segments are numbered 1, 2, 3, … in the order of the values.

    Raises
    ------
    InvalidLabel
        If values and names do not match.
    """
    named = names or _read_info(label_info, values) or dict(enumerate(known, start=1))
    if unknown := sorted(set(values) - set(named)):
        raise InvalidLabel(
            f"The label holds the voxel values {unknown}, and the names sent with it ({', '.join(named.values())}) "
            "do not say what these are. Save again from the segment editor."
        )
    return {value: Segment(number=number, label=named[value]) for number, value in enumerate(sorted(named), start=1)}


def _read_info(label_info: Sequence[Mapping[str, object]], values: Sequence[int]) -> dict[int, str]:
    names = [str(item.get("name") or "") for item in label_info]
    if not all(names):
        raise InvalidLabel("Every segment needs a name.")
    numbers = [item.get("idx") for item in label_info]
    positions = set(range(1, len(names) + 1))
    by_index = {int(number): name for number, name in zip(numbers, names, strict=True) if isinstance(number, int)}
    if len(by_index) == len(names) and (set(by_index) == positions or not set(values) <= positions):
        return by_index
    return dict(enumerate(names, start=1))


def _differs(reason: str) -> str:
    return f"This label does not belong to the image: {reason}. Draw on the image as it was loaded, without resampling."


def _times(shape: Sequence[int]) -> str:
    return " × ".join(str(size) for size in shape)
