"""The SQLite files of the identified zone: how one is opened, and brought to the newest revision of its tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, create_engine, event, inspect

from aurelius_catalog.errors import InvalidRequest

#: One folder of revisions for each database.
MIGRATIONS = Path(__file__).parent / "migrations"


def open_database(file: Path, *, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> Engine:
    """Return the engine of a file, which is made for its owner's eyes only if it is not there.

    Parameters
    ----------
    file
        The database.
    synchronous
        Whether each transaction waits for the disk (``FULL``), or whoever writes syncs the journal (``NORMAL``).
    """
    file.touch(mode=0o600)
    engine = create_engine(f"sqlite:///{file}", connect_args={"timeout": 30})

    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        # secure_delete: what was removed, or encrypted with an older key, is overwritten in the file.
        for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that holds the one writer's place from its start.

    Waiting for that place in the middle of a transaction would end in an error.
    """
    with engine.execution_options(aurelius_write=True).begin() as connection:
        yield connection


def migrate(connection: Connection, name: str, metadata: MetaData, revision: str = "head") -> None:
    """Bring a database to a revision; one from before there were revisions is adopted.

    Parameters
    ----------
    connection
        A transaction that writes: until it ends, the database is as it was.
    name
        Of the folder of its revisions.
    metadata
        The tables as this version knows them.
    revision
        Where to go.

    Raises
    ------
    InvalidRequest
        If the tables are not the expected ones in the end: the file is not one of this house.
    """
    scripts = _read_scripts(name)
    if (
        MigrationContext.configure(connection).get_current_revision() == scripts.get_current_head()
        and revision == "head"
    ):
        return

    def list_steps(current: Any, _: MigrationContext) -> Any:
        return scripts._upgrade_revs(revision, current)  # as `alembic.command.upgrade` does, which wants an env.py

    with EnvironmentContext(Config(), scripts, fn=list_steps, destination_rev=revision) as environment:
        environment.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
        environment.run_migrations()
    if revision == "head":
        _check_columns(connection, name, metadata)


def _check_columns(connection: Connection, name: str, metadata: MetaData) -> None:
    for table in metadata.sorted_tables:
        present = {column["name"] for column in inspect(connection).get_columns(table.name)}
        if present != set(table.columns.keys()):
            raise InvalidRequest(
                f"The table {table.name} of {name} has not the columns this version expects. Restore the file from "
                "your safe copy, or start the version that wrote it."
            )


@cache
def _read_scripts(name: str) -> ScriptDirectory:
    return ScriptDirectory(str(MIGRATIONS), version_locations=[str(MIGRATIONS / name)])


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("aurelius_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
