"""The audit log: who did what to which object, each record chained to the one before by its hash."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from aurelius_catalog.database import writing
from aurelius_catalog.person import Person
from aurelius_catalog.schema import audit_events

#: What the first record is chained to.
GENESIS = "0" * 64


def record_event(
    connection: Connection, person: Person, action: str, what: str, detail: dict[str, Any] | None = None
) -> None:
    """Append one event; the caller's transaction must come from `database.writing`.

    Parameters
    ----------
    connection
        A connection that holds the writer's place, so that the chain cannot fork.
    person
        Who acted.
    action
        A verb, such as ``open`` or ``annotate``.
    what
        The object: a UID, a dataset id. Never an identifying value.
    detail
        Further facts, as JSON.
    """
    previous = connection.execute(select(audit_events.c.hash).order_by(audit_events.c.id.desc()).limit(1)).scalar()
    event = {
        "at": datetime.now(UTC),
        "person": person.name,
        "action": action,
        "object": what,
        "detail": detail or {},
        "previous_hash": previous or GENESIS,
    }
    connection.execute(insert(audit_events).values(**event, hash=hash_event(event)))


def append_event(engine: Engine, person: Person, action: str, what: str, detail: dict[str, Any] | None = None) -> None:
    """Append one event in a transaction of its own; the parameters are those of `record_event`."""
    with writing(engine) as connection:
        record_event(connection, person, action, what, detail)


def hash_event(event: dict[str, Any]) -> str:
    """Return the SHA-256 (hex) over an event's fields, the previous hash among them."""
    fields = {**event, "at": event["at"].astimezone(UTC).isoformat()}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def find_broken_event(connection: Connection) -> int | None:
    """Return the id of the first event that was edited, or that follows a removed one; None if all is whole."""
    expected = GENESIS
    for row in connection.execute(select(audit_events).order_by(audit_events.c.id)).mappings():
        event = {key: row[key] for key in ("at", "person", "action", "object", "detail", "previous_hash")}
        if row["previous_hash"] != expected or hash_event(event) != row["hash"]:
            return int(row["id"])
        expected = row["hash"]
    return None
