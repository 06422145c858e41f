"""Opening the index: one engine per address and process, migrated to the newest schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, Table, create_engine, event, insert, make_url, text

from aurelius_catalog.dicom.json_header import write_json
from aurelius_catalog.settings import CatalogSettings

MIGRATIONS = Path(__file__).parent / "migrations"
#: Key of the PostgreSQL advisory lock that serialises writers of the hash-chained audit log.
WRITER_LOCK = 0x41555245


def open_engine(settings: CatalogSettings) -> Engine:
    """Return the engine of the index, with its schema up to date.

    Raises
    ------
    OSError
        If the folder of an SQLite index cannot be made.
    """
    return _open(settings.index_url)


@lru_cache(maxsize=8)
def _open(url: str) -> Engine:
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        Path(str(address.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, connect_args={"timeout": 30}, json_serializer=write_json)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        engine = create_engine(url, pool_pre_ping=True, json_serializer=write_json)
        event.listen(engine, "connect", _prepare_postgresql)
    migrate(engine)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest revision; concurrent callers wait for one another."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that holds the one writer's place from its start.

    SQLite would otherwise take the lock at the first write and fail when another process was quicker;
    on PostgreSQL an advisory lock keeps the audit chain in order.
    """
    with engine.execution_options(aurelius_write=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITER_LOCK})
        yield connection


def insert_row(connection: Connection, table: Table, values: Mapping[str, Any]) -> int:
    """Insert one row into a table with an integer key; returns the key."""
    key = connection.execute(insert(table).values(**values)).inserted_primary_key
    if key is None:
        raise RuntimeError(f"The database gave no key for a row of {table.name}.")
    return int(key[0])


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    # secure_delete: what a withdrawal removes is overwritten in the file.
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(f"PRAGMA mmap_size={2**31}")  # a large index is read where it lies: no system call for each row


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    for setting in (
        # Both take longer to set up than a question of ours takes to answer.
        "jit = off",
        "max_parallel_workers_per_gather = 0",
        # Which index to begin with depends on the values asked for.
        "plan_cache_mode = force_custom_plan",
        # The index is thought to lie in memory: what costs is looking at much, not looking here and there.
        "seq_page_cost = 0.2",
        "random_page_cost = 0.2",
        "cpu_operator_cost = 0.01",
    ):
        connection.execute(f"SET {setting}")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("aurelius_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
