"""The intake: identified files come in at one end, de-identified studies reach the catalog at the other.

One object in is one disposition out: stored, duplicate, conflict, quarantined or failed, with the reason. Started as
``python -m aurelius_intake run``.
"""

from __future__ import annotations

from aurelius_intake.zone.folders import Zone
from aurelius_intake.zone.items import IntakeItem, IntakeItems, ItemState

__all__ = ["IntakeItem", "IntakeItems", "ItemState", "Zone"]
