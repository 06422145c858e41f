"""The local store keeps the contract, over SQLite and over PostgreSQL."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurelius_catalog.access.person import Person
from support.cohort import Cohort, make_cohort
from support.servers_catalog import PEOPLE
from support.servers_postgres import temp_postgres
from support.store_contract import OpenAs, StoreContract, cohort, truth

__all__ = ["cohort", "truth"]


class TestLocalStore(StoreContract):
    @pytest.fixture
    def open_as(self, cohort: Cohort) -> OpenAs:
        return lambda name: cohort.open_as(Person.of(name, PEOPLE[name]))


class TestLocalStoreOnPostgres(TestLocalStore):
    @pytest.fixture(scope="class")
    @classmethod
    def cohort(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cohort]:
        # Short, and open to the server's own user: the path of its socket may have 107 characters.
        with tempfile.TemporaryDirectory(prefix="aurelius-pg-") as folder, temp_postgres(Path(folder)) as url:
            yield make_cohort(tmp_path_factory.mktemp("house"), url)
