"""The intake: identified files come in at one end, de-identified studies reach the catalog at the other.

One object in is one disposition out: stored, duplicate, conflict, quarantined or failed, with the reason. Started as
``python -m aurelius_catalog.intake run``.
"""

from __future__ import annotations

from aurelius_catalog.intake.items import IntakeItem, Items, State
from aurelius_catalog.intake.zone import Zone

__all__ = ["IntakeItem", "Items", "State", "Zone"]
