"""The volumes of a series, opened as lazy arrays with coordinates, units and a place in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from dask.base import tokenize
from xarray.core import indexing

from aurelius_catalog.dicom.frame_attributes import MODALITY_TABLE
from aurelius_catalog.errors import InvalidVolume
from aurelius_catalog.records import InstanceRecord
from aurelius_catalog.store import PixelStore
from aurelius_catalog.volumes.geometry import Geometry, measure_geometry
from aurelius_catalog.volumes.layout import VolumeLayout, choose_one, lay_out
from aurelius_catalog.volumes.lazy_array import FrameArray
from aurelius_catalog.volumes.planes import list_planes
from aurelius_catalog.volumes.voxels import PixelSource
from aurelius_deidentify.media_types import DICOM

#: CT Image, Enhanced CT Image, Legacy Converted Enhanced CT Image Storage.
_CT = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")


def open_volume(
    store: PixelStore,
    instances: Sequence[InstanceRecord],
    *,
    chunks: Any = None,
    dtype: Any = None,
    allow_shear: bool = False,
) -> xr.DataArray:
    """Open a series that is one volume; see `aurelius_catalog.series.Series.to_xarray`.

    Returns
    -------
    xarray.DataArray
        ``(z, y, x)``, float32 or ``dtype``, in the unit ``attrs["units"]`` (HU for CT); other axes before or instead of
        z where the headers name them, and c after x where it is in colour.

    Raises
    ------
    InvalidVolume
        If the series holds no image, or more than one volume, or its slices are not regular.
    InvalidRequest
        If the dtype is neither ``"stored"`` nor a float.
    """
    if others := [item for item in instances if item.media_type != DICOM]:
        from aurelius_catalog.volumes.nifti_volume import open_nifti  # few processes need nibabel

        image = open_nifti(store, others[0], dtype)
        return image if chunks is None else image.chunk(chunks)
    layout = choose_one(lay_out(list_planes(instances)))
    return open_one(store, layout, chunks=chunks, dtype=dtype, allow_shear=allow_shear)


def open_volumes(
    store: PixelStore,
    instances: Sequence[InstanceRecord],
    *,
    chunks: Any = None,
    dtype: Any = None,
    allow_shear: bool = False,
) -> list[xr.DataArray]:
    """Open every volume of a series; axes, dtype and unit of each are those of `open_volume`.

    Raises
    ------
    InvalidVolume
        If the series holds no image, or a gantry was tilted and ``allow_shear`` is not set.
    InvalidRequest
        If the dtype is neither ``"stored"`` nor a float.
    """
    if any(item.media_type != DICOM for item in instances):
        return [open_volume(store, instances, chunks=chunks, dtype=dtype)]
    layouts = lay_out(list_planes(instances))
    if not layouts:
        choose_one(layouts)
    return [open_one(store, each, chunks=chunks, dtype=dtype, allow_shear=allow_shear) for each in layouts]


def open_one(
    store: PixelStore, layout: VolumeLayout, *, chunks: Any = None, dtype: Any = None, allow_shear: bool = False
) -> xr.DataArray:
    """Open frames that form one array; axes, dtype, unit and errors are those of `open_volume`."""
    source = PixelSource(store, layout.planes, dtype)
    geometry = measure_geometry(layout.slices, allow_shear=allow_shear) if layout.placed else None
    lead = (*(len(values) for _, values, _ in layout.axes), layout.n_slices)
    names = (*(name for name, _, _ in layout.axes), *_name_axes(layout, source))
    backing = FrameArray(source, lead)
    lazy = indexing.LazilyIndexedArray(backing)
    cached = indexing.MemoryCachedArray(indexing.CopyOnWriteArray(lazy))  # type: ignore[arg-type]  # as xarray does it
    variable = xr.Variable(names, cached, _describe(layout, source, geometry))
    image = xr.DataArray(variable, _make_coordinates(layout, geometry, backing.shape, names), name="image")
    if chunks is None:
        return image
    token = tokenize([instance.sha256 for instance, _ in layout.planes.frames], str(source.dtype), lead)
    return image.chunk(_choose_chunks(chunks, image), token=token)


def _name_axes(layout: VolumeLayout, source: PixelSource) -> tuple[str, ...]:
    first = "z" if layout.placed else "t" if find_moments(layout) is not None else "frame"
    return (first, "y", "x", "c")[: 1 + len(source.shape)]


def find_moments(layout: VolumeLayout) -> list[float] | None:
    """Return when each frame of a cine run was taken, in s from the first (PS3.3 C.7.6.5); None for others."""
    count = layout.n_slices
    if layout.placed or count < 2:
        return None
    vector, steady = (layout.planes.read(name)[0] for name in ("FrameTimeVector", "FrameTime"))
    if vector and len(vector) == count:
        return [float(value) / 1000 for value in np.cumsum([0.0, *vector[1:]])]
    return [number * float(steady) / 1000 for number in range(count)] if steady else None


def _make_coordinates(
    layout: VolumeLayout, geometry: Geometry | None, shape: tuple[int, ...], names: tuple[str, ...]
) -> dict[str, Any]:
    coordinates: dict[str, Any] = {name: (name, list(values), {"units": unit}) for name, values, unit in layout.axes}
    size = dict(zip(names, shape, strict=True))
    if (moments := find_moments(layout)) is not None:
        coordinates["t"] = ("t", moments, {"units": "s"})
    spacing = geometry.spacing_mm if geometry else (None, *_find_pixel_size(layout))
    for name, step in zip("zyx", spacing, strict=True):
        if step:
            coordinates[name] = (name, np.arange(size[name]) * step, {"units": "mm"})
    if any(name == "b" for name, _, _ in layout.axes):
        directions = layout.planes.read_numbers("DiffusionGradientOrientation", 3)
        by_volume = directions.reshape(size["b"], layout.n_slices, 3)[:, 0]
        if not np.isnan(by_volume).all():  # gradients, in patient LPS
            coordinates |= {f"direction_{axis}": ("b", by_volume[:, number]) for number, axis in enumerate("xyz")}
    return coordinates


def _find_pixel_size(layout: VolumeLayout) -> tuple[float | None, float | None]:
    """Return the distance of rows and of columns in mm, in the patient or on the detector; None where not given."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        if (found := layout.planes.read(keyword)[0]) is not None:
            return float(found[0]), float(found[1])
    return None, None


def _describe(layout: VolumeLayout, source: PixelSource, geometry: Geometry | None) -> dict[str, Any]:
    first = layout.planes.first
    attributes: dict[str, Any] = {"units": find_units(layout) if source.rescaled else ""}
    if source.rescaled and (kind := layout.planes.read(MODALITY_TABLE)[0]) is not None:
        attributes[MODALITY_TABLE] = kind
    if geometry:
        attributes["affine_lps"] = geometry.affine_lps.tolist()
        attributes["spacing_mm"] = list(geometry.spacing_mm)
        if geometry.tilt_degrees:
            attributes["gantry_tilt_degrees"] = geometry.tilt_degrees
    attributes["SeriesInstanceUID"] = first.SeriesInstanceUID
    colour = len(source.shape) == 3
    attributes["PhotometricInterpretation"] = "RGB" if colour else first.PhotometricInterpretation or ""
    if layout.apart:
        attributes["apart"] = layout.apart
    if layout.planes.are_mosaics.any():
        attributes["mosaic"] = "slices lie side by side; where they lie in the patient only a private header says"
    return attributes


def find_units(layout: VolumeLayout) -> str:
    """Return the unit of rescaled voxels as DICOM names it, such as HU or BQML; empty if it names none."""
    planes = layout.planes
    if (units := planes.read("Units")[0]) is not None:  # PET, PS3.3 C.8.9.1
        return str(units)
    kind = planes.read("RescaleType")[0] or planes.read(MODALITY_TABLE)[0]
    if kind not in (None, "US"):  # unspecified
        return str(kind)
    return "HU" if planes.first.SOPClassUID in _CT and planes.read("RescaleSlope")[0] is not None else ""


def _choose_chunks(chunks: Any, image: xr.DataArray) -> Any:
    """Return chunk sizes for dask: ``{}`` and ``"auto"`` never cut a frame, which is always read whole."""
    if chunks in ({}, "auto"):
        whole = {name: -1 for name in image.dims if name in ("y", "x", "c")}
        frame_bytes = int(np.prod([image.sizes[name] for name in whole])) * image.dtype.itemsize
        last = next(name for name in reversed(image.dims) if name not in whole)
        return dict.fromkeys(image.dims, 1) | whole | {last: max(1, (1 << 26) // max(frame_bytes, 1))}
    return chunks


def check_is_volume(image: xr.DataArray) -> None:
    """Refuse an image that is not a single volume ``(z, y, x)``, of any dtype and unit.

    Raises
    ------
    InvalidVolume
        If it has other axes; the message names them.
    """
    if image.dims != ("z", "y", "x"):
        raise InvalidVolume(
            f"This series has the axes {', '.join(map(str, image.dims))}, a volume has z, y, x: choose one, such as "
            "`series.to_xarray().isel(t=0)`."
        )
