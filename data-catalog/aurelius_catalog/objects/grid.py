"""The grid of an array: where its voxels lie in the patient, and where a plane falls on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import xarray as xr
from highdicom.spatial import get_volume_positions
from numpy.typing import NDArray

from aurelius_catalog.errors import InvalidVolume
from aurelius_catalog.objects.multiframe import Plane

#: How far from a voxel's centre a plane's pixel may lie, in voxels.
TOLERANCE_VOXELS = 0.1
Corner = tuple[int, int, int]


class Target(Protocol):
    """What a segmentation is laid over: planes of pixels, each with an index along the first axis."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size along (plane, row, column)."""
        ...

    def locate(self, plane: Plane) -> Corner | None:
        """Return (plane, row, column) of a frame's first pixel; None where it does not fall on these pixels."""
        ...

    def make_array(self, values: NDArray[np.generic], **attributes: object) -> xr.DataArray:
        """Name the axes of an array whose last ones are those of this target."""
        ...


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular volume's voxels.

    Parameters
    ----------
    shape
        Size along (z, y, x).
    affine_lps
        ``(4, 4)`` float64; maps (column, row, slice, 1) to mm, patient LPS.
    image
        The opened image whose grid it is: what is laid over it gets the very same coordinates.
    """

    shape: tuple[int, int, int]
    affine_lps: NDArray[np.float64]
    image: xr.DataArray | None = None

    @classmethod
    def of_image(cls, image: xr.DataArray) -> Grid:
        """Return the grid of an opened image; of several volumes in one series, the grid they share.

        Raises
        ------
        InvalidVolume
            If the image has no place in the patient.
        """
        if "affine_lps" not in image.attrs or not {"z", "y", "x"} <= set(image.dims):
            raise InvalidVolume("This image is no volume with a place in the patient.")
        z, y, x = (image.sizes[axis] for axis in "zyx")
        return cls((z, y, x), np.array(image.attrs["affine_lps"], dtype=np.float64), image)

    @classmethod
    def of_planes(cls, planes: Sequence[Plane]) -> Grid | None:
        """Return the smallest regular grid that holds all planes, gaps between them included; None if there is none."""
        first = planes[0]
        steps = first.steps_mm
        positions = [plane.position_mm for plane in planes if plane.position_mm is not None]
        if steps is None or len(positions) < len(planes):
            return None
        if any(plane.steps_mm is None or np.abs(plane.steps_mm - steps).max() > 1e-4 for plane in planes):
            return None
        cosines = steps / np.linalg.norm(steps, axis=0)
        hint = first.between_mm or (first.thickness_mm if len(planes) == 1 else None)
        found = _measure_slices(positions, cosines, hint) or _measure_slices(positions, cosines, None)
        if found is None:
            return None
        slice_mm, count = found
        affine = np.eye(4)
        affine[:3, :2] = steps
        affine[:3, 2] = np.cross(cosines[:, 0], cosines[:, 1]) * slice_mm
        affine[:3, 3] = positions[int(np.argmin(np.stack(positions) @ affine[:3, 2]))]
        return cls((count, *first.shape), affine)

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of voxel centres along (z, y, x)."""
        x, y, z = np.linalg.norm(self.affine_lps[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @cached_property
    def _inverse(self) -> NDArray[np.float64]:
        return np.asarray(np.linalg.inv(self.affine_lps), dtype=np.float64)

    def find_indices(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the fractional (column, row, slice) of points ``(n, 3)`` in mm, patient LPS."""
        indices: NDArray[np.float64] = points_mm @ self._inverse[:3, :3].T + self._inverse[:3, 3]
        return indices

    def locate(self, plane: Plane) -> Corner | None:
        """Return (z, y, x) of a plane's first pixel; see `Target.locate`."""
        if plane.position_mm is None or plane.steps_mm is None:
            return None
        reach = max(plane.shape)  # an error in the step grows along the plane
        if np.abs(plane.steps_mm - self.affine_lps[:3, :2]).max() * reach > TOLERANCE_VOXELS * min(self.spacing_mm[1:]):
            return None
        index = self.find_indices(plane.position_mm[None])[0]
        nearest = np.rint(index)
        if np.abs(index - nearest).max() > TOLERANCE_VOXELS:
            return None
        x, y, z = nearest.astype(int)
        return int(z), int(y), int(x)

    def make_array(self, values: NDArray[np.generic], **attributes: object) -> xr.DataArray:
        """Return an array ``(…, z, y, x)`` with coordinates in mm from the first voxel; see `Target.make_array`."""
        dims = ("z", "y", "x") if values.ndim == 3 else ("segment", "z", "y", "x")
        geometry = {"affine_lps": self.affine_lps.tolist(), "spacing_mm": list(self.spacing_mm)}
        if self.image is not None:
            coordinates: dict[str, Any] = {axis: self.image.coords[axis] for axis in "zyx"}
            geometry["spacing_mm"] = self.image.attrs["spacing_mm"]
        else:
            coordinates = {
                axis: (axis, np.arange(size) * step, {"units": "mm"})
                for axis, size, step in zip("zyx", self.shape, self.spacing_mm, strict=True)
            }
        return xr.DataArray(values, coordinates, dims, attrs={**geometry, **attributes})


@dataclass(frozen=True, eq=False)
class FrameList:
    """Pictures without a place in the patient, such as radiographs: planes are told by the frame they were drawn on.

    Parameters
    ----------
    shape
        Size along (frame, y, x).
    numbers
        Index along the first axis of each (SOPInstanceUID, frame number counted from 1).
    image
        The opened pictures.
    """

    shape: tuple[int, int, int]
    numbers: Mapping[tuple[str, int], int]
    image: xr.DataArray

    def locate(self, plane: Plane) -> Corner | None:
        """Return (frame, 0, 0) of the picture a plane was drawn on; see `Target.locate`."""
        found = {self.numbers[source] for source in plane.sources if source in self.numbers}
        if len(found) != 1 or plane.shape != self.shape[1:]:
            return None
        return found.pop(), 0, 0

    def make_array(self, values: NDArray[np.generic], **attributes: object) -> xr.DataArray:
        """Return an array with the axes of the pictures; see `Target.make_array`."""
        own = tuple(str(axis) for axis in self.image.dims if axis != "c")
        dims = own if values.ndim == len(own) else ("segment", *own)
        coordinates = {axis: self.image.coords[axis] for axis in own if axis in self.image.coords}
        return xr.DataArray(values, coordinates, dims, attrs=attributes)


def _measure_slices(
    positions: Sequence[NDArray[np.float64]], cosines: NDArray[np.float64], spacing_mm: float | None
) -> tuple[float, int] | None:
    """Return the distance of the slices in mm and how many there are, missing ones included."""
    slice_mm, numbers = get_volume_positions(
        [position.tolist() for position in positions],
        [*cosines[:, 0], *cosines[:, 1]],
        allow_missing_positions=True,
        allow_duplicate_positions=True,
        index_convention="RD",
        spacing_hint=spacing_mm,
    )
    return None if slice_mm is None or numbers is None else (slice_mm, max(numbers) + 1)


def resample_nearest(values: NDArray[np.generic], grid: Grid, wanted: Grid) -> NDArray[np.generic]:
    """Read an array ``(z, y, x)`` at the voxel centres of another grid; 0 outside."""
    to_source = np.linalg.inv(grid.affine_lps) @ wanted.affine_lps
    z_size, y_size, x_size = wanted.shape
    y, x = np.mgrid[:y_size, :x_size]
    in_plane = x[..., None] * to_source[:3, 0] + y[..., None] * to_source[:3, 1] + to_source[:3, 3]
    limits = np.array(values.shape[::-1])
    result = np.zeros(wanted.shape, values.dtype)
    for z in range(z_size):
        index = np.rint(in_plane + z * to_source[:3, 2]).astype(np.intp)
        inside = ((index >= 0) & (index < limits)).all(axis=-1)
        column, row, plane = index[inside].T
        result[z][inside] = values[plane, row, column]
    return result
