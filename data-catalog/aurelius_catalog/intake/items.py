"""One record per object that came in, and what became of it; in the identified zone, because file names identify."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.schema import CreateIndex, CreateTable


class State(StrEnum):
    """Where an object stands: three steps on the way, four ways to end."""

    RECEIVED = "received"
    CHECKED = "checked"
    DEIDENTIFIED = "deidentified"
    STORED = "stored"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    FAILED = "failed"


#: Nothing happens any more to an object in one of these.
FINAL = frozenset({State.STORED, State.DUPLICATE, State.QUARANTINED, State.FAILED})

items = Table(
    "items",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("site", String(64), nullable=False, index=True),
    Column("name", Text, nullable=False),  # path below the inbox of the site
    Column("state", String(16), nullable=False, index=True),
    Column("reason", Text),
    Column("sha256", String(64), nullable=False, index=True),
    Column("SOPInstanceUID", String(64), index=True),  # as it came
    Column("location", Text, nullable=False),  # where the original is to be found, below the identified zone
    Column("settled", Boolean, nullable=False),  # whether it has been moved there
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    sqlite_autoincrement=True,  # a number stands in the log; it is never given out twice
)


@dataclass(frozen=True)
class IntakeItem:
    """One object that came in.

    Parameters
    ----------
    id
        Its number: the only thing about it that may be logged.
    site, name
        The clinic, and the path of the file below the clinic's inbox.
    state, reason
        Where it stands and, where it was not stored, why.
    sha256
        Hex digest of the file as it came.
    SOPInstanceUID
        As it came; None until the header was read.
    location
        Where the original is, or is being moved to, below the identified zone.
    settled
        Whether the original has reached its location.
    received_at, changed_at
        When it was first seen, and when its state last changed (UTC).
    """

    id: int
    site: str
    name: str
    state: State
    reason: str | None
    sha256: str
    SOPInstanceUID: str | None
    location: str
    settled: bool
    received_at: datetime
    changed_at: datetime


class Items:
    """The intake's own SQLite file.

    Parameters
    ----------
    file
        The database; made, for its owner's eyes only, if it is not there.
    """

    def __init__(self, file: Path) -> None:
        file.touch(mode=0o600)
        self._journal = file.with_name(f"{file.name}-wal")
        self._engine = create_engine(f"sqlite:///{file}", connect_args={"timeout": 30})
        event.listen(self._engine, "connect", _set_pragmas)
        with self._begin() as connection:  # `status` may do the same at the same moment
            connection.execute(CreateTable(items, if_not_exists=True))
            for index in items.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))

    def receive(self, site: str, name: str, sha256: str, location: str) -> IntakeItem:
        """Return the open item of a file in the inbox; a new one if the file was not seen before."""
        with self._begin() as connection:
            unfinished = select(items).where(
                items.c.site == site, items.c.name == name, items.c.sha256 == sha256, items.c.settled.is_(False)
            )
            row = connection.execute(unfinished).mappings().first()
            if row is not None:
                return _to_item(row)
            now = datetime.now(UTC)
            values: dict[str, Any] = {"site": site, "name": name, "sha256": sha256, "location": location}
            values |= {"state": State.RECEIVED, "settled": False, "received_at": now, "changed_at": now}
            return _to_item(connection.execute(insert(items).values(values).returning(items)).mappings().one())

    def advance(self, item: IntakeItem, state: State, **changes: Any) -> IntakeItem:
        """Record a new state, with whatever else became known; returns the item as it is now."""
        with self._begin() as connection:
            values = {"state": state, "changed_at": datetime.now(UTC), **changes}
            statement = update(items).where(items.c.id == item.id).values(values).returning(items)
            return _to_item(connection.execute(statement).mappings().one())

    def sync(self) -> None:
        """Make all that was recorded survive a power cut; a crash of the process it survives anyway."""
        with self._journal.open("rb+") as file:
            os.fsync(file.fileno())

    def find_twin(self, item: IntakeItem, SOPInstanceUID: str) -> IntakeItem | None:
        """Return an earlier item of the same SOP instance that was stored or is on its way."""
        alive = [State.CHECKED, State.DEIDENTIFIED, State.STORED]
        statement = select(items).where(
            items.c.SOPInstanceUID == SOPInstanceUID, items.c.id < item.id, items.c.state.in_(alive)
        )
        with self._begin() as connection:
            row = connection.execute(statement.order_by(items.c.id)).mappings().first()
        return _to_item(row) if row is not None else None

    def list_unsettled(self) -> list[IntakeItem]:
        """Return items that have ended but whose file may not have been moved yet."""
        statement = select(items).where(items.c.settled.is_(False), items.c.state.in_(FINAL)).order_by(items.c.id)
        return self._list(statement)

    def list_troubled(self) -> list[IntakeItem]:
        """Return what was quarantined or failed, oldest first."""
        troubled = [State.QUARANTINED, State.FAILED]
        return self._list(select(items).where(items.c.state.in_(troubled)).order_by(items.c.site, items.c.id))

    def count(self) -> dict[tuple[str, State], int]:
        """Return how many items each site has in each state."""
        statement = select(items.c.site, items.c.state, func.count()).group_by(items.c.site, items.c.state)
        with self._begin() as connection:
            return {(site, State(state)): number for site, state, number in connection.execute(statement)}

    def _list(self, statement: Any) -> list[IntakeItem]:
        with self._begin() as connection:
            return [_to_item(row) for row in connection.execute(statement).mappings()]

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection


def _to_item(row: Any) -> IntakeItem:
    return IntakeItem(**{**row, "state": State(row["state"])})


def _set_pragmas(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
