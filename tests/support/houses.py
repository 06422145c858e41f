"""A house with a vault, its index in SQLite or in a database of its own on a PostgreSQL server."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from aurelius_intake.settings import IntakeSettings
from support.servers_postgres import temp_postgres

DATABASES = ("sqlite", "postgresql")


@contextmanager
def temp_server(database: str) -> Iterator[str]:
    """Run what an index of this kind needs; yields the address of the server, empty for SQLite."""
    if database == "sqlite":
        yield ""
        return
    # Short, and open to the server's own user: the path of its socket may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="aurelius-pg-") as folder, temp_postgres(Path(folder)) as url:
        yield url


def make_settings(home: Path, server: str, **values: object) -> IntakeSettings:
    """Return the settings of a fresh house; on a server it gets a database of its own."""
    url = server
    if server:
        name = f"house_{secrets.token_hex(4)}"
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        url = make_url(server).set(database=name).render_as_string(hide_password=False)
    return IntakeSettings(home=home, database_url=url, **values)
