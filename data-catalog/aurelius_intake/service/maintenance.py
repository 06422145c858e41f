"""Maintenance beside the intake's work: signing where the audit log stands, finishing withdrawals."""

from __future__ import annotations

import time

from aurelius_catalog.index.database import open_engine
from aurelius_intake.audit.signatures import sign_head
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import Vault
from aurelius_intake.withdrawal.withdrawal import finish_withdrawals

#: Records younger than this may not be signed yet.
SIGN_S = 60.0


class Maintenance:
    """Chores that need the vault's key and are due once a minute, and after every batch.

    Parameters
    ----------
    settings, vault
        Of the house.
    """

    def __init__(self, settings: IntakeSettings, vault: Vault) -> None:
        self.settings, self.vault = settings, vault
        self._next = 0.0

    def tend(self, *, at_once: bool) -> None:
        """Do what is due; all of it with ``at_once``."""
        now = time.monotonic()
        if at_once or now >= self._next:
            self._next = now + SIGN_S
            finish_withdrawals(self.settings, self.vault)
            sign_head(open_engine(self.settings), self.vault)
