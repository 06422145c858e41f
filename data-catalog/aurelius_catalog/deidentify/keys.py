"""Pseudonyms and UIDs made with a secret key: the same in every process and run, meaningless without the key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from aurelius_catalog.errors import KeyUnusable

KEY_BYTES = 32
PSEUDONYM_PREFIX = "AUR-"
#: Dates move by at most five years: ages stay roughly true, and no day can be guessed.
MOST_DAYS = 5 * 365


@dataclass(frozen=True)
class PseudonymKey:
    """The secret all pseudonyms and UIDs are derived from (HMAC-SHA256)."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise KeyUnusable(f"A pseudonym key has {KEY_BYTES} bytes, this one {len(self.secret)}.")

    def name_patient(self, site: str, PatientID: str) -> str:
        """Return the pseudonym of a patient of a site; two sites may use one number for two people."""
        digest = self._digest("patient", site, PatientID.strip())
        return PSEUDONYM_PREFIX + base64.b32encode(digest[:10]).decode()

    def map_uid(self, uid: str) -> str:
        """Return the new UID, ``2.25`` and a UUID as PS3.5 section B.2 wants it, for an original one."""
        return f"2.25.{UUID(bytes=self._digest('uid', uid)[:16], version=4).int}"

    def shift_days(self, site: str, PatientID: str) -> int:
        """Return by how many whole days, 1..1825, a patient's dates are moved back."""
        return 1 + int.from_bytes(self._digest("days", site, PatientID.strip())[:8]) % MOST_DAYS

    def _digest(self, *parts: str) -> bytes:
        return hmac.new(self.secret, "\0".join(parts).encode("utf-8", "surrogateescape"), hashlib.sha256).digest()


def create_key(path: Path) -> PseudonymKey:
    """Create a key file that only its owner may read.

    Raises
    ------
    FileExistsError
        If there is one already: a new key would give every patient a second pseudonym.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = PseudonymKey(secrets.token_bytes(KEY_BYTES))
    # Written aside and linked: whoever sees the name sees the whole key, and an existing key is never replaced.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(key.secret.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()
    return key


def read_key(path: Path) -> PseudonymKey:
    """Read a key file.

    Raises
    ------
    KeyUnusable
        If it is missing, is no key, or may be read by others.
    """
    try:
        mode, text = path.stat().st_mode, path.read_text()
    except OSError as error:
        raise KeyUnusable(f"The pseudonym key {path.name} cannot be read: {error.strerror}.") from error
    if mode & 0o077:
        raise KeyUnusable(f"Others than its owner may read the pseudonym key: chmod 600 {path}")
    try:
        return PseudonymKey(bytes.fromhex(text.strip()))
    except ValueError as error:
        raise KeyUnusable(f"{path.name} is not a pseudonym key; restore it from your safe copy.") from error
