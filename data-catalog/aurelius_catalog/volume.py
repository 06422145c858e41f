"""From the instances of a series to one array with a place in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import dask
import dask.array
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydicom import dcmread

from aurelius_catalog.errors import InvalidVolume
from aurelius_catalog.frames import decode_frame
from aurelius_catalog.media import DICOM
from aurelius_catalog.model import InstanceRecord
from aurelius_catalog.store import Store

#: Slices may stray from regular spacing by this share of the spacing before a series is refused.
SPACING_TOLERANCE = 0.01
#: Cosines of slice orientations may differ by this much.
ORIENTATION_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Geometry:
    """Where a regular volume lies: PS3.3 C.7.6.2.1.1.

    Parameters
    ----------
    affine_lps
        4 x 4 float64; maps (column, row, slice, 1) to (x, y, z, 1) in mm, patient LPS.
    spacing_mm
        Distance of (slices, rows, columns) in mm.
    """

    affine_lps: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]


def measure_geometry(instances: Sequence[InstanceRecord]) -> Geometry:
    """Find the geometry of single-frame slices in their order along the normal.

    Raises
    ------
    InvalidVolume
        If positions are missing, orientations or sizes differ, slices repeat, or their distances do.
    """
    first = instances[0]
    if not all(has_position(item) for item in instances):
        raise InvalidVolume("These images carry no position in the patient, so they do not form a volume.")
    if len({(item.Rows, item.Columns) for item in instances}) > 1:
        raise InvalidVolume("The images of this series differ in size: select those of one size.")
    orientations = np.array([item.ImageOrientationPatient for item in instances])
    if np.abs(orientations - orientations[0]).max() > ORIENTATION_TOLERANCE:
        raise InvalidVolume("The images of this series lie in different planes: select those of one orientation.")
    along_row, along_column = orientations[0][:3], orientations[0][3:]
    positions = np.array([item.ImagePositionPatient for item in instances])
    step, slice_mm = _measure_step(positions, np.cross(along_row, along_column), first.SliceThickness or 1.0)
    row_mm, column_mm = first.PixelSpacing  # type: ignore[misc]  # checked above
    affine = np.eye(4)
    affine[:3, 0] = along_row * column_mm
    affine[:3, 1] = along_column * row_mm
    affine[:3, 2] = step
    affine[:3, 3] = positions[0]
    return Geometry(affine, (slice_mm, row_mm, column_mm))


def has_position(instance: InstanceRecord) -> bool:
    """Whether an instance says where in the patient its one plane lies."""
    return bool(instance.ImagePositionPatient and instance.ImageOrientationPatient and instance.PixelSpacing)


def _measure_step(
    positions: NDArray[np.float64], normal: NDArray[np.float64], thickness: float
) -> tuple[NDArray[np.float64], float]:
    if len(positions) == 1:
        return normal * thickness, thickness
    steps = np.diff(positions @ normal)
    mean = float(steps.mean())
    if steps.min() < 1e-3:
        raise InvalidVolume("Several images of this series lie at the same place: it holds more than one volume.")
    if np.abs(steps - mean).max() > SPACING_TOLERANCE * mean:
        raise InvalidVolume(
            f"The slices of this series are {steps.min():.3f} to {steps.max():.3f} mm apart: slices are missing "
            "or unevenly spaced, so they do not form a regular volume."
        )
    return (positions[-1] - positions[0]) / (len(positions) - 1), mean


def open_volume(store: Store, instances: Sequence[InstanceRecord]) -> xr.DataArray:
    """Open a series lazily; voxels are read when they are asked for, one chunk per frame.

    Returns
    -------
    xarray.DataArray
        Single-frame slices: dims ``(z, y, x)``, float32, rescaled (Hounsfield units for CT), coordinates in
        mm from the first voxel, ``attrs["affine_lps"]``. Without a position per image: dims ``(frame, y, x)``.
        Colour has a last dim ``c`` and keeps its stored dtype.

    Raises
    ------
    InvalidVolume
        If the series holds no image, or its slices do not form one volume.
    """
    if others := [item for item in instances if item.media_type != DICOM]:
        from aurelius_catalog.nifti_volume import open_nifti  # few processes need nibabel

        return open_nifti(store, others[0])
    images = [item for item in instances if item.Rows and item.Columns]
    if not images:
        raise InvalidVolume("This series holds no image. `series.record.Modality` says what it is.")
    if not all(has_position(item) and len(item.frames) == 1 for item in images):
        return _open_frames(store, images)
    geometry = measure_geometry(images)
    data = dask.array.stack([_lazy_frame(store, item, 0) for item in images])
    coordinates = {
        name: (name, np.arange(size) * step, {"units": "mm"})
        for name, size, step in zip("zyx", data.shape, geometry.spacing_mm, strict=False)
    }
    attributes = {
        "units": "HU" if images[0].RescaleSlope is not None and _is_ct(images[0]) else "",
        "affine_lps": geometry.affine_lps.tolist(),
        "spacing_mm": list(geometry.spacing_mm),
        "SeriesInstanceUID": images[0].SeriesInstanceUID,
    }
    return xr.DataArray(data, coordinates, ("z", "y", "x", "c")[: data.ndim], name="image", attrs=attributes)


def _open_frames(store: Store, images: Sequence[InstanceRecord]) -> xr.DataArray:
    """Stack frames that carry no position each: multi-frame objects, secondary captures, cine."""
    if len({(item.Rows, item.Columns, item.SamplesPerPixel) for item in images}) > 1:
        raise InvalidVolume("The images of this series differ in size: open them one by one.")
    data = dask.array.concatenate([_stack_frames(store, item) for item in images])
    attributes = {"units": "", "SeriesInstanceUID": images[0].SeriesInstanceUID}
    return xr.DataArray(data, dims=("frame", "y", "x", "c")[: data.ndim], name="image", attrs=attributes)


def _stack_frames(store: Store, instance: InstanceRecord) -> dask.array.Array:
    if instance.frames:
        return dask.array.stack([_lazy_frame(store, instance, index) for index in range(len(instance.frames))])
    # 1-bit or deflated: frames cannot be cut out of the file
    dataset = dcmread(BytesIO(store.read_file(instance.SOPInstanceUID)))
    frames = int(dataset.get("NumberOfFrames") or 1)
    return dask.array.from_array(dataset.pixel_array.reshape(frames, *dataset.pixel_array.shape[frames > 1 :]))


def _lazy_frame(store: Store, instance: InstanceRecord, index: int) -> dask.array.Array:
    samples = instance.SamplesPerPixel or 1
    shape = (instance.Rows, instance.Columns) if samples == 1 else (instance.Rows, instance.Columns, samples)
    dtype = np.float32 if samples == 1 else np.uint8
    return dask.array.from_delayed(dask.delayed(read_pixels)(store, instance, index), shape, dtype)


def read_pixels(store: Store, instance: InstanceRecord, index: int) -> NDArray[np.generic]:
    """Read one frame: grey as rescaled float32 ``(rows, columns)``, colour as stored ``(rows, columns, samples)``."""
    stored = decode_frame(store.read_frame(instance, index), instance)
    if stored.ndim == 3:
        return stored
    slope = 1.0 if instance.RescaleSlope is None else instance.RescaleSlope
    return stored.astype(np.float32) * np.float32(slope) + np.float32(instance.RescaleIntercept or 0.0)


def _is_ct(instance: InstanceRecord) -> bool:
    return instance.SOPClassUID in ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1")
