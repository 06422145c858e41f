"""A house with a vault, its index in SQLite or in a database of its own on a PostgreSQL server."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from aurelius_intake.settings import IntakeSettings
from support.servers_postgres import temp_postgres

DATABASES = ("sqlite", "postgresql")


#: What this process of the tests keeps running until its end.
_running = ExitStack()


@cache
def _start_postgres() -> str:
    # Short, and open to the server's own user: the path of its socket may have 107 characters.
    folder = _running.enter_context(tempfile.TemporaryDirectory(prefix="aurelius-pg-"))
    return _running.enter_context(temp_postgres(Path(folder)))


def stop_servers() -> None:
    """End what `find_server` started."""
    _running.close()
    _start_postgres.cache_clear()


def find_server(database: str) -> str:
    """Return the address of the server that an index of this kind needs, empty for SQLite.

    There is one PostgreSQL for each process of the tests; whoever uses it makes a database of their own.
    """
    return "" if database == "sqlite" else _start_postgres()


def make_database(server: str) -> str:
    """Make an empty database on a server and return its address; empty where there is no server."""
    if not server:
        return ""
    name = f"house_{secrets.token_hex(4)}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def make_settings(home: Path, server: str, **values: object) -> IntakeSettings:
    """Return the settings of a fresh house; on a server it gets a database of its own."""
    return IntakeSettings(home=home, database_url=make_database(server), **values)
