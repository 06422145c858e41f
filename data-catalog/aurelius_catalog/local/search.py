"""Searches over the catalog of this machine, always within one person's rights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from aurelius_catalog import search
from aurelius_catalog.index import reads
from aurelius_catalog.local.context import LocalContext
from aurelius_catalog.records import InstanceRecord, SeriesRecord, StudyRecord


class LocalSearch:
    """What of the `Store` protocol looks for series, studies and instances."""

    def __init__(self, context: LocalContext) -> None:
        self._context = context

    def find_series(self, **keywords: object) -> list[SeriesRecord]:
        """Return the visible series that match; see `Store.find_series`."""
        with self._context.engine.begin() as connection:
            return search.find_page(connection, self._context.person, keywords, None)

    def find_page(self, keywords: Mapping[str, object], limit: int, offset: int = 0) -> list[SeriesRecord]:
        """Return a page of the visible series that match; see `Store.find_page`."""
        with self._context.engine.begin() as connection:
            return search.find_page(connection, self._context.person, keywords, limit, offset)

    def count_series(self, keywords: Mapping[str, object]) -> int:
        """Return how many visible series match; see `Store.count_series`."""
        with self._context.engine.begin() as connection:
            return search.count_series(connection, self._context.person, keywords, self._context.settings.idc_index)

    def count_values(self, keywords: Mapping[str, object], keyword: str) -> dict[Any, int]:
        """Return how many visible series have which value; see `Store.count_values`."""
        with self._context.engine.begin() as connection:
            return search.count_values(
                connection, self._context.person, keywords, keyword, self._context.settings.idc_index
            )

    def read_table(self, keywords: Mapping[str, object]) -> pa.Table:
        """Return everything that matches as one table; see `Store.read_table`."""
        with self._context.engine.begin() as connection:
            return search.read_table(connection, self._context.person, keywords, self._context.settings.idc_index)

    def find_studies(self, keywords: Mapping[str, object], limit: int, offset: int = 0) -> list[StudyRecord]:
        """Return a page of the visible studies that have a series that matches, with counts over all their series."""
        with self._context.engine.begin() as connection:
            return search.find_studies(connection, self._context.person, keywords, limit, offset)

    def find_instances(
        self, keywords: Mapping[str, object], limit: int, offset: int = 0
    ) -> list[tuple[InstanceRecord, SeriesRecord]]:
        """Return a page of the visible instances that match, each with its series."""
        with self._context.engine.begin() as connection:
            return search.find_instances(connection, self._context.person, keywords, limit, offset)

    def get_series(self, SeriesInstanceUID: str) -> SeriesRecord:
        """Return one series; see `Store.get_series`."""
        with self._context.engine.begin() as connection:
            return reads.get_series(connection, self._context.person, SeriesInstanceUID)
