"""The geometry of a stack of frames: its affine, its spacing, and whether it is regular."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from aurelius_catalog.errors import InvalidVolume
from aurelius_catalog.volumes.planes import Numbers, Planes

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Slices may stray from regular spacing by this share of the spacing before a series is refused.
SPACING_TOLERANCE = 0.01
#: Cosines of slice orientations may differ by this much.
ORIENTATION_TOLERANCE = 1e-4
#: Frames no farther apart than this are at one place.
PLACE_TOLERANCE_MM = 1e-3
#: Positions are written with few digits: what a slice may stray within its plane in any case.
STRAY_MM = 0.02
#: Slices shifted by more than this share of their distance within the plane are those of a tilted gantry.
SHEAR_TOLERANCE = 0.005


@dataclass(frozen=True)
class Geometry:
    """The place of a regular volume in the patient (PS3.3 C.7.6.2.1.1).

    Parameters
    ----------
    affine_lps
        4 x 4 float64; maps (column, row, slice, 1) to (x, y, z, 1) in mm, patient LPS.
    spacing_mm
        Distance of (slices, rows, columns) in mm, slices along their normal.
    tilt_degrees
        By how much the axis of slices is off their normal; 0 where voxels are boxes.
    """

    affine_lps: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]
    tilt_degrees: float = 0.0


def measure_geometry(planes: Planes, *, allow_shear: bool = False) -> Geometry:
    """Find the geometry of frames that are in their order along the normal.

    Parameters
    ----------
    planes
        One frame for each slice.
    allow_shear
        Whether a tilted gantry is taken as it is: the affine then says how slices are shifted.

    Raises
    ------
    InvalidVolume
        If positions are missing, orientations, sizes or distances differ, slices repeat, or the gantry was tilted.
    """
    check_planes(planes)
    along_row, along_column = planes.orientations[0][:3], planes.orientations[0][3:]
    normal = np.cross(along_row, along_column)
    step, slice_mm = _measure_step(planes, normal)
    tilt = float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1, 1))))
    if abs(np.tan(np.radians(tilt))) <= SHEAR_TOLERANCE:
        tilt = 0.0
    elif not allow_shear:
        raise InvalidVolume(
            f"The slices are shifted against each other as by a gantry tilted by {tilt:.1f}°, so voxels are no boxes: "
            "`allow_shear=True` opens them as they are, with an affine that says so."
        )
    row_mm, column_mm = planes.spacings_mm[0]
    affine = np.eye(4)
    affine[:3, 0] = along_row * column_mm
    affine[:3, 1] = along_column * row_mm
    affine[:3, 2] = step
    affine[:3, 3] = planes.positions[0]
    return Geometry(affine, (slice_mm, float(row_mm), float(column_mm)), tilt)


def check_planes(planes: Planes) -> None:
    """Refuse frames that cannot be slices of one volume.

    Raises
    ------
    InvalidVolume
        If positions are missing, or sizes or orientations differ.
    """
    if not planes.are_placed.all():
        raise InvalidVolume("These images carry no position in the patient, so they do not form a volume.")
    if len(set(planes.formats)) > 1:
        raise InvalidVolume("The images of this series differ in size or kind: `series.volumes()` parts them.")
    if np.abs(planes.orientations - planes.orientations[0]).max() > ORIENTATION_TOLERANCE:
        raise InvalidVolume("The images of this series lie in different planes: `series.volumes()` parts them.")


def measure_depths(planes: Planes) -> Numbers:
    """Return how far each frame lies along the normal of the first: ``(frames,)`` float64, mm."""
    orientation = planes.orientations[0]
    return planes.positions @ np.cross(orientation[:3], orientation[3:])


def find_runs(depths: Numbers) -> list[slice]:
    """Part slices where their distance changes: the longest regular runs first, what is left over slice by slice.

    Parameters
    ----------
    depths
        ``(slices,)`` float64: position of each along the normal in mm, ascending.

    Returns
    -------
    list of slice
        In ascending order; one if all distances are the same.
    """
    steps = np.diff(depths)
    changes = [index for index in range(1, len(steps)) if not _is_near(steps[index], steps[index - 1])]
    regular = sorted(
        pairwise([0, *changes, len(steps)]), key=lambda run: run[0] - run[1]
    )  # steps first … last - 1 are alike
    free = np.ones(len(depths), bool)
    runs = []
    for first, last in [*regular, *((index, index) for index in range(len(depths)))]:
        mine = [index for index in range(first, last + 1) if free[index]]
        if mine:
            runs.append(slice(mine[0], mine[-1] + 1))
            free[mine] = False
    return sorted(runs, key=lambda run: run.start)


def _is_near(step: float, other: float) -> bool:
    return abs(step - other) <= SPACING_TOLERANCE * max(step, other)


def _measure_step(planes: Planes, normal: Numbers) -> tuple[Numbers, float]:
    positions = planes.positions
    if len(positions) == 1:
        thickness = planes.read("SpacingBetweenSlices")[0] or planes.read("SliceThickness")[0] or 1.0
        return normal * abs(thickness), abs(thickness)
    steps = np.diff(positions @ normal)
    mean = float(steps.mean())
    if steps.min() < PLACE_TOLERANCE_MM:
        raise InvalidVolume(
            "Several images of this series lie at the same place: it holds more than one volume, or images twice. "
            "`series.volumes()` parts them."
        )
    if np.abs(steps - mean).max() > SPACING_TOLERANCE * mean:
        raise InvalidVolume(
            f"The slices of this series are {steps.min():.3f} to {steps.max():.3f} mm apart: slices are missing "
            "or unevenly spaced, so they do not form a regular volume. `series.volumes()` gives its regular parts."
        )
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    strays = positions - positions[0] - np.outer(np.arange(len(positions)), step)
    if np.linalg.norm(strays, axis=1).max() > max(SPACING_TOLERANCE * mean, STRAY_MM):
        raise InvalidVolume(
            "The slices of this series are shifted against each other unevenly, so they do not form a regular volume. "
            "`series.read_files()` gives them one by one."
        )
    return step, mean
