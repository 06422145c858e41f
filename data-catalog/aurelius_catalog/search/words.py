"""The words of descriptions, as the databases' full text search keeps them."""

from __future__ import annotations

from sqlalchemy import Connection


def forget_words(connection: Connection) -> None:
    """Rewrite the full text search, so that nothing of what was removed stays in its pages.

    SQLite's only marks what is gone until its parts are merged some day. PostgreSQL's goes as the rows do.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("INSERT INTO series_words(series_words) VALUES ('optimize')")
