"""Finding out whether the audit log is as it was written, and which record is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from aurelius_catalog.index.audit_log import GENESIS, hash_event
from aurelius_catalog.index.schema import audit_events, audit_heads
from aurelius_intake.audit.signatures import SignedEvent, find_checkpoint, read_mark

BATCH = 1000
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """What is wrong with which record.

    Parameters
    ----------
    event_id
        The record, or the one that shows that another is missing.
    kind
        ``edited``, ``missing``, ``moved``, ``rewritten``, ``cut off`` or ``forged``.
    text
        The same for a reader.
    """

    event_id: int
    kind: str
    text: str


@dataclass(frozen=True)
class Finding:
    """The outcome of a check.

    Parameters
    ----------
    events
        How many records were read.
    signed_to
        The last record that a signature covers; 0 if none does.
    pruned_to
        The last record that was removed because its time was over; 0 if none was.
    faults
        What is wrong, in the order of the records.
    """

    events: int
    signed_to: int
    pruned_to: int
    faults: Sequence[Fault]


@dataclass
class Chain:
    """Reads records in order and notes what does not fit.

    Parameters
    ----------
    expected
        Hash that the first record must be chained to.
    heads
        What was signed about which record.
    find_event
        Gives the id of the record with a hash, to tell a moved one from a missing one.
    """

    expected: str
    heads: Mapping[int, SignedEvent]
    find_event: Callable[[str], int | None]
    before: int = 0
    events: int = 0
    met: set[int] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)

    def read(self, events: Iterable[Event]) -> Iterator[Event]:
        """Check records and hand them on."""
        for event in events:
            self._check(event)
            yield event
            self.expected, self.before = event["hash"], event["id"]
            self.events += 1

    def _check(self, event: Event) -> None:
        number = int(event["id"])
        if hash_event(event) != event["hash"]:
            self._note(number, "edited", "its content is not what its hash was made over")
        if event["previous_hash"] != self.expected:
            origin = self.find_event(event["previous_hash"])
            if origin is None:
                self._note(number, "missing", f"between {self.before} and it a record was removed or rewritten")
            else:
                self._note(number, "moved", f"it was written after {origin} and now stands after {self.before}")
        head = self.heads.get(number)
        if head is None:
            return
        self.met.add(number)
        if head.hash != event["hash"]:
            self._note(number, "rewritten", f"it is not the record that was signed at {head.at}")

    def _note(self, number: int, kind: str, text: str) -> None:
        self.faults.append(Fault(number, kind, f"record {number} was found {kind}: {text}"))


def check_log(connection: Connection, public_key: str | None, outside: SignedEvent | None = None) -> Finding:
    """Read the whole audit log and find what was edited, removed, moved, rewritten or cut off.

    Parameters
    ----------
    connection
        To the index.
    public_key
        The house's, which every signature must be of; None where there is no vault, and signatures prove nothing.
    outside
        The newest head as it is kept elsewhere: what shows that the log and its heads were cut off together.
    """
    checkpoint = find_checkpoint(connection)
    heads, faults = _read_heads(connection, public_key, outside)
    pruned_to, start = (checkpoint.event_id, checkpoint.hash) if checkpoint else (0, GENESIS)
    if checkpoint and public_key and not checkpoint.is_signed_by(public_key):
        text = f"the checkpoint at record {pruned_to} does not carry this house's signature: records may be missing"
        faults.append(Fault(pruned_to, "forged", text))
    chain = Chain(start, heads, lambda digest: _find_event(connection, digest), before=pruned_to)
    for _ in chain.read(read_events(connection, pruned_to)):
        pass
    faults += chain.faults
    signed_to = max(heads, default=0)
    for number in sorted(set(heads) - chain.met):
        if number > chain.before:
            text = f"record {number}, signed at {heads[number].at}, was cut off: the log now ends at {chain.before}"
            faults.append(Fault(number, "cut off", text))
        elif number > pruned_to:
            faults.append(Fault(number, "missing", f"record {number}, signed at {heads[number].at}, is missing"))
    return Finding(chain.events, signed_to, pruned_to, sorted(faults, key=lambda fault: fault.event_id))


def read_events(connection: Connection, after: int, to: int | None = None) -> Iterator[Event]:
    """Yield the records after one, in order, up to and including another, without holding them all."""
    while True:
        statement = select(audit_events).where(audit_events.c.id > after).order_by(audit_events.c.id).limit(BATCH)
        if to is not None:
            statement = statement.where(audit_events.c.id <= to)
        rows = connection.execute(statement).mappings().all()
        yield from (dict(row) for row in rows)
        if len(rows) < BATCH:
            return
        after = int(rows[-1]["id"])


def _read_heads(
    connection: Connection, public_key: str | None, outside: SignedEvent | None
) -> tuple[dict[int, SignedEvent], list[Fault]]:
    rows = connection.execute(select(audit_heads).order_by(audit_heads.c.id)).mappings()
    marks = [read_mark("head", row) for row in rows] + ([outside] if outside else [])
    heads, faults = {}, []
    for mark in marks:
        if public_key is not None and not mark.is_signed_by(public_key):
            text = f"a signed head at record {mark.event_id} does not carry this house's signature"
            faults.append(Fault(mark.event_id, "forged", text))
        else:
            heads[mark.event_id] = mark
    return heads, faults


def _find_event(connection: Connection, digest: str) -> int | None:
    return connection.execute(select(audit_events.c.id).where(audit_events.c.hash == digest)).scalar()
