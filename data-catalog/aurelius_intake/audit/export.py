"""The audit log of a period as a file that can be checked by itself, and the end of records whose time is over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, Engine, delete, func, select, true

from aurelius_catalog.access.person import Person
from aurelius_catalog.durable_files import write_durably
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.index.audit_log import GENESIS, record_event
from aurelius_catalog.index.database import writing
from aurelius_catalog.index.schema import audit_checkpoints, audit_events, audit_heads
from aurelius_intake.audit.signatures import find_checkpoint, insert_mark, make_mark
from aurelius_intake.audit.verification import Chain, Fault, Finding, read_events
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import Vault, verify_signature

FORMAT = "aurelius audit 1"
DAYS_PER_YEAR = 365.25


def export_log(
    connection: Connection, vault: Vault, file: BinaryIO, since: datetime | None = None, until: datetime | None = None
) -> int:
    """Write the records of a period as JSON lines: a beginning, the records with their chain, a signed end.

    Parameters
    ----------
    connection
        To the index.
    vault
        Signs the end.
    file
        Is written to.
    since, until
        The period, its end excluded; None means the first and the last record there is.

    Returns
    -------
    int
        How many records were written.
    """
    number, at = audit_events.c.id, audit_events.c.at
    first = connection.execute(select(func.min(number)).where(at >= since if since else true())).scalar()
    last = connection.execute(select(func.max(number)).where(at < until if until else true())).scalar()
    return _export_range(connection, vault, file, first or 1, last if first is not None and last is not None else 0)


def check_file(path: Path, public_key: str | None) -> Finding:
    """Check an exported file by itself; see `audit_check.check_log`.

    Raises
    ------
    InvalidRequest
        If it is no such file.
    """
    faults: list[Fault] = []
    try:
        lines = path.read_bytes().splitlines(keepends=True)
        begin, *middle, end = (json.loads(line) for line in lines)
        if (begin["kind"], begin["format"], end["kind"]) != ("begin", FORMAT, "end"):
            raise ValueError(path.name)
        events = [_read_line(each) for each in middle]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(f"{path.name} is no whole export of the audit log: {type(error).__name__}.") from error
    places = {event["hash"]: event["id"] for event in events}
    chain = Chain(begin["previous_hash"], {}, places.get, before=begin["after"])
    for _ in chain.read(events):
        pass
    faults += chain.faults
    digest = hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    known = public_key is None or end["public_key"] == public_key
    signed = known and verify_signature(end["public_key"], _state_whole(digest), end["signature"])
    if not signed or digest != end["sha256"]:
        faults.append(Fault(chain.before, "forged", "the file as a whole is not what this house has signed"))
    return Finding(chain.events, chain.before if signed else 0, 0, faults)


def prune_log(engine: Engine, vault: Vault, settings: IntakeSettings, person: Person) -> Path | None:
    """Remove the records whose time is over: they are exported first, and a signed checkpoint takes their place.

    Returns
    -------
    Path or None
        The file they were exported to; None if there were none.
    """
    limit = datetime.now(UTC) - timedelta(days=settings.audit_years * DAYS_PER_YEAR)
    with engine.begin() as connection:
        over = _find_last_over(connection, limit)
        if over is None:
            return None
        last, digest = over
        path = settings.identified / "audit" / f"audit-to-{last}.jsonl"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_durably(path, lambda file: _export_range(connection, vault, file, 1, last))
    with path.open("rb") as exported:
        detail = {"sha256": hashlib.file_digest(exported, "sha256").hexdigest()}
    with writing(engine) as connection:
        record_event(connection, person, "prune audit", f"records to {last}", detail)
        insert_mark(connection, audit_checkpoints, make_mark(vault, "checkpoint", last, digest))
        # The database lets go of what a checkpoint stands for, and of nothing else.
        connection.execute(delete(audit_events).where(audit_events.c.id <= last))
        connection.execute(delete(audit_heads).where(audit_heads.c.event_id <= last))
    return path


def _find_last_over(connection: Connection, limit: datetime) -> tuple[int, str] | None:
    """Return the last record before the first one that is younger than the limit."""
    kept = connection.execute(select(func.min(audit_events.c.id)).where(audit_events.c.at >= limit)).scalar()
    statement = select(audit_events.c.id, audit_events.c.hash).order_by(audit_events.c.id.desc()).limit(1)
    row = connection.execute(statement if kept is None else statement.where(audit_events.c.id < kept)).first()
    return (row[0], row[1]) if row else None


def _export_range(connection: Connection, vault: Vault, file: BinaryIO, first: int, last: int) -> int:
    digest, count = hashlib.sha256(), 0

    def write_line(content: Mapping[str, Any]) -> None:
        line = json.dumps(content, sort_keys=True).encode() + b"\n"
        digest.update(line)
        file.write(line)

    write_line({"kind": "begin", "format": FORMAT, "after": first - 1, "previous_hash": _find_start(connection, first)})
    for event in read_events(connection, first - 1, last):
        write_line({"kind": "event", **event, "at": event["at"].astimezone(UTC).isoformat()})
        count += 1
    whole = digest.hexdigest()
    signature = vault.sign(_state_whole(whole))
    write_line({"kind": "end", "sha256": whole, "public_key": vault.public_key, "signature": signature})
    return count


def _find_start(connection: Connection, first: int) -> str:
    """Return the hash that a record is chained to, whether or not the one before it is still there."""
    before = select(audit_events.c.hash).where(audit_events.c.id < first).order_by(audit_events.c.id.desc()).limit(1)
    found = connection.execute(before).scalar()
    if found is None and (checkpoint := find_checkpoint(connection)):
        found = checkpoint.hash
    return found or GENESIS


def _state_whole(digest: str) -> bytes:
    return f"aurelius audit\nexport\n{digest}".encode()


def _read_line(line: Mapping[str, Any]) -> dict[str, Any]:
    return {**line, "at": datetime.fromisoformat(line["at"])}
