"""A patient's originals in the identified zone, and all that is kept with them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import Vault
from aurelius_intake.zone.decisions import Approvals
from aurelius_intake.zone.folders import Zone
from aurelius_intake.zone.items import FINAL, IntakeItem, IntakeItems, ItemState


@dataclass(frozen=True)
class Patient:
    """Whose originals to look for; without site and PatientID, files that only list patients are left alone."""

    pseudonym: str
    site: str | None = field(repr=False)
    PatientID: str | None = field(repr=False)


def forget_originals(
    settings: IntakeSettings, vault: Vault, patient: Patient, SOPInstanceUIDs: Collection[str]
) -> tuple[int, int]:
    """Remove a patient's originals from the identified zone, with all that its records say of them.

    Parameters
    ----------
    settings, vault
        Of the house.
    patient
        Whose.
    SOPInstanceUIDs
        The new ones of what the catalog held: they find objects from before the records named the patient.

    Returns
    -------
    tuple of int
        How many objects were removed, and how many are still on their way.
    """
    if not (settings.identified / "intake.sqlite").exists():
        return 0, 0
    zone = Zone(settings)
    records, decisions = IntakeItems(zone.database), Approvals(zone.root)
    mine = records.find(pseudonym=patient.pseudonym)
    nameless = records.list_nameless()
    mine += records.find(ids=[number for number, uid in nameless if vault.pseudonyms.map_uid(uid) in SOPInstanceUIDs])
    removed = pending = 0
    for item in mine + _find_holders(zone, records, mine, patient):
        if item.state is ItemState.WITHDRAWN:
            continue
        if item.state not in FINAL or not item.settled:
            pending += 1
            continue
        zone.discard([item.name, *item.companions], item.location)
        decisions.forget(item.id, item.digest)
        records.forget(item)
        removed += 1
    return removed, pending


def _find_holders(zone: Zone, records: IntakeItems, mine: Collection[IntakeItem], patient: Patient) -> list[IntakeItem]:
    """Find archives that the patient's objects came in, and directories of media that name the patient."""
    found = []
    for site in {item.site for item in mine} | ({patient.site} if patient.site else set()):
        names = [item.name for item in mine if item.site == site]
        for archive in records.find(states=[ItemState.UNPACKED], site=site):
            start = str(Path(archive.name).with_name(f"{Path(archive.name).stem}-unpacked"))
            if any(name.startswith(start) for name in names):
                found.append(archive)
        number = (patient.PatientID or "").encode()
        for listing in records.find(states=[ItemState.LISTED], site=site):
            path = zone.root / listing.location
            if number and path.is_file() and number in path.read_bytes():
                found.append(listing)
    return found
