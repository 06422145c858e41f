"""An image as OME-Zarr 0.5 (NGFF): one group with one array, its axes named and measured, its labels below it.

The place in the patient, which OME-Zarr 0.5 has no word for, stands beside it as ``aurelius.affine_lps``; the axes
that run along the patient's say so as RFC-4 proposes (``orientation``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

VERSION = "0.5"
#: Voxels along each axis of a chunk: what is read and decoded at once.
CHUNK = 64
#: Bytes of a shard, which is one file, at most (but for a slab of chunks that is larger by itself).
SHARD_BYTES = 2**30
#: Cosine from which an axis counts as running along the patient's.
ALONG = 0.999
#: Share of a step in time by which steps may differ and still count as even.
EVEN = 0.01
SPACE = ("z", "y", "x")
#: Where an axis of an LPS affine leads, negative and positive.
_DIRECTIONS = (
    ("left-to-right", "right-to-left"),
    ("posterior-to-anterior", "anterior-to-posterior"),
    ("superior-to-inferior", "inferior-to-superior"),
)
_COMPRESSION = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")


def write_image(group: zarr.Group, image: xr.DataArray, **about: object) -> None:
    """Write an image into an empty group, loss-free.

    Parameters
    ----------
    group
        Where it goes.
    image
        Any dims that end in space, such as ``(z, y, x)`` or ``(t, z, y, x)``; a last dim ``c`` is colour. OME-Zarr has
        room for one more beside time and space: several, such as echo and component, become one, ``volume``. Rescaled
        values that are whole numbers are kept as int16, where they fit.
    about
        What else to say under ``aurelius``.
    """
    image = _order_axes(image)
    values = shrink_values(image.to_numpy())
    affine = image.attrs.get("affine_lps")
    known = {"affine_lps": affine, "spacing_mm": image.attrs.get("spacing_mm"), "units": image.attrs.get("units", "")}
    known["step_mm"] = _find_steps(image)
    known["coordinates"] = _list_coordinates(image)
    attributes: Any = group.attrs
    attributes["ome"] = {"version": VERSION, "multiscales": [_describe(image)]}
    attributes["aurelius"] = {key: value for key, value in {**known, **about}.items() if value is not None}
    chunks = tuple(
        min(size, CHUNK) if dim in SPACE else size if dim == "c" else 1
        for dim, size in zip(image.dims, values.shape, strict=True)
    )
    array = group.create_array(
        "0",
        shape=values.shape,
        dtype=values.dtype,
        chunks=chunks,
        shards=_choose_shards(values, chunks),
        compressors=_COMPRESSION,
        dimension_names=[str(dim) for dim in image.dims],
    )
    array[...] = values


def write_label(
    group: zarr.Group, name: str, label: xr.DataArray, segments: Mapping[str, int], **about: object
) -> None:
    """Write a label map below an image.

    Parameters
    ----------
    group
        The image's.
    name
        What the label map is called.
    label
        Whole numbers, on the image's grid.
    segments
        Label of each structure to its voxel value.
    """
    labels = group.create_group("labels")
    drawn = labels.create_group(name)
    write_image(drawn, label, segments=dict(segments), **about)
    listed = [{"label-value": value, "name": text} for text, value in segments.items()]
    attributes: Any = drawn.attrs
    described = {"version": VERSION, "properties": listed, "source": {"image": "../../"}}
    attributes["ome"] = {**attributes["ome"], "image-label": described}
    labels.attrs["ome"] = {"version": VERSION, "labels": [name]}


def read_image(group: zarr.Group) -> xr.DataArray:
    """Open an image that was written here; its voxels are read when they are asked for.

    Returns
    -------
    xarray.DataArray
        As stored, with ``attrs`` affine_lps, spacing_mm and units, and coordinates in mm where it has a spacing.
    """
    attributes: Any = group.attrs
    about = dict(attributes["aurelius"])
    data = xr.open_zarr(group.store, group=group.path or None, consolidated=False, chunks=None)["0"]
    coordinates = dict(about.pop("steps", {}))  # of copies from before coordinates could lie along another axis
    for name, known in about.pop("coordinates", {}).items():
        numbers = None in known["values"]  # JSON has no NaN
        values = np.array(known["values"], np.float64 if numbers else None)
        coordinates[name] = (known["along"], values, {"units": known["units"]} if known["units"] else {})
    for dim, step in about.pop("step_mm").items():
        coordinates[dim] = (dim, np.arange(data.sizes[dim]) * step, {"units": "mm"})
    return data.assign_coords(coordinates).assign_attrs(about)


def write_several(group: zarr.Group, count: int, **about: object) -> list[zarr.Group]:
    """Make an empty group a collection of images (OME-Zarr 0.5, "bioformats2raw.layout"); returns a group for each.

    Parameters
    ----------
    group
        Where they go.
    count
        How many.
    about
        What to say of all of them under ``aurelius``.
    """
    names = [str(number) for number in range(count)]
    attributes: Any = group.attrs
    attributes["ome"] = {"version": VERSION, "bioformats2raw.layout": 3}
    attributes["aurelius"] = {**about, "volumes": names}
    group.create_group("OME", attributes={"ome": {"version": VERSION, "series": names}})
    return [group.create_group(name) for name in names]


def _order_axes(image: xr.DataArray) -> xr.DataArray:
    """Put time first, then channel or what else there is, as one axis, then space, as OME-Zarr wants it."""
    others = [dim for dim in image.dims if dim not in (*SPACE, "t")]
    if len(others) > 1:
        image = image.stack(volume=others, create_index=False)
        others = ["volume"]
    space = [dim for dim in image.dims if dim in SPACE]
    return image.transpose(*(dim for dim in image.dims if dim == "t"), *others, *space)


def _list_coordinates(image: xr.DataArray) -> dict[str, Any]:
    """Return what is known of the steps of the axes that are not space, such as b-values, directions and moments."""
    listed = {}
    for name, coordinate in image.coords.items():
        if coordinate.ndim == 1 and coordinate.dims[0] not in SPACE:
            values = [None if value != value else value for value in coordinate.values.tolist()]  # NaN
            units = str(coordinate.attrs.get("units", ""))
            listed[str(name)] = {"along": str(coordinate.dims[0]), "values": values, "units": units}
    return listed


def _describe(image: xr.DataArray) -> dict[str, Any]:
    steps = {**_find_steps(image), **find_period(image)}
    scale = [float(steps.get(str(dim), 1.0)) for dim in image.dims]
    axes = [_describe_axis(image, str(dim), measured=str(dim) in steps) for dim in image.dims]
    transformation = {"type": "scale", "scale": scale}
    return {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [transformation]}]}


def _find_steps(image: xr.DataArray) -> dict[str, float]:
    """Return how far voxels are apart along the axes of space, in mm, where that is known."""
    if spacing := image.attrs.get("spacing_mm"):
        return dict(zip(SPACE, map(float, spacing), strict=True))
    known = [dim for dim in image.dims if dim in SPACE and dim in image.coords and image.sizes[dim] > 1]
    return {str(dim): float(np.diff(image.coords[dim].values[:2])[0]) for dim in known}


def find_period(image: xr.DataArray) -> dict[str, float]:
    """Return how far the steps in time are apart, in seconds, where they are even."""
    if "t" not in image.dims or image.sizes["t"] < 2 or "t" not in image.coords or image["t"].attrs.get("units") != "s":
        return {}
    steps = np.diff(image["t"].values)
    return {"t": float(steps.mean())} if steps.min() > 0 and np.ptp(steps) <= EVEN * steps.mean() else {}


def _describe_axis(image: xr.DataArray, dim: str, *, measured: bool) -> dict[str, Any]:
    if dim not in SPACE:
        unit = {"unit": "second"} if measured else {}
        return {"name": dim, **({"type": "time", **unit} if dim == "t" else {"type": "channel"})}
    axis: dict[str, Any] = {"name": dim, "type": "space", **({"unit": "millimeter"} if measured else {})}
    affine = image.attrs.get("affine_lps")
    if affine is not None:
        column = np.asarray(affine)[:3, "xyz".index(dim)]
        cosines = column / np.linalg.norm(column)
        along = int(np.argmax(np.abs(cosines)))
        if abs(cosines[along]) >= ALONG:
            axis["orientation"] = {"type": "anatomical", "value": _DIRECTIONS[along][int(cosines[along] > 0)]}
    return axis


def shrink_values(values: NDArray[Any]) -> NDArray[Any]:
    """Keep whole numbers as int16, where they fit: half of float32, and compressed far better."""
    if values.dtype != np.float32 or not values.size or not (values.min() >= -(2**15) and values.max() < 2**15):
        return values
    whole = values.astype(np.int16)
    return whole if np.array_equal(whole, values) else values


def _choose_shards(values: NDArray[Any], chunks: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a shard: all of the image in one file, or as many slabs of chunks as fit."""
    shards = [-(-size // chunk) * chunk for size, chunk in zip(values.shape, chunks, strict=True)]
    for axis, chunk in enumerate(chunks):
        others = np.prod(shards[:axis] + shards[axis + 1 :]) * values.itemsize
        shards[axis] = min(shards[axis], max(1, int(SHARD_BYTES // (others * chunk))) * chunk)
    return tuple(shards)
