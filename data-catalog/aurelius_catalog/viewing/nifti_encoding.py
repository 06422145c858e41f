"""Volumes for the browser: compressed NIfTI in memory, int16, no larger than the browser can take."""

from __future__ import annotations

import gzip
from collections.abc import Sequence

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from aurelius_catalog.volumes.geometry import LPS_TO_RAS

#: Voxels the browser is sent at most; larger volumes are averaged over blocks.
MOST_VOXELS = 256**3


def choose_reduction(shape: Sequence[int], affine_lps: NDArray[np.float64]) -> tuple[int, int, int]:
    """Choose how many voxels to merge along (z, y, x), coarsening the finest axis first.

    Parameters
    ----------
    shape
        Size along (z, y, x).
    affine_lps
        ``(4, 4)`` float64: maps (column, row, slice, 1) to mm, patient LPS.
    """
    spacing = np.linalg.norm(affine_lps[:3, :3], axis=0)[::-1]
    factors = np.ones(3, dtype=int)
    while np.prod(-(-np.array(shape) // factors)) > MOST_VOXELS:
        width = np.where(factors < np.array(shape), spacing * factors, np.inf)
        factors[np.argmin(width)] += 1
    return int(factors[0]), int(factors[1]), int(factors[2])


def reduce_affine(affine_lps: NDArray[np.float64], factors: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return the affine of a grid whose voxels are blocks of ``factors`` (z, y, x) voxels, centre on centre.

    Both affines are ``(4, 4)`` float64 and map (column, row, slice, 1) to mm, patient LPS.
    """
    steps = np.array(factors[::-1], dtype=np.float64)
    block = np.diag([*steps, 1.0])
    block[:3, 3] = (steps - 1) / 2
    return affine_lps @ block


def encode_nifti(array_zyx: NDArray[np.generic], affine_lps: NDArray[np.float64]) -> bytes:
    """Encode a volume ``(z, y, x)``, any real dtype, as compressed NIfTI of int16.

    ``affine_lps`` is ``(4, 4)`` float64: maps (column, row, slice, 1) to mm, patient LPS. Values that
    int16 cannot hold exactly are scaled by the header's slope and intercept.
    """
    values: NDArray[np.generic] = array_zyx.transpose(2, 1, 0)
    if not np.issubdtype(values.dtype, np.integer):
        rounded = np.rint(values)
        # Half a Hounsfield unit is invisible, but a map of 0 … 1 must keep its steps.
        exact = np.ptp(values) > 500 and np.abs(rounded).max() < 2**15
        values = rounded.astype(np.int16) if exact else values
    image = nib.Nifti1Image(values, LPS_TO_RAS @ affine_lps, dtype=np.int16)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), compresslevel=1)


def split_blocks(array: NDArray[np.generic], factors: tuple[int, int, int]) -> NDArray[np.generic]:
    """Split ``(z, y, x)`` of any dtype into blocks of ``factors`` voxels.

    Returns
    -------
    numpy.ndarray
        ``(z, fz, y, fy, x, fx)`` of the same dtype, a view where it can be; the edge is repeated where a block is not
        full.
    """
    missing = [(0, -size % factor) for size, factor in zip(array.shape, factors, strict=True)]
    padded = np.pad(array, missing, mode="edge") if np.any(missing) else array
    z, y, x = (size // factor for size, factor in zip(padded.shape, factors, strict=True))
    return padded.reshape(z, factors[0], y, factors[1], x, factors[2])
