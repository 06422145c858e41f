"""Signing where the audit log stands: what a signature covers can be neither rewritten nor cut off unnoticed."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, RowMapping, Table, insert, select

from aurelius_catalog.index.database import writing
from aurelius_catalog.index.schema import audit_checkpoints, audit_events, audit_heads
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import Vault, read_notice, verify_signature

log = logging.getLogger("aurelius.audit")
#: Under which name the vault keeps a copy of the newest head, out of the database's reach.
NOTICE = "audit head"


@dataclass(frozen=True)
class SignedEvent:
    """A signed statement that the event ``event_id`` had this hash: a head, or a checkpoint.

    A checkpoint says besides that the events up to and including it were removed because their time was over.
    """

    kind: str
    event_id: int
    hash: str
    at: str
    public_key: str
    signature: str

    @property
    def statement(self) -> bytes:
        """What the signature is made over."""
        return "\n".join(("aurelius audit", self.kind, str(self.event_id), self.hash, self.at)).encode()

    def is_signed_by(self, public_key: str) -> bool:
        """Whether the signature is that of ``public_key`` (Ed25519, hex)."""
        return self.public_key == public_key and verify_signature(public_key, self.statement, self.signature)


def make_mark(vault: Vault, kind: str, event_id: int, digest: str) -> SignedEvent:
    """Sign a head or a checkpoint."""
    draft = SignedEvent(kind, event_id, digest, datetime.now(UTC).isoformat(), vault.public_key, "")
    return SignedEvent(**{**asdict(draft), "signature": vault.sign(draft.statement)})


def sign_head(engine: Engine, vault: Vault) -> SignedEvent | None:
    """Sign where the audit log stands; None if nothing happened since, or if its signed past is gone.

    Such a log is not signed again: a new signature would cover up what was done to it.
    """
    with engine.begin() as connection:
        newest, last = _find_newest(connection), read_head(vault.read_notice(NOTICE))
    if newest is None or (last is not None and (last.event_id, last.hash) == tuple(newest)):
        return None
    with writing(engine) as connection:
        if last is not None and not _still_holds(connection, last):
            log.error("the audit log was changed behind its signature: run `aurelius audit verify`")
            return None
        newest = _find_newest(connection)
        assert newest is not None  # noqa: S101 - there was one, and records are not removed
        head = make_mark(vault, "head", newest[0], newest[1])
        insert_mark(connection, audit_heads, head)
    vault.post_notice(NOTICE, json.dumps(asdict(head)))
    return head


def insert_mark(connection: Connection, table: Table, mark: SignedEvent) -> None:
    """Keep a head or a checkpoint in its table."""
    values = asdict(mark)
    del values["kind"]
    connection.execute(insert(table).values({**values, "at": datetime.fromisoformat(mark.at)}))


def read_mark(kind: str, row: RowMapping) -> SignedEvent:
    """Turn a row of `audit_heads` or `audit_checkpoints` into what was signed."""
    at = row["at"].astimezone(UTC).isoformat()
    return SignedEvent(kind, row["event_id"], row["hash"], at, row["public_key"], row["signature"])


def read_head(notice: str | None) -> SignedEvent | None:
    """Turn the vault's copy of the newest head into what was signed."""
    return SignedEvent(**json.loads(notice)) if notice else None


def find_checkpoint(connection: Connection) -> SignedEvent | None:
    """Return the newest checkpoint."""
    newest = select(audit_checkpoints).order_by(audit_checkpoints.c.event_id.desc()).limit(1)
    row = connection.execute(newest).mappings().first()
    return read_mark("checkpoint", row) if row else None


def read_outside_head(settings: IntakeSettings) -> SignedEvent | None:
    """Return the newest head as the vault keeps it; this takes no key."""
    return read_head(read_notice(settings, NOTICE))


def _find_newest(connection: Connection) -> tuple[int, str] | None:
    newest = select(audit_events.c.id, audit_events.c.hash).order_by(audit_events.c.id.desc()).limit(1)
    row = connection.execute(newest).first()
    return (row[0], row[1]) if row else None


def _still_holds(connection: Connection, head: SignedEvent) -> bool:
    checkpoint = find_checkpoint(connection)
    if checkpoint is not None and checkpoint.event_id >= head.event_id:
        return True
    found = select(audit_events.c.hash).where(audit_events.c.id == head.event_id)
    return connection.execute(found).scalar() == head.hash
