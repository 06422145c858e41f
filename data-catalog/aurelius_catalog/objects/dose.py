"""A radiotherapy dose as an array with a place in the patient (PS3.3 C.8.8.3)."""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydicom import Dataset

from aurelius_catalog.errors import InvalidObject
from aurelius_catalog.objects.reading import list_references

#: Planes may stray from even spacing by this many mm before the array gets no affine.
TOLERANCE_MM = 1e-3
UNITS = {"GY": "Gy", "RELATIVE": "relative"}


def open_dose(dataset: Dataset) -> xr.DataArray:
    """Read a dose grid.

    Returns
    -------
    xarray.DataArray
        ``(z, y, x)`` float32 in Gy (``attrs["units"]`` says so; ``relative`` where the plan says so), coordinates in mm
        from the first voxel, ``attrs["affine_lps"]``. Planes that are not evenly spaced keep their true ``z``,
        and there is no affine.

    Raises
    ------
    InvalidObject
        If it holds no dose grid, or lacks what places it.
    """
    try:
        stored = dataset.pixel_array
        scaling = float(dataset.DoseGridScaling)
        row_mm, column_mm = (float(step) for step in dataset.PixelSpacing)
        cosines = np.array(dataset.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
        corner = np.array(dataset.ImagePositionPatient, dtype=np.float64)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidObject(f"This dose has no grid that can be read: {error}") from error
    dose = (stored.reshape(-1, *stored.shape[-2:]) * scaling).astype(np.float32)
    offsets, normal = _list_offsets(dataset, len(dose), corner, np.cross(cosines[0], cosines[1]))
    if (offsets[-1] - offsets[0]) < 0:  # planes run against the normal: the affine says so
        normal, offsets = -normal, -offsets
    steps = np.diff(offsets)
    attributes: dict[str, object] = {
        "units": UNITS.get(str(dataset.get("DoseUnits")), str(dataset.get("DoseUnits") or "").lower()),
        "DoseType": str(dataset.get("DoseType") or ""),
        "DoseSummationType": str(dataset.get("DoseSummationType") or ""),
        "SeriesInstanceUID": str(dataset.get("SeriesInstanceUID") or ""),
        "referenced_series": list(list_references(dataset)),
    }
    if steps.size and np.ptp(steps) > TOLERANCE_MM:
        warnings.warn(
            "The planes of this dose are unevenly spaced: `z` is right, but there is no affine.", stacklevel=3
        )
    else:
        slice_mm = float(steps.mean()) if steps.size else float(dataset.get("SliceThickness") or 1.0)
        affine = np.eye(4)
        affine[:3, :3] = np.stack([cosines[0] * column_mm, cosines[1] * row_mm, normal * slice_mm], axis=1)
        affine[:3, 3] = corner + normal * offsets[0]
        attributes |= {"affine_lps": affine.tolist(), "spacing_mm": [slice_mm, row_mm, column_mm]}
    coordinates = {
        "z": ("z", offsets - offsets[0], {"units": "mm"}),
        "y": ("y", np.arange(dose.shape[1]) * row_mm, {"units": "mm"}),
        "x": ("x", np.arange(dose.shape[2]) * column_mm, {"units": "mm"}),
    }
    return xr.DataArray(dose, coordinates, ("z", "y", "x"), name="dose", attrs=attributes)


def _list_offsets(
    dataset: Dataset, count: int, corner: NDArray[np.float64], normal: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each plane's distance from the first in mm, and the direction in which that counts."""
    if count == 1:
        return np.zeros(1), normal
    offsets = np.array(dataset.get("GridFrameOffsetVector") or [], dtype=np.float64)
    steps = np.diff(offsets)
    if len(offsets) != count or not ((steps > 0).all() or (steps < 0).all()):
        raise InvalidObject("GridFrameOffsetVector does not say where each plane of this dose lies.")
    if offsets[0] == 0:
        return offsets, normal
    # C.8.8.3.2, second way: the vector holds the z of each plane, of axial planes only
    if abs(offsets[0] - corner[2]) > TOLERANCE_MM or abs(normal[2]) < 1 - 1e-4:
        raise InvalidObject("GridFrameOffsetVector begins neither with 0 nor with the z of the first plane.")
    return offsets - offsets[0], np.array([0.0, 0.0, 1.0])
