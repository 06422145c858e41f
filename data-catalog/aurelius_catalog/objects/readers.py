"""Readers of objects, one for each SOP class (PS3.4 B.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import xarray as xr
from pydicom import Dataset, uid

from aurelius_catalog.errors import InvalidObject
from aurelius_catalog.objects.bulk_annotations import BulkAnnotations
from aurelius_catalog.objects.dose import open_dose
from aurelius_catalog.objects.parametric import open_parametric_map
from aurelius_catalog.objects.radiotherapy_plan import RadiotherapyPlan
from aurelius_catalog.objects.reading import read_object
from aurelius_catalog.objects.real_world_values import ValueMapping
from aurelius_catalog.objects.report import StructuredReport
from aurelius_catalog.objects.segmentation import StoredSegmentation
from aurelius_catalog.objects.structures import StructureSet
from aurelius_catalog.objects.waveform import Waveform
from aurelius_catalog.records import InstanceRecord
from aurelius_catalog.store import Store

if TYPE_CHECKING:
    Stored = (
        StoredSegmentation
        | StructureSet
        | RadiotherapyPlan
        | BulkAnnotations
        | StructuredReport
        | Waveform
        | ValueMapping
        | xr.DataArray
    )
    Opener = Callable[[Store, Dataset], Stored]

LABEL_MAP_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"  # newer than pydicom's table
_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
_WAVEFORMS = "1.2.840.10008.5.1.4.1.1.9."


def _list_classes(prefix: str) -> list[str]:
    return [each for each in uid.UID_dictionary if each.startswith(prefix)]


#: How the object of each SOP class is opened.
CLASSES: Mapping[str, Opener] = {
    uid.SegmentationStorage: lambda _, dataset: StoredSegmentation(dataset),
    LABEL_MAP_SEGMENTATION_STORAGE: lambda _, dataset: StoredSegmentation(dataset),
    uid.RTStructureSetStorage: StructureSet,
    uid.MicroscopyBulkSimpleAnnotationsStorage: BulkAnnotations,
    uid.RTPlanStorage: RadiotherapyPlan,
    uid.RTDoseStorage: lambda _, dataset: open_dose(dataset),
    uid.ParametricMapStorage: lambda _, dataset: open_parametric_map(dataset),
    uid.RealWorldValueMappingStorage: lambda _, dataset: ValueMapping(dataset),
    **dict.fromkeys(_list_classes(_REPORTS), lambda _, dataset: StructuredReport(dataset)),
    **dict.fromkeys(_list_classes(_WAVEFORMS), lambda _, dataset: Waveform(dataset)),
}


def open_objects(store: Store, instances: Sequence[InstanceRecord]) -> list[Stored]:
    """Open every object of a series.

    Raises
    ------
    InvalidObject
        If one of them is of a kind that has no reader here.
    """
    return [_open(store, instance) for instance in instances]


def open_object(store: Store, instances: Sequence[InstanceRecord]) -> Stored:
    """Open the one object of a series.

    Raises
    ------
    InvalidObject
        If there are several, or it is of a kind that has no reader here.
    """
    if len(instances) != 1:
        raise InvalidObject(f"This series holds {len(instances)} objects: `series.objects()` opens each.")
    return _open(store, instances[0])


def open_array(store: Store, instances: Sequence[InstanceRecord]) -> xr.DataArray:
    """Open the one object of a series as an array.

    Raises
    ------
    InvalidObject
        If there are several, or it is nothing like an array.
    """
    opened = open_object(store, instances)
    if isinstance(opened, xr.DataArray):
        return opened
    if isinstance(opened, (BulkAnnotations, RadiotherapyPlan, StructuredReport, ValueMapping)):
        raise InvalidObject(f"{opened!r} is no array: `series.open()` gives it as it is.")
    return opened.to_xarray()


def _open(store: Store, instance: InstanceRecord) -> Stored:
    opener, name = CLASSES.get(instance.SOPClassUID), uid.UID(instance.SOPClassUID).name
    if opener is None:
        raise InvalidObject(f"{name} has no reader here: `series.read_files()` gives the files as they are.")
    try:
        return opener(store, read_object(store, instance.SOPInstanceUID))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InvalidObject(f"This {name.removesuffix(' Storage')} is not written as DICOM asks: {error}") from error
