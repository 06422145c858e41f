"""The local store keeps the contract, over SQLite and over PostgreSQL."""

from __future__ import annotations

import pytest

from aurelius_catalog.access.person import Person
from support.cohort import Cohort, make_cohort
from support.houses import find_server, make_database
from support.servers_catalog import PEOPLE
from support.store_contract import OpenAs, StoreContract, cohort, truth

__all__ = ["cohort", "truth"]


class TestLocalStore(StoreContract):
    @pytest.fixture
    def open_as(self, cohort: Cohort) -> OpenAs:
        return lambda name: cohort.open_as(Person.of(name, PEOPLE[name]))


class TestLocalStoreOnPostgres(TestLocalStore):
    @pytest.fixture(scope="class")
    @classmethod
    def cohort(cls, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
        return make_cohort(tmp_path_factory.mktemp("house"), make_database(find_server("postgresql")))
