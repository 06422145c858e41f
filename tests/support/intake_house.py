"""A state folder with an intake, for tests of what becomes of files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Event

from sqlalchemy import select

from aurelius_catalog.access.person import Person
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.schema import instances, series
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import InstanceRecord, SeriesRecord
from aurelius_deidentify.header import PseudonymKey
from aurelius_intake import IntakeItem, IntakeItems, Zone
from aurelius_intake.processing.pipeline import Pipeline
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import Vault, create_vault, open_vault
from aurelius_intake.zone.items import FINAL


@dataclass
class House:
    """A state folder with an intake."""

    home: Path
    quiet_s: float = 0.0
    database_url: str = ""
    workers: int = 1
    reserve_mb: int = 0

    @property
    def settings(self) -> IntakeSettings:
        return IntakeSettings(
            home=self.home,
            intake_quiet_s=self.quiet_s,
            database_url=self.database_url,
            intake_workers=self.workers,
            intake_reserve_mb=self.reserve_mb,
        )

    @cached_property
    def vault(self) -> Vault:
        if (self.settings.identified / "vault.sqlite").exists():
            return open_vault(self.settings)
        return create_vault(self.settings)

    @property
    def key(self) -> PseudonymKey:
        return self.vault.pseudonyms

    @property
    def zone(self) -> Zone:
        return Zone(self.settings)

    @property
    def items(self) -> IntakeItems:
        return IntakeItems(self.zone.database)

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.settings, Person.of("stella", ["role-steward"]))

    def inbox(self, site: str = "north") -> Path:
        folder = self.zone.inbox / site
        folder.mkdir(exist_ok=True)
        return folder

    def work(self) -> int:
        """Start an intake as after a boot and let it work once."""
        desk = Pipeline(self.settings, self.vault)
        desk.recover()
        return desk.work(Event())

    def list_series(self) -> list[SeriesRecord]:
        return self.store.find_series()

    def list_instances(self) -> list[InstanceRecord]:
        return [each for found in self.list_series() for each in self.store.list_instances(found.SeriesInstanceUID)]

    def count(self, site: str = "north") -> dict[str, int]:
        return {str(state): number for (where, state), number in self.items.count().items() if where == site}

    def list_troubled(self) -> dict[str, IntakeItem]:
        return {item.name: item for item in self.items.list_troubled()}

    def list_reasons(self) -> dict[str, str]:
        return {name: item.reason or "" for name, item in self.list_troubled().items()}

    def list_originals(self, kind: str) -> list[str]:
        root = self.zone.root / kind
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    def list_stored(self) -> list[Path]:
        return sorted(path for path in self.settings.files.rglob("*") if path.is_file())

    def describe_catalog(self) -> list[tuple[str, str, str, int]]:
        """Return what the catalog holds, alike for alike input: UIDs and content."""
        return sorted(
            (each.SOPInstanceUID, each.SeriesInstanceUID, each.sha256, each.size_bytes)
            for each in self.list_instances()
        )

    def count_revisions(self) -> tuple[dict[int, int], dict[int, int]]:
        """Return how many series and how many instances have which revision."""
        with open_engine(self.settings).begin() as connection:
            series_of, instances_of = (
                Counter(connection.execute(select(table.c.revision)).scalars()) for table in (series, instances)
            )
        return dict(series_of), dict(instances_of)

    def check_whole(self) -> None:
        """Nothing waits, every original is where its record says, every visible file is there with its content."""
        unfinished = [item for item in self.items.find() if item.state not in FINAL or not item.settled]
        assert unfinished == []
        for item in self.items.find():
            assert (self.zone.root / item.location).is_file(), item.state
        listed = self.list_instances()
        assert {self.settings.files / each.path for each in listed} == set(self.list_stored())
