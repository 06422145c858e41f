"""Filling contours: which voxel centres lie inside (even-odd rule)."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aurelius_catalog.errors import InvalidLabel
from aurelius_catalog.objects.grid import Grid

#: How far the points of a contour may stray from one slice, in slices.
TOLERANCE_SLICES = 0.1


def draw_region(contours_mm: Sequence[NDArray[np.float64]], grid: Grid, mask: NDArray[np.bool_], name: str) -> None:
    """Fill the closed contours of one region.

    Contours of one slice that lie inside one another leave holes. Nothing is invented between slices: where contours
    lie on every other slice, those between stay empty, and a warning says so.

    Parameters
    ----------
    contours_mm
        Each ``(n, 3)``, patient LPS.
    grid
        The voxels of ``mask``.
    mask
        ``(z, y, x)`` bool, all False; filled in place.
    name
        Of the region, for messages.

    Raises
    ------
    InvalidLabel
        If contours do not run within slices of the grid.
    """
    slices: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
    outside = 0
    for points in contours_mm:
        index = grid.find_indices(points)
        z = float(np.median(index[:, 2]))
        if np.abs(index[:, 2] - z).max() > TOLERANCE_SLICES:
            raise InvalidLabel(f"Contours of {name} do not run within slices of this image.")
        if not -0.5 <= z < len(mask) - 0.5:
            outside += 1
        elif not any(np.array_equal(points, known) for known in slices[round(z)]):  # twice would be a hole
            slices[round(z)].append(points)
    for z, listed in slices.items():
        for points in listed:
            mask[z] ^= fill_polygon(grid.find_indices(points)[:, :2], mask.shape[1:])
    drawn = sorted(slices)
    if outside:
        warnings.warn(f"{outside} contours of {name} lie outside of this image.", stacklevel=4)
    if len(drawn) > 2 and (step := min(np.diff(drawn))) > 1:
        warnings.warn(f"{name} is drawn on one slice in {step} only; those between stay empty.", stacklevel=4)


def fill_polygon(corners_xy: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return ``(y, x)`` bool: which pixel centres, at whole numbers, lie inside a closed polygon ``(n, 2)``.

    Where a row is crossed the pixels from there on change sides; what is crossed an odd number of times lies inside.
    """
    rows, columns = shape
    begin, end = corners_xy, np.roll(corners_xy, -1, axis=0)
    upper = np.where((begin[:, 1] <= end[:, 1])[:, None], begin, end)
    lower = np.where((begin[:, 1] <= end[:, 1])[:, None], end, begin)
    first = np.clip(np.ceil(upper[:, 1]), 0, rows).astype(np.intp)  # rows with upper <= y < lower
    last = np.clip(np.ceil(lower[:, 1]), 0, rows).astype(np.intp)
    counts = last - first
    edge = np.repeat(np.arange(len(begin)), counts)
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    share = (row - upper[edge, 1]) / (lower[edge, 1] - upper[edge, 1])
    crossing = upper[edge, 0] + share * (lower[edge, 0] - upper[edge, 0])
    column = np.clip(np.ceil(crossing), 0, columns).astype(np.intp)
    crossed = np.zeros((rows, columns + 1), np.int32)
    np.add.at(crossed, (row, column), 1)
    return np.cumsum(crossed[:, :-1], axis=1) % 2 == 1
