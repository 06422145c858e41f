"""The result of a search: a table, a count, facets, SQL, and the series themselves; fetched when first needed."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import overload

import duckdb
import pandas as pd
import pyarrow as pa

from aurelius_catalog.datasets.frozen import FrozenDataset
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.records import AnnotationRecord, PredictionRecord, Record, SeriesRecord
from aurelius_catalog.series import Series
from aurelius_catalog.store import Store

#: Series fetched at a time when a person goes through all of them.
PAGE = 500
#: Rows and columns that a notebook shows.
SHOWN_ROWS = 10
#: Series of a public archive that are fetched for showing the first of them.
MOST_FETCHED = 20_000
SHOWN = (
    "PatientID",
    "StudyDate",
    "Modality",
    "BodyPartExamined",
    "SeriesDescription",
    "n_frames",
    "site",
    "SeriesInstanceUID",
)


class Query:
    """The answer to `Catalog.search`.

    Nothing is fetched until it is asked for: a length costs a count, a slice a page, `df` everything. What was fetched
    stays as it was; search again to see what has arrived since.

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

    # -- tables ----------------------------------------------------------------------------------

    @cached_property
    def table(self) -> pa.Table:
        """One row per series, one column per attribute, as Arrow."""
        return self._store.read_table(self._keywords)

    @cached_property
    def df(self) -> pd.DataFrame:
        """One row per series, one column per attribute."""
        return self.table.to_pandas()

    def facets(self, keyword: str) -> pd.Series:
        """Count the series per value of an attribute, the most frequent first.

        Raises
        ------
        InvalidRequest
            For an attribute that the index does not know.
        """
        counted = self._store.count_values(self._keywords, keyword)
        return pd.Series(list(counted.values()), index=pd.Index(list(counted), name=keyword), name="count", dtype=int)

    def sql(self, statement: str) -> pd.DataFrame:
        """Ask what was found in SQL (DuckDB).

        The tables are ``series``, and of these series the ``labels`` people drew and the ``predictions`` models made;
        ``idc`` is the public index, where the house has one.

        Raises
        ------
        InvalidRequest
            If the statement is no SQL, or names what is not there.
        """
        with duckdb.connect(config={"enable_external_access": False}) as connection:
            for name, read in self._tables().items():
                if re.search(rf"\b{name}\b", statement, re.IGNORECASE):
                    connection.register(name, read())
            try:
                return connection.execute(statement).df()
            except duckdb.Error as error:
                raise InvalidRequest(f"That cannot be asked: {error}") from error

    # -- series ----------------------------------------------------------------------------------

    @cached_property
    def records(self) -> list[SeriesRecord]:
        """What the index knows of every series found."""
        return self._store.find_series(**self._keywords)

    @cached_property
    def _length(self) -> int:
        return self._store.count_series(self._keywords)

    def __len__(self) -> int:
        return len(self.records) if "records" in self.__dict__ else self._length

    def __bool__(self) -> bool:
        return bool(self[:1])

    def __iter__(self) -> Iterator[Series]:
        if "records" in self.__dict__:
            yield from (Series(self._store, record) for record in self.records)
            return
        start = 0
        while page := self._fetch(start, start + PAGE):
            yield from (Series(self._store, record) for record in page)
            start += len(page)

    @overload
    def __getitem__(self, position: int) -> Series: ...

    @overload
    def __getitem__(self, position: slice) -> list[Series]: ...

    def __getitem__(self, position: int | slice) -> Series | list[Series]:
        """Return one series, or a list of those in a slice; no more than these are fetched."""
        if isinstance(position, slice):
            start, stop, step = position.start, position.stop, position.step
            if step not in (None, 1) or (start or 0) < 0 or stop is None or stop < 0:
                start, stop, step = position.indices(len(self))
                chosen = range(start, stop, step)
                if not chosen:
                    return []
                fetched = self._fetch(min(chosen), max(chosen) + 1)
                return [Series(self._store, fetched[each - min(chosen)]) for each in chosen]
            return [Series(self._store, record) for record in self._fetch(start or 0, stop)]
        index = position if position >= 0 else position + len(self)
        found = self._fetch(index, index + 1) if index >= 0 else []
        if not found:
            raise IndexError(f"There is no series {position}: the search found {len(self)}.")
        return Series(self._store, found[0])

    def freeze(self, name: str) -> FrozenDataset:
        """Keep exactly these series, and the labels drawn on them so far, as a citable dataset."""
        record = self._store.add_dataset(name, [record.SeriesInstanceUID for record in self.records])
        return FrozenDataset(record, self._store)

    # -- what a notebook shows -------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<{len(self)} series: {self._say_question()}>"

    def _repr_html_(self) -> str:
        rows = self._first_rows()
        shown = [name for name in (*SHOWN, "aws_url") if name in rows and rows[name].notna().any()]
        rest = len(self) - len(rows)
        more = f"<p>… and {rest:,} more</p>" if rest > 0 else ""
        return (
            f"<p><b>{len(self):,} series</b>: {html.escape(self._say_question())}</p>"
            f"{rows[shown].to_html(index=False, na_rep='') if len(rows) else ''}{more}"
        )

    # -- inside ----------------------------------------------------------------------------------

    def _fetch(self, start: int, stop: int) -> list[SeriesRecord]:
        if "records" in self.__dict__:
            return self.records[start:stop]
        return self._store.find_page(self._keywords, stop - start, start) if stop > start else []

    def _first_rows(self) -> pd.DataFrame:
        if "source" in self._keywords and "table" not in self.__dict__ and len(self) > MOST_FETCHED:
            return pd.DataFrame()  # of an archive there are no pages, and all of it takes long
        if "source" in self._keywords or "table" in self.__dict__:
            return self.table.slice(0, SHOWN_ROWS).to_pandas()
        return pd.DataFrame([record.model_dump() for record in self._fetch(0, SHOWN_ROWS)])

    def _say_question(self) -> str:
        conditions = [f"{keyword}={value!r}" for keyword, value in self._keywords.items()]
        return ", ".join(conditions) or "everything you may see"

    def _tables(self) -> dict[str, Callable[[], pa.Table]]:
        return {
            "series": lambda: self.table,
            "labels": lambda: self._read_results(AnnotationRecord, self._store.list_annotations()),
            "predictions": lambda: self._read_results(PredictionRecord, self._store.list_predictions()),
            "idc": lambda: self._store.read_table({"source": "idc"}),
        }

    def _read_results(
        self, kind: type[Record], listed: list[AnnotationRecord] | list[PredictionRecord]
    ) -> pd.DataFrame:
        mine = set(self.table.column("SeriesInstanceUID").to_pylist())
        rows = [record.model_dump() for record in listed if record.SeriesInstanceUID in mine]
        return pd.DataFrame(rows, columns=list(kind.model_fields))
