"""The contents of a frozen dataset: its series, its labels, and what the voxels of the labels mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from html import escape

import pandas as pd

from aurelius_catalog.datasets.frozen_series import FrozenSeries
from aurelius_catalog.records import DatasetObject, DatasetRecord, SeriesRecord
from aurelius_catalog.store import Store


@dataclass(frozen=True, eq=True, repr=False)
class DatasetContents:
    """What a frozen dataset holds; copies of it are written from this.

    Parameters
    ----------
    record
        What the index knows about it.
    store
        Where it is read from.
    """

    record: DatasetRecord
    store: Store

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DatasetContents) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        gone = f", {len(self.withdrawn)} withdrawn" if self.withdrawn else ""
        return f"<{type(self).__name__} {self.name}: {len(self)} series{gone}, id {self.id[:12]}…>"

    def _repr_html_(self) -> str:
        shown = ["PatientID", "Modality", "BodyPartExamined", "n_frames", "SeriesInstanceUID"]
        table = self.df[shown].head(20).to_html(index=False)
        return f"<p>{escape(repr(self)[1:-1])}<br><code>{self.id}</code></p>{table}"

    @property
    def id(self) -> str:
        """SHA-256 (hex) over the hashes of its files, labels and de-identification profiles."""
        return self.record.id

    @property
    def name(self) -> str:
        """What it was called."""
        return self.record.name

    @property
    def created_by(self) -> str:
        """Who froze it under this name."""
        return self.record.created_by

    @property
    def created_at(self) -> datetime:
        """When it was frozen under this name."""
        return self.record.created_at

    @property
    def SeriesInstanceUIDs(self) -> tuple[str, ...]:
        """Every series it was frozen with."""
        return self.record.SeriesInstanceUIDs

    @property
    def withdrawn(self) -> tuple[str, ...]:
        """The series whose patient was withdrawn since: their images are gone."""
        return self.record.withdrawn

    @property
    def remaining(self) -> tuple[str, ...]:
        """The series that can still be opened."""
        return self.record.remaining

    @property
    def citation(self) -> str:
        """How to cite it."""
        return self.record.citation

    # -- what it holds ---------------------------------------------------------------------------

    @cached_property
    def series(self) -> list[FrozenSeries]:
        """The series that can still be opened, by patient and study."""
        return [FrozenSeries(self.store, record, self.id) for record in self.store.list_dataset_series(self.id)]

    @property
    def instances(self) -> list[DatasetObject]:
        """Every file of its series, with its hash."""
        return self.store.list_dataset_objects(self.id, role="image")

    @cached_property
    def labels(self) -> list[DatasetObject]:
        """Every label version drawn on its series when it was frozen, as the file that holds it."""
        return self.store.list_dataset_objects(self.id, role="label")

    @cached_property
    def segments(self) -> dict[str, int]:
        """What the voxels of its label maps mean: the label of each structure and its value, the same in every series.

        Series may number their segments differently; every copy of the dataset uses these numbers, by alphabet.
        """
        newest: dict[str, DatasetObject] = {}
        for item in sorted(self.labels, key=lambda item: item.version or 0):
            newest[item.SeriesInstanceUID] = item
        names = sorted({segment.label for item in newest.values() for segment in item.segments})
        return {name: number for number, name in enumerate(names, start=1)}

    @cached_property
    def df(self) -> pd.DataFrame:
        """One row per series, one column per attribute."""
        return pd.DataFrame([each.record.model_dump() for each in self.series], columns=list(SeriesRecord.model_fields))

    def __len__(self) -> int:
        return len(self.remaining)

    def __iter__(self) -> Iterator[FrozenSeries]:
        return iter(self.series)

    def __getitem__(self, position: int) -> FrozenSeries:
        return self.series[position]
