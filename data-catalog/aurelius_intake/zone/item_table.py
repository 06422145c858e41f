"""The table of intake items, and how an older one is brought up to date."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Connection, DateTime, Integer, MetaData, String, Table, Text, text
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

items = Table(
    "items",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("site", String(64), nullable=False, index=True),
    Column("name", Text, nullable=False),  # path below the inbox of the site
    Column("companions", JSON, nullable=False, server_default="[]"),  # further files that belong to the object
    Column("state", String(16), nullable=False, index=True),
    Column("reason", Text),
    Column("digest", String(80), nullable=False, index=True),
    Column("SOPInstanceUID", String(64), index=True),  # as it came
    Column("StudyInstanceUID", String(64), index=True),  # as it came
    Column("pseudonym", String(64), index=True),
    Column("profile", String(255)),
    Column("actions", JSON),  # how many attributes met which action
    Column("verdict", JSON),  # what was found out about the pixels; never the words
    Column("location", Text, nullable=False),  # where the original is to be found, below the identified zone
    Column("settled", Boolean, nullable=False),  # whether it has been moved there
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False, index=True),
    sqlite_autoincrement=True,  # a number stands in the log; it is never given out twice
)


def prepare_table(connection: Connection) -> None:
    """Make the table, or add what a house of an earlier version lacks.

    Such a house recognised content by SHA-256; its digests stay as they are, without a prefix.
    """
    connection.execute(CreateTable(items, if_not_exists=True))
    present = {row[1] for row in connection.execute(text("PRAGMA table_info(items)"))}
    if "sha256" in present:
        connection.execute(text("DROP INDEX IF EXISTS ix_items_sha256"))
        connection.execute(text("ALTER TABLE items RENAME COLUMN sha256 TO digest"))
        connection.execute(text("UPDATE items SET state = 'received' WHERE state = 'checked'"))
        present.add("digest")
    for column in items.columns:
        if column.name not in present:
            definition = CreateColumn(column).compile(connection)
            connection.execute(text(f"ALTER TABLE items ADD COLUMN {definition}"))
    for index in items.indexes:
        connection.execute(CreateIndex(index, if_not_exists=True))
