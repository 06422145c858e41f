"""Diffusion weightings and gradients beside a NIfTI file, as FSL and BIDS have them: ``.bval`` and ``.bvec``."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray


def format_bval(image: xr.DataArray) -> str:
    """Return the b-value of each volume in s/mm², as one line."""
    return " ".join(f"{value:g}" for value in image["b"].values) + "\n"


def format_bvec(image: xr.DataArray) -> str | None:
    """Return the gradients as three lines, x, y and z; None unless every weighted volume says its direction."""
    if "direction_x" not in image.coords:
        return None
    directions = np.column_stack([image[f"direction_{axis}"].values for axis in "xyz"])
    unknown = np.isnan(directions).any(axis=1)
    if unknown[image["b"].values > 0].any():
        return None
    directions[unknown] = 0
    rows = turn_gradients(directions, np.asarray(image.attrs["affine_lps"], np.float64)).T
    return "".join(" ".join(f"{value:.6g}" for value in row + 0.0) + "\n" for row in rows)  # 0.0: never a "-0"


def turn_gradients(directions: NDArray[np.float64], affine_lps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn gradients from the patient to the axes of the voxels, as FSL wants them.

    Along x they are mirrored where the axes are right-handed: FSL thinks of images as left-handed ("radiological",
    FDT's guide; BIDS 1.10, "Diffusion imaging data").

    Parameters
    ----------
    directions
        ``(volumes, 3)`` unit vectors in patient LPS (DiffusionGradientOrientation, PS3.3 section C.8.13.5.9).
    affine_lps
        Of the image: ``(4, 4)``, from voxels (x, y, z) to patient LPS in mm.

    Returns
    -------
    numpy.ndarray
        ``(volumes, 3)``.
    """
    axes = affine_lps[:3, :3] / np.linalg.norm(affine_lps[:3, :3], axis=0)
    along: NDArray[np.float64] = directions @ axes
    if np.linalg.det(axes) > 0:
        along[:, 0] *= -1
    return along
