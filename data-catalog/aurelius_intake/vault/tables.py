"""The tables of the vault's own SQLite file. Their revisions are in `aurelius_intake/migrations/vault`.

Values are encrypted; what stands in the clear is pseudonymous, or public on purpose.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()

#: ``check`` (which says whether a key is the right one), ``pseudonyms`` (HMAC secret), ``signing`` (Ed25519).
secrets = Table(
    "secrets",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

patients = Table(
    "patients",
    metadata,
    Column("pseudonym", String(64), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

studies = Table(
    "studies",
    metadata,
    Column("StudyInstanceUID", String(64), primary_key=True),  # the new one
    Column("pseudonym", String(64), nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False),
)

requests = Table(
    "requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    sqlite_autoincrement=True,  # a number stands in the audit log; it is never given out twice
)

#: In the clear, and true without the key: the public key, and the audit log's newest signed head.
notices = Table(
    "notices",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)

#: The tables with a sealed column, each with what names a row.
SEALED: tuple[tuple[Table, Column[Any]], ...] = (
    (secrets, secrets.c.name),
    (patients, patients.c.pseudonym),
    (studies, studies.c.StudyInstanceUID),
    (requests, requests.c.id),
)


def name_place(table: Table, key: object) -> str:
    """Return what binds a sealed value to its row."""
    return f"{table.name}/{key}"
