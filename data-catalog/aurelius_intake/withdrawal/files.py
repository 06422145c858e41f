"""A withdrawal on disk: de-identified files, what was derived from them, and the originals in the identified zone."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Collection, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from aurelius_catalog.durable_files import sync_folder
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import Vault
from aurelius_intake.zone.folders import Zone
from aurelius_intake.zone.items import FINAL, IntakeItem, IntakeItems, ItemState


@dataclass(frozen=True)
class Patient:
    """Whose originals to look for; without site and PatientID, files that only list patients are left alone."""

    pseudonym: str
    site: str | None = field(repr=False)
    PatientID: str | None = field(repr=False)


def remove_studies(settings: IntakeSettings, StudyInstanceUIDs: Iterable[str]) -> None:
    """Remove the catalog's files and certificates of studies that the index no longer names."""
    for uid in StudyInstanceUIDs:
        if (settings.files / uid).exists():
            shutil.rmtree(settings.files / uid)
        for suffix in (".json", ".html"):
            (settings.certificates / f"{uid}{suffix}").unlink(missing_ok=True)
    for folder in (settings.files, settings.certificates):
        if folder.is_dir():
            sync_folder(folder)


def remove_derived(settings: IntakeSettings, SeriesInstanceUIDs: Collection[str]) -> None:
    """Remove what the annotation server keeps: refused uploads of these series, and its cache of all images.

    The cache names no series, and is made anew when somebody asks.
    """
    folder = settings.home.resolve() / "annotation"
    if SeriesInstanceUIDs:
        for path in (folder / "images").glob("*.*"):
            path.unlink(missing_ok=True)
    for card in (folder / "rejected").glob("*.json"):
        if json.loads(card.read_text()).get("SeriesInstanceUID") in SeriesInstanceUIDs:
            card.with_suffix(".upload").unlink(missing_ok=True)
            card.unlink(missing_ok=True)


def remove_originals(
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
    records = IntakeItems(zone.database)
    mine = records.find(pseudonym=patient.pseudonym)
    mine += records.find(ids=_find_nameless(zone, vault, SOPInstanceUIDs))
    removed = pending = 0
    for item in mine + _find_holders(zone, records, mine, patient):
        if item.state is ItemState.WITHDRAWN:
            continue
        if item.state not in FINAL or not item.settled:
            pending += 1
            continue
        zone.discard([item.name, *item.companions], item.location)
        for note in (f"findings/{item.id}.json", f"approvals/{item.digest.rpartition(':')[2]}.json"):
            (zone.root / note).unlink(missing_ok=True)
        _scrub(records, item)
        removed += 1
    _forget_pulls(zone, vault.recall_uids(patient.pseudonym))
    _remove_exports(zone, patient.pseudonym)
    return removed, pending


def _scrub(records: IntakeItems, item: IntakeItem) -> None:
    """Leave of a record only that there was an object, and whose, by pseudonym."""
    nothing = {"name": "", "companions": [], "digest": "", "location": "", "settled": True, "verdict": None}
    uids = {"SOPInstanceUID": None, "StudyInstanceUID": None}
    records.advance(item, ItemState.WITHDRAWN, reason=None, **nothing, **uids)


def _find_nameless(zone: Zone, vault: Vault, SOPInstanceUIDs: Collection[str]) -> list[int]:
    """Find records without a pseudonym by the UID that theirs becomes."""
    query = "SELECT id, SOPInstanceUID FROM items WHERE pseudonym IS NULL AND SOPInstanceUID IS NOT NULL"
    with closing(sqlite3.connect(zone.database, timeout=30)) as connection:
        return [number for number, uid in connection.execute(query) if vault.pseudonyms.map_uid(uid) in SOPInstanceUIDs]


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


def _forget_pulls(zone: Zone, uids: Collection[str]) -> None:
    """Let the journal of pulls forget the patient; what it fetches again will be refused."""
    journal = zone.root / "pulls" / "journal.sqlite"
    if journal.exists():
        with closing(sqlite3.connect(journal, timeout=30)) as connection, connection:
            connection.executemany("DELETE FROM arrived WHERE instance = ?", [(uid,) for uid in uids])


def _remove_exports(zone: Zone, pseudonym: str) -> None:
    """Remove exported maps that name the patient: they are out of date."""
    for path in (zone.root / "exports").glob("*/patid_mapping.csv"):
        if pseudonym in path.read_text():
            shutil.rmtree(path.parent)
