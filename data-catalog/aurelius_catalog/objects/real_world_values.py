"""Real world values (PS3.3 C.7.6.16.2.11): SUV of a PET, mm²/s of a diffusion map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydicom import Dataset

from aurelius_catalog.errors import InvalidObject, InvalidVolume
from aurelius_catalog.objects.reading import list_references
from aurelius_catalog.records import InstanceRecord


class ImageSeries(Protocol):
    """A series of images that opens as an array, such as `aurelius_catalog.series.Series`."""

    @property
    def instances(self) -> list[InstanceRecord]:
        """The files of the series, in slice order."""
        ...

    def to_xarray(self, *, dtype: Any = None) -> xr.DataArray:
        """Open the images: ``(z, y, x)``, as stored where ``dtype`` is ``"stored"``."""
        ...


@dataclass(frozen=True)
class RealWorldValue:
    """One way to read stored values: ``stored * slope + intercept``, or a table.

    Parameters
    ----------
    name
        LUTLabel, LUTExplanation, or the meaning of the quantity.
    unit
        UCUM code, such as ``g/ml{SUVbw}``.
    slope, intercept
        Of the line.
    first, table
        First stored value of the table, and what it and those after it stand for; where values follow no line.
    """

    name: str
    unit: str
    slope: float = 1.0
    intercept: float = 0.0
    first: int = 0
    table: tuple[float, ...] = ()

    def apply(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Turn stored values into real ones; those that a table does not hold become NaN."""
        if not self.table:
            return stored * stored.dtype.type(self.slope) + stored.dtype.type(self.intercept)
        index = np.rint(stored).astype(np.int64) - self.first
        inside = (index >= 0) & (index < len(self.table))
        values = np.asarray(self.table, stored.dtype)[np.where(inside, index, 0)]
        return np.where(inside, values, np.nan).astype(stored.dtype)


def read_real_world_values(group: Dataset) -> list[RealWorldValue]:
    """Return every mapping that a functional group, or the object itself, gives."""
    return [_read_value(item) for item in group.get("RealWorldValueMappingSequence") or []]


def _read_value(item: Dataset) -> RealWorldValue:
    unit = (item.get("MeasurementUnitsCodeSequence") or [Dataset()])[0]
    table = item.get("RealWorldValueLUTData")
    slope = item.get("RealWorldValueSlope")
    if table is None and slope is None:
        raise InvalidObject("A mapping of this object gives neither a slope nor a table.")
    return RealWorldValue(
        name=_name_mapping(item),
        unit=str(unit.get("CodeValue") or unit.get("CodeMeaning") or ""),
        slope=1.0 if slope is None else float(slope),
        intercept=float(item.get("RealWorldValueIntercept") or 0.0),
        first=int(item.get("RealWorldValueFirstValueMapped") or 0),
        table=() if table is None else tuple(float(value) for value in np.atleast_1d(table)),
    )


def _name_mapping(item: Dataset) -> str:
    """Return LUTLabel; where that is a mere number, the explanation, else what the codes say the quantity is."""
    label = str(item.get("LUTLabel") or "")
    if any(letter.isalpha() for letter in label):
        return label
    return str(item.get("LUTExplanation") or "") or _name_quantity(item) or label


def _name_quantity(item: Dataset) -> str:
    """Return the meaning of the item that defines the quantity (246205007, SCT; G-C1C6, SRT before)."""
    for definition in item.get("QuantityDefinitionSequence") or []:
        name = (definition.get("ConceptNameCodeSequence") or [Dataset()])[0]
        if name.get("CodeValue") in ("246205007", "G-C1C6"):
            value = (definition.get("ConceptCodeSequence") or [Dataset()])[0]
            return str(value.get("CodeMeaning") or "")
    return ""


class ValueMapping:
    """A stored mapping of other images' values (PS3.3 A.46), such as the SUV factors of a PET series.

    Parameters
    ----------
    dataset
        The whole object.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.referenced_series = list_references(dataset)
        self._of_image: dict[str, list[RealWorldValue]] = {}
        for item in dataset.get("ReferencedImageRealWorldValueMappingSequence") or []:
            values = read_real_world_values(item)
            for image in item.get("ReferencedImageSequence") or []:
                self._of_image[str(image.ReferencedSOPInstanceUID)] = values
        if not self._of_image:
            raise InvalidObject("This object maps no image's values.")

    def __repr__(self) -> str:
        return f"<ValueMapping of {len(self._of_image)} images: {', '.join(self.quantities.values())}>"

    @property
    def quantities(self) -> Mapping[str, str]:
        """What it maps to: name of each quantity, and its unit."""
        return {value.name: value.unit for values in self._of_image.values() for value in values}

    def apply(self, series: ImageSeries, quantity: str | None = None) -> xr.DataArray:
        """Open a series in the mapping's units.

        Parameters
        ----------
        series
            One of `referenced_series`.
        quantity
            Which of `quantities`; None: the first.

        Returns
        -------
        xarray.DataArray
            ``(z, y, x)`` float32, in the unit of the quantity.

        Raises
        ------
        InvalidVolume
            If it does not map every image of the series.
        """
        name = quantity or next(iter(self.quantities))
        stored = series.to_xarray(dtype="stored")
        chosen = []
        for instance in series.instances:
            found = [value for value in self._of_image.get(instance.SOPInstanceUID, []) if value.name == name]
            if not found or len(instance.frames) != 1:
                raise InvalidVolume(f"This mapping does not say {name!r} of every image of the series.")
            chosen.append(found[0])
        planes = stored.to_numpy().astype(np.float32)
        values = np.stack([value.apply(plane) for value, plane in zip(chosen, planes, strict=True)])
        return stored.copy(data=values).assign_attrs(units=chosen[0].unit, quantity=name)
