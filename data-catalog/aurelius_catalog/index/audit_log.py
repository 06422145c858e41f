"""The audit log: who did what to which object, each record chained to the one before by its hash.

The database refuses to change or remove records (migration 0003); `audit_check` finds out whether somebody went
around that, and `audit_heads` signs where the chain stands, so that its end cannot be cut off unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from aurelius_catalog.access.person import Person
from aurelius_catalog.index.database import writing
from aurelius_catalog.index.schema import audit_events

#: What the first record is chained to.
GENESIS = "0" * 64
#: What a record's hash is made over.
FIELDS = ("at", "person", "action", "object", "detail", "previous_hash")


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


def hash_event(event: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) over an event's fields, the previous hash among them."""
    fields = {name: event[name] for name in FIELDS}
    fields["at"] = event["at"].astimezone(UTC).isoformat()
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
