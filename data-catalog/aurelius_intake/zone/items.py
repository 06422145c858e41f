"""One record per object that came in, and what became of it; in the identified zone, because file names identify."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, select, update

from aurelius_catalog.durable_files import sync_file
from aurelius_intake.database import migrate, open_database, writing
from aurelius_intake.zone.item_table import items, metadata

__all__ = ["FINAL", "TROUBLED", "Arrival", "IntakeItem", "IntakeItems", "ItemState", "items"]


class ItemState(StrEnum):
    """Where an object stands: two steps on the way, and the ways to end."""

    RECEIVED = "received"
    DEIDENTIFIED = "deidentified"
    STORED = "stored"
    DUPLICATE = "duplicate"
    UNPACKED = "unpacked"  # an archive, whose members are objects of their own
    LISTED = "listed"  # a DICOMDIR: it only lists files
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    RELEASED = "released"  # a person let it through: it came in again as an object of its own
    REJECTED = "rejected"  # a person did not
    WITHDRAWN = "withdrawn"


#: Nothing happens any more by itself to an object in one of these.
FINAL = frozenset(ItemState) - {ItemState.RECEIVED, ItemState.DEIDENTIFIED}
#: What a steward should look at.
TROUBLED = (ItemState.CONFLICT, ItemState.QUARANTINED, ItemState.FAILED)
#: While an object is in one of these, no other may come in under its SOPInstanceUID.
CLAIMING = (ItemState.RECEIVED, ItemState.DEIDENTIFIED, ItemState.STORED)


@dataclass(frozen=True)
class IntakeItem:
    """One object that came in.

    Parameters
    ----------
    id
        Its number: the only thing about it that may be logged.
    site, name, companions
        The clinic, the path of the file below the clinic's inbox, and of further files that belong to the object.
    state, reason
        Where it stands and, where it was not stored, why.
    digest
        Of the file as it came: ``blake3:`` and hex digits.
    SOPInstanceUID, StudyInstanceUID
        As they came; None where the header does not say.
    pseudonym
        Whose object it is, once known.
    profile, actions, verdict
        Which profile did how many of which action to it, and what was found out about its pixels.
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
    companions: list[str]
    state: ItemState
    reason: str | None
    digest: str
    SOPInstanceUID: str | None
    StudyInstanceUID: str | None
    pseudonym: str | None
    profile: str | None
    actions: dict[str, int] | None
    verdict: dict[str, Any] | None
    location: str
    settled: bool
    received_at: datetime
    changed_at: datetime


#: What is not known of an object when it comes.
_UNKNOWN: dict[str, Any] = dict.fromkeys(("reason", "pseudonym", "profile", "actions", "verdict"))


@dataclass(frozen=True)
class Arrival:
    """A file at rest in an inbox: what `IntakeItems.receive` needs to know of it."""

    name: str
    digest: str
    SOPInstanceUID: str | None = None
    StudyInstanceUID: str | None = None
    companions: tuple[str, ...] = ()


class IntakeItems:
    """The intake's own SQLite file.

    Parameters
    ----------
    file
        The database; made, for its owner's eyes only, if it is not there.
    """

    def __init__(self, file: Path) -> None:
        self._root = file.parent
        self._journal = file.with_name(f"{file.name}-wal")
        self._engine = open_database(file, synchronous="NORMAL")
        with writing(self._engine) as connection:  # `status` may do the same at the same moment
            migrate(connection, "items", metadata)

    # -- recording -------------------------------------------------------------------------------

    def receive(self, site: str, arrivals: Sequence[Arrival]) -> list[tuple[IntakeItem, IntakeItem | None]]:
        """Record files of one site in one transaction, and decide who may have which SOPInstanceUID.

        Parameters
        ----------
        site
            The clinic.
        arrivals
            Files in its inbox; those seen before and not finished get the item they had.

        Returns
        -------
        list of (IntakeItem, IntakeItem or None)
            For each arrival its item and, where another object holds its SOPInstanceUID, that one's. Two processes
            never both get None for one UID: the older item holds it.
        """
        with writing(self._engine) as connection:
            known = self._find_unfinished(connection, site, [arrival.name for arrival in arrivals])
            fresh = [arrival for arrival in arrivals if (arrival.name, arrival.digest) not in known]
            known |= {(item.name, item.digest): item for item in self._insert(connection, site, fresh)}
            received = [known[arrival.name, arrival.digest] for arrival in arrivals]
            holders = self._find_holders(connection, received)
        twins = [holders.get(item.SOPInstanceUID or "") for item in received]
        return [
            (item, twin if twin and twin.id != item.id else None) for item, twin in zip(received, twins, strict=True)
        ]

    def update(self, changes: Sequence[dict[str, Any]]) -> None:
        """Record changes of many items in one transaction: dicts with ``id`` and, alike in all, other columns."""
        if not changes:
            return
        now = datetime.now(UTC)
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in changes[0] if name != "id"}
        statement = update(items).where(items.c.id == bindparam("item")).values(**values, changed_at=now)
        rows = [{"item": row["id"], **{f"new_{k}": v for k, v in row.items() if k != "id"}} for row in changes]
        with writing(self._engine) as connection:
            connection.execute(statement, rows)

    def advance(self, item: IntakeItem, state: ItemState, **changes: Any) -> IntakeItem:
        """Record a new state, with whatever else became known; returns the item as it is now."""
        with writing(self._engine) as connection:
            values = {"state": state, "changed_at": datetime.now(UTC), **changes}
            statement = update(items).where(items.c.id == item.id).values(values).returning(items)
            return _to_item(connection.execute(statement).mappings().one())

    def mark_deidentified(self, ids: Collection[int], pseudonym: str) -> None:
        """Record that the drafts of a patient's objects are written."""
        values = {"state": ItemState.DEIDENTIFIED, "pseudonym": pseudonym, "changed_at": datetime.now(UTC)}
        with writing(self._engine) as connection:
            connection.execute(update(items).where(items.c.id.in_(ids)).values(values))

    def forget(self, item: IntakeItem) -> None:
        """Leave of a record only that there was an object, and whose, by pseudonym."""
        nothing = {"name": "", "companions": [], "digest": "", "location": "", "settled": True, "verdict": None}
        uids = {"SOPInstanceUID": None, "StudyInstanceUID": None}
        self.advance(item, ItemState.WITHDRAWN, reason=None, **nothing, **uids)

    def list_nameless(self) -> list[tuple[int, str]]:
        """Return number and SOPInstanceUID of the items that name no patient."""
        nameless = (items.c.pseudonym.is_(None), items.c.SOPInstanceUID.is_not(None))
        with self._read() as connection:
            rows = connection.execute(select(items.c.id, items.c.SOPInstanceUID).where(*nameless))
            return [(number, uid) for number, uid in rows]

    def settle(self, ids: Collection[int]) -> None:
        """Record that the originals have reached their places."""
        with writing(self._engine) as connection:
            connection.execute(update(items).where(items.c.id.in_(ids)).values(settled=True))

    def sync(self) -> None:
        """Make all that was recorded survive a power cut; a crash of the process it survives anyway."""
        sync_file(self._journal)

    # -- looking ---------------------------------------------------------------------------------

    def get(self, number: int) -> IntakeItem | None:
        """Return one item; None if there is none of this number."""
        found = self._list(select(items).where(items.c.id == number))
        return found[0] if found else None

    def find(
        self,
        *,
        ids: Collection[int] | None = None,
        states: Collection[ItemState] | None = None,
        site: str | None = None,
        pseudonym: str | None = None,
    ) -> list[IntakeItem]:
        """Return the items that match all that is given, oldest first."""
        statement = select(items).order_by(items.c.id)
        if ids is not None:
            statement = statement.where(items.c.id.in_(ids))
        if states is not None:
            statement = statement.where(items.c.state.in_(states))
        if site is not None:
            statement = statement.where(items.c.site == site)
        if pseudonym is not None:
            statement = statement.where(items.c.pseudonym == pseudonym)
        return self._list(statement)

    def list_unsettled(self) -> list[IntakeItem]:
        """Return items that have ended but whose file may not have been moved yet."""
        statement = select(items).where(items.c.settled.is_(False), items.c.state.in_(FINAL)).order_by(items.c.id)
        return self._list(statement)

    def list_troubled(self) -> list[IntakeItem]:
        """Return what a steward should look at, by site, oldest first."""
        return sorted(self.find(states=TROUBLED), key=lambda item: item.site)

    def count(self, since: datetime | None = None) -> dict[tuple[str, ItemState], int]:
        """Return how many items each site has in each state; of those that changed since a moment, or of all."""
        statement = select(items.c.site, items.c.state, func.count()).group_by(items.c.site, items.c.state)
        if since is not None:
            statement = statement.where(items.c.changed_at > since)
        with self._read() as connection:
            return {(site, ItemState(state)): number for site, state, number in connection.execute(statement)}

    def find_last_change(self) -> datetime | None:
        """Return when an item last changed (UTC)."""
        with self._read() as connection:
            moment = connection.execute(select(func.max(items.c.changed_at))).scalar()
        return moment.replace(tzinfo=UTC) if moment else None

    # -- inside ----------------------------------------------------------------------------------

    def _find_unfinished(
        self, connection: Connection, site: str, names: list[str]
    ) -> dict[tuple[str, str], IntakeItem]:
        statement = select(items).where(items.c.site == site, items.c.name.in_(names), items.c.settled.is_(False))
        found = (_to_item(row) for row in connection.execute(statement).mappings())
        return {(item.name, item.digest): item for item in found}

    def _insert(self, connection: Connection, site: str, arrivals: list[Arrival]) -> list[IntakeItem]:
        if not arrivals:
            return []
        now = datetime.now(UTC)
        rows = [
            {
                **vars(arrival),
                "companions": list(arrival.companions),
                "site": site,
                "state": ItemState.RECEIVED,
                "location": f"inbox/{site}/{arrival.name}",
                "settled": False,
                "received_at": now,
                "changed_at": now,
            }
            for arrival in arrivals
        ]
        numbers = connection.execute(insert(items).returning(items.c.id, sort_by_parameter_order=True), rows).scalars()
        return [IntakeItem(id=number, **_UNKNOWN, **row) for number, row in zip(numbers, rows, strict=True)]

    def _find_holders(self, connection: Connection, received: list[IntakeItem]) -> dict[str, IntakeItem]:
        """Return who holds each SOPInstanceUID: the oldest, unless its file left the inbox before it was taken."""
        uids = {item.SOPInstanceUID for item in received if item.SOPInstanceUID}
        others = select(items).where(
            items.c.SOPInstanceUID.in_(uids),
            items.c.state.in_(CLAIMING),
            items.c.id.not_in([item.id for item in received]),
        )
        claims = [item for item in received if item.state in CLAIMING]
        for row in connection.execute(others).mappings():
            item = _to_item(row)
            if item.state in FINAL or (self._root / item.location).exists():
                claims.append(item)
            else:
                gone = {"state": ItemState.FAILED, "settled": True, "changed_at": datetime.now(UTC)}
                gone["reason"] = "The file left the inbox before it was taken."
                connection.execute(update(items).where(items.c.id == item.id).values(gone))
        claims.sort(key=lambda item: item.id, reverse=True)
        return {item.SOPInstanceUID or "": item for item in claims}  # the oldest is written last

    def _list(self, statement: Select[Any]) -> list[IntakeItem]:
        with self._read() as connection:
            return [_to_item(row) for row in connection.execute(statement).mappings()]

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection


def _to_item(row: Any) -> IntakeItem:
    return IntakeItem(**{**row, "state": ItemState(row["state"])})
