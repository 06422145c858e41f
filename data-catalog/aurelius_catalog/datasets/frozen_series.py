"""A series as it was when its dataset was frozen."""

from __future__ import annotations

from functools import cached_property

import xarray as xr

from aurelius_catalog.errors import InvalidVolume
from aurelius_catalog.records import DatasetObject, InstanceRecord, SeriesRecord
from aurelius_catalog.series import Segmentation, Series
from aurelius_catalog.store import Store


class FrozenSeries(Series):
    """A series of a frozen dataset: without the instances and label versions that came later.

    Parameters
    ----------
    store, record
        As for `Series`.
    dataset_id
        The dataset's.
    """

    def __init__(self, store: Store, record: SeriesRecord, dataset_id: str) -> None:
        super().__init__(store, record)
        self.dataset_id = dataset_id

    @cached_property
    def files(self) -> list[DatasetObject]:
        """The files it was frozen with, and those of its label versions."""
        return self._store.list_dataset_objects(self.dataset_id, self.record.SeriesInstanceUID)

    @cached_property
    def instances(self) -> list[InstanceRecord]:
        """The files of the series, in slice order."""
        held = {item.SOPInstanceUID for item in self.files if item.role == "image"}
        return [instance for instance in super().instances if instance.SOPInstanceUID in held]

    @cached_property
    def segmentations(self) -> list[Segmentation]:  # type: ignore[override]  # frozen: asked once
        """The label versions that were there when it was frozen, oldest first."""
        held = {item.SOPInstanceUID for item in self.files if item.role == "label"}
        return [label for label in super().segmentations if label.annotation.SOPInstanceUID in held]

    def open_arrays(self) -> list[xr.DataArray]:
        """Open the arrays its copies hold: one of most series, see `volumes` of the others.

        Raises
        ------
        InvalidVolume
            If it is a whole slide, whose frames are tiles of several levels, or holds no array.
        """
        if self._is_slide:
            raise InvalidVolume("This is a whole slide: `series.slide()` reads its levels where they are.")
        return self.volumes()

    @property
    def label(self) -> Segmentation | None:
        """The newest of them; None if nobody had drawn anything."""
        return self.segmentations[-1] if self.segmentations else None
