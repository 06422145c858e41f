"""Parametric maps: values that mean something other than brightness, such as diffusion or blood flow (PS3.3 A.75)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydicom import Dataset

from aurelius_catalog.errors import InvalidObject, InvalidVolume
from aurelius_catalog.objects.grid import Grid
from aurelius_catalog.objects.multiframe import read_planes
from aurelius_catalog.objects.reading import list_references
from aurelius_catalog.objects.real_world_values import RealWorldValue, read_real_world_values


def open_parametric_map(dataset: Dataset) -> xr.DataArray:
    """Read a parametric map in its units.

    Returns
    -------
    xarray.DataArray
        ``(z, y, x)``, float32 (float64 where it is stored so), coordinates in mm from the first voxel,
        ``attrs["units"]`` as UCUM, ``attrs["quantity"]``; of a map with several quantities ``(quantity, z, y, x)``
        with the coordinates ``quantity`` and ``unit``.

    Raises
    ------
    InvalidObject
        If its values cannot be read, or it does not say what they mean.
    InvalidVolume
        If its planes form no regular volume.
    """
    planes = read_planes(dataset)
    try:
        frames = dataset.pixel_array.reshape(len(planes), int(dataset.Rows), int(dataset.Columns))
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InvalidObject(f"The values of this parametric map cannot be read: {error}") from error
    meanings = _list_meanings(dataset, len(planes))
    grid = Grid.of_planes(planes)
    if grid is None:
        raise InvalidVolume("The planes of this parametric map form no regular volume.")
    quantities = list(dict.fromkeys(meaning.name for meaning in meanings))
    dtype = np.float64 if frames.dtype == np.float64 else np.float32
    values = np.full((len(quantities), *grid.shape), np.nan, dtype)
    filled: set[tuple[int, int]] = set()
    for plane, frame, meaning in zip(planes, frames, meanings, strict=True):
        corner = grid.locate(plane)
        place = (quantities.index(meaning.name), -1 if corner is None else corner[0])
        if corner is None or place in filled:
            raise InvalidVolume("This parametric map holds more than one volume of a quantity.")
        filled.add(place)
        values[place] = meaning.apply(frame.astype(dtype))
    return _name_axes(grid, values, quantities, meanings, dataset)


def _list_meanings(dataset: Dataset, count: int) -> list[RealWorldValue]:
    """Return what each frame's values mean: the first mapping of the frame, else of the object."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    own = dataset.get("PerFrameFunctionalGroupsSequence") or [Dataset()] * count
    found = [read_real_world_values(group) or read_real_world_values(shared) for group in own]
    if not all(found):
        raise InvalidObject("This parametric map does not say what its values mean (RealWorldValueMappingSequence).")
    return [values[0] for values in found]


def _name_axes(
    grid: Grid, values: NDArray[Any], quantities: Sequence[str], meanings: Sequence[RealWorldValue], dataset: Dataset
) -> xr.DataArray:
    units = [next(each.unit for each in meanings if each.name == quantity) for quantity in quantities]
    attributes = {
        "SeriesInstanceUID": str(dataset.get("SeriesInstanceUID") or ""),
        "referenced_series": list(list_references(dataset)),
    }
    if len(quantities) == 1:
        array = grid.make_array(values[0], units=units[0], quantity=quantities[0], **attributes)
        return array.rename("parametric_map")
    stacked = grid.make_array(values, units="", **attributes).rename(segment="quantity").rename("parametric_map")
    return stacked.assign_coords(quantity=list(quantities), unit=("quantity", units))
