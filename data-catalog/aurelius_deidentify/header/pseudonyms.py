"""Pseudonyms and UIDs made with a secret key: the same in every process and run, meaningless without the key."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from uuid import UUID

from aurelius_deidentify.errors import KeyUnusable

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
