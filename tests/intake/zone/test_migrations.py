"""The databases of the identified zone: those the version before made open and keep their rows; others are refused."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData

from aurelius_catalog.errors import InvalidRequest
from aurelius_intake.database import migrate, open_database, writing
from aurelius_intake.receiving.pull_journal import Journal, SeriesName
from aurelius_intake.receiving.pull_journal import metadata as pull_tables
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import create_vault, find_vault, open_vault
from aurelius_intake.vault.tables import metadata as vault_tables
from aurelius_intake.zone.folders import Zone
from aurelius_intake.zone.item_table import metadata as item_tables
from aurelius_intake.zone.items import IntakeItems, ItemState

TABLES = {"items": item_tables, "vault": vault_tables, "pulls": pull_tables}
#: What the version before there were revisions made.
FORMER = {
    "items": """
        CREATE TABLE items (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, site VARCHAR(64) NOT NULL, name TEXT NOT NULL,
            companions JSON DEFAULT '[]' NOT NULL, state VARCHAR(16) NOT NULL, reason TEXT,
            digest VARCHAR(80) NOT NULL, "SOPInstanceUID" VARCHAR(64), "StudyInstanceUID" VARCHAR(64),
            pseudonym VARCHAR(64), profile VARCHAR(255), actions JSON, verdict JSON, location TEXT NOT NULL,
            settled BOOLEAN NOT NULL, received_at DATETIME NOT NULL, changed_at DATETIME NOT NULL
        );
        CREATE INDEX ix_items_site ON items (site);
        CREATE INDEX ix_items_state ON items (state);
        CREATE INDEX ix_items_digest ON items (digest);
        CREATE INDEX "ix_items_SOPInstanceUID" ON items ("SOPInstanceUID");
        CREATE INDEX "ix_items_StudyInstanceUID" ON items ("StudyInstanceUID");
        CREATE INDEX ix_items_pseudonym ON items (pseudonym);
        CREATE INDEX ix_items_changed_at ON items (changed_at);
        INSERT INTO items VALUES (7, 'north', 'a.dcm', '[]', 'stored', NULL, 'blake3:00', '1.2', '1.3', 'AUR-A',
            'aurelius@1', '{"X": 2}', NULL, 'processed/north/a.dcm', 1, '2026-01-01', '2026-01-01');
    """,
    "vault": """
        CREATE TABLE secrets (name VARCHAR(32) NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (name));
        CREATE TABLE patients (pseudonym VARCHAR(64) NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (pseudonym));
        CREATE TABLE studies (
            "StudyInstanceUID" VARCHAR(64) NOT NULL, pseudonym VARCHAR(64) NOT NULL, sealed BLOB NOT NULL,
            PRIMARY KEY ("StudyInstanceUID")
        );
        CREATE INDEX ix_studies_pseudonym ON studies (pseudonym);
        CREATE TABLE requests (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, sealed BLOB NOT NULL);
        CREATE TABLE notices (name VARCHAR(32) NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name));
    """,
    "pulls": """
        CREATE TABLE arrived (
            site TEXT NOT NULL, study TEXT NOT NULL, series TEXT NOT NULL, instance TEXT NOT NULL,
            at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (site, study, series, instance)
        ) WITHOUT ROWID;
        INSERT INTO arrived (site, study, series, instance) VALUES ('north', '1.3', '1.4', '1.2');
    """,
}


@pytest.fixture
def settings(tmp_path: Path) -> IntakeSettings:
    return IntakeSettings(home=tmp_path / "home")


def make_former(file: Path, name: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(FORMER[name])


def upgrade(file: Path, name: str, tables: MetaData) -> list[object]:
    engine = open_database(file)
    with writing(engine) as connection:
        migrate(connection, name, tables)
        migrate(connection, name, tables)  # changes nothing
    with engine.begin() as connection:
        options = {"include_object": lambda _object, name, kind, *_: (kind, name) != ("table", "alembic_version")}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), tables)
    engine.dispose()
    return differences


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("former", [False, True])
def test_the_tables_are_those_the_revisions_make(tmp_path: Path, name: str, former: bool) -> None:
    file = tmp_path / "database"
    if former:
        make_former(file, name)
    else:
        assert upgrade(file, name, TABLES[name]) == []
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert upgrade(file, name, TABLES[name]) == []


def test_items_of_the_version_before_are_there(settings: IntakeSettings) -> None:
    zone = Zone(settings)
    make_former(zone.database, "items")
    items = IntakeItems(zone.database)
    [item] = items.find()
    assert (item.id, item.state, item.pseudonym, item.actions) == (7, ItemState.STORED, "AUR-A", {"X": 2})
    assert IntakeItems(zone.database).find() == [item]


def test_a_vault_of_the_version_before_opens(settings: IntakeSettings) -> None:
    vault = create_vault(settings)
    vault.remember(
        site="north",
        PatientID="1",
        PatientName="A^B",
        pseudonym="AUR-A",
        StudyInstanceUID="2.3",
        uids={"1.3": "2.3"},
        evidence={"A^B"},
    )
    file = find_vault(settings)
    with closing(sqlite3.connect(file)) as new, closing(sqlite3.connect(file.with_name("old"))) as old:
        old.executescript(FORMER["vault"])
        for table in vault_tables.sorted_tables:
            rows = new.execute(f"SELECT * FROM {table.name}").fetchall()  # noqa: S608
            marks = ", ".join("?" * len(table.columns))
            old.executemany(f"INSERT INTO {table.name} VALUES ({marks})", rows)  # noqa: S608
        old.commit()
    for path in file.parent.glob("vault.sqlite*"):
        path.unlink()
    file.with_name("old").rename(file)
    opened = open_vault(settings)
    assert opened.recall_identity("AUR-A").PatientNames == ("A^B",)
    assert opened.recall_uids("AUR-A") == {"1.3": "2.3"}
    assert opened.public_key == vault.public_key


def test_a_pull_goes_on_after_the_version_before(settings: IntakeSettings) -> None:
    zone = Zone(settings)
    (zone.root / "pulls").mkdir()
    make_former(zone.root / "pulls" / "journal.sqlite", "pulls")
    assert Journal(zone, "north").list_arrived(SeriesName("1.3", "1.4")) == {"1.2"}


@pytest.mark.parametrize("name", TABLES)
def test_tables_that_are_not_the_expected_ones_are_left_alone(tmp_path: Path, name: str) -> None:
    file, table = tmp_path / "database", next(iter(TABLES[name].tables))
    with closing(sqlite3.connect(file)) as other:
        other.execute(f"CREATE TABLE {table} (name TEXT, something TEXT)")
        other.commit()
    engine = open_database(file)
    with pytest.raises(InvalidRequest, match="not the columns"), writing(engine) as connection:
        migrate(connection, name, TABLES[name])
    engine.dispose()
    with closing(sqlite3.connect(file)) as other:
        assert [row[0] for row in other.execute("SELECT name FROM sqlite_master")] == [table]
