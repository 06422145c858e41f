"""Tombstones: which patients were withdrawn, so that nothing of theirs comes in again."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, exists, select

from aurelius_catalog.errors import Withdrawn
from aurelius_catalog.index.schema import tombstones


def is_withdrawn(connection: Connection, pseudonym: str) -> bool:
    """Whether a patient was withdrawn, and nothing of theirs may come in again."""
    buried = exists().where(tombstones.c.kind == "patient", tombstones.c.uid == pseudonym)
    return bool(connection.execute(select(buried)).scalar())


def refuse_withdrawn(connection: Connection, pseudonyms: Iterable[str]) -> None:
    """Refuse what belongs to patients who were withdrawn.

    Raises
    ------
    Withdrawn
        If one of them was.
    """
    for pseudonym in pseudonyms:
        if is_withdrawn(connection, pseudonym):
            raise Withdrawn(f"Patient {pseudonym} was withdrawn: their images must not come in again.")
