"""The local store keeps the contract."""

from __future__ import annotations

import pytest

from aurelius_catalog.person import Person
from cohort import Cohort
from data_catalog.store_contract import OpenAs, StoreContract, cohort, truth
from servers_catalog import PEOPLE

__all__ = ["cohort", "truth"]


class TestLocalStore(StoreContract):
    @pytest.fixture
    def open_as(self, cohort: Cohort) -> OpenAs:
        return lambda name: cohort.open_as(Person.of(name, PEOPLE[name]))
