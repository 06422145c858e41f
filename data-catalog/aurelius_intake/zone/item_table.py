"""The table of intake items. Its revisions are in `aurelius_intake/migrations/items`."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, DateTime, Integer, MetaData, String, Table, Text

metadata = MetaData()
items = Table(
    "items",
    metadata,
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
