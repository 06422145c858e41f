"""The frozen datasets of the catalog on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aurelius_catalog.access.person import Action
from aurelius_catalog.index import dataset_register
from aurelius_catalog.index.audit_log import record_event
from aurelius_catalog.index.database import writing
from aurelius_catalog.local.context import LocalContext
from aurelius_catalog.local.dataset_card import render_card
from aurelius_catalog.local.dataset_summary import summarise
from aurelius_catalog.local.dataset_verification import check_list, find_paths, verify_files
from aurelius_catalog.records import (
    DatasetCheck,
    DatasetObject,
    DatasetRecord,
    SeriesRecord,
)


class LocalDatasets:
    """What of the `Store` protocol freezes datasets and checks them."""

    def __init__(self, context: LocalContext) -> None:
        self._context = context

    def list_datasets(self) -> list[DatasetRecord]:
        """Return the datasets whose every series the person may see; see `Store.list_datasets`."""
        with self._context.engine.begin() as connection:
            return dataset_register.list_datasets(connection, self._context.person)

    def get_dataset(self, id_or_name: str) -> DatasetRecord:
        """Return one dataset; see `Store.get_dataset`.

        Raises
        ------
        PermissionDenied
            If it holds a series this person may not see.
        """
        with self._context.engine.begin() as connection:
            return dataset_register.get_dataset(connection, self._context.person, id_or_name)

    def add_dataset(self, name: str, SeriesInstanceUIDs: Sequence[str]) -> DatasetRecord:
        """Freeze series under a name; see `Store.add_dataset`."""
        if not self._context.person.sees_everything:
            self._context.person.require(Action.FREEZE)
        with writing(self._context.engine) as connection:
            record = dataset_register.add_dataset(connection, self._context.person, name, SeriesInstanceUIDs)
            record_event(connection, self._context.person, "freeze", record.id, {"name": name})
            return record

    def list_dataset_series(self, dataset_id: str) -> list[SeriesRecord]:
        """Return the series of a dataset; see `Store.list_dataset_series`."""
        with self._context.engine.begin() as connection:
            record = dataset_register.get_dataset(connection, self._context.person, dataset_id)
            return dataset_register.list_series(connection, self._context.person, record.id)

    def list_dataset_objects(
        self, dataset_id: str, SeriesInstanceUID: str | None = None, role: str | None = None
    ) -> list[DatasetObject]:
        """Return what a dataset holds; see `Store.list_dataset_objects`."""
        with self._context.engine.begin() as connection:
            record = dataset_register.get_dataset(connection, self._context.person, dataset_id)
            return dataset_register.list_objects(connection, record.id, SeriesInstanceUID, role)

    def read_dataset_card(self, dataset_id: str) -> str:
        """Return the data card of a dataset; see `Store.read_dataset_card`."""
        with self._context.engine.begin() as connection:
            record = dataset_register.get_dataset(connection, self._context.person, dataset_id)
            held = dataset_register.list_series(connection, self._context.person, record.id)
            labels = dataset_register.list_objects(connection, record.id, role="label")
        return render_card(record, summarise(held, labels), self._context.settings.dataset_licence)

    def verify_dataset(self, dataset_id: str) -> Iterator[DatasetCheck]:
        """Read every file of a dataset again; see `Store.verify_dataset`."""
        with writing(self._context.engine) as connection:
            record = dataset_register.get_dataset(connection, self._context.person, dataset_id)
            record_event(connection, self._context.person, "verify dataset", record.id)
        with self._context.engine.begin() as connection:
            held = check_list(connection, record)
            paths = find_paths(connection, held)
        return verify_files(held, paths, self._context.settings.files)
