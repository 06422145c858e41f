"""What a search found: a table, a count, facets, SQL, and the series themselves."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import duckdb
import pandas as pd

from aurelius_catalog.datasets.frozen import FrozenDataset
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.model import SeriesRecord
from aurelius_catalog.series import Series
from aurelius_catalog.store import Store


class Query:
    """The answer to `Catalog.search`, fetched when first needed.

    Parameters
    ----------
    store
        Where the question goes.
    keywords
        The question.
    """

    def __init__(self, store: Store, keywords: dict[str, object]) -> None:
        self._store = store
        self._keywords = keywords

    @cached_property
    def records(self) -> list[SeriesRecord]:
        """What the index knows of every series found."""
        return self._store.find_series(**self._keywords)

    @cached_property
    def df(self) -> pd.DataFrame:
        """One row per series, one column per attribute."""
        columns = list(SeriesRecord.model_fields)
        return pd.DataFrame([record.model_dump() for record in self.records], columns=columns)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Series]:
        return (Series(self._store, record) for record in self.records)

    def __getitem__(self, position: int) -> Series:
        return Series(self._store, self.records[position])

    def _repr_html_(self) -> str:
        shown = ["PatientID", "Modality", "BodyPartExamined", "n_frames", "site", "SeriesInstanceUID"]
        return f"<p>{len(self)} series</p>{self.df[shown].head(20).to_html(index=False)}"

    def facets(self, keyword: str) -> pd.Series:
        """Count the series per value of an attribute.

        Raises
        ------
        InvalidRequest
            For an attribute the table does not have.
        """
        if keyword not in self.df:
            raise InvalidRequest(f"{keyword} is no column of the result; those are {', '.join(self.df.columns)}.")
        return self.df[keyword].value_counts(dropna=False)

    def sql(self, statement: str) -> pd.DataFrame:
        """Ask the result in SQL, where it is the table ``series`` (DuckDB)."""
        with duckdb.connect() as connection:
            connection.register("series", self.df)
            return connection.execute(statement).df()

    def freeze(self, name: str) -> FrozenDataset:
        """Keep exactly these series, and the labels drawn on them so far, as a citable dataset."""
        record = self._store.add_dataset(name, [record.SeriesInstanceUID for record in self.records])
        return FrozenDataset(record, self._store)
