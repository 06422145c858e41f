"""The vault's maps as CSV files with the header ``id_old,id_new``, as the MIDI-B challenge has them."""

from __future__ import annotations

import codecs
import csv
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection

from aurelius_catalog.durable_files import write_durably
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault.vault import Vault

PATIENTS = "patid_mapping.csv"
HEADER = ("id_old", "id_new")


def write_maps(vault: Vault, connection: Connection, folder: Path) -> None:
    """Write ``patid_mapping.csv`` and ``uid_mapping.csv`` for their owner's eyes only.

    Parameters
    ----------
    vault
        The open vault.
    connection
        A transaction of its.
    folder
        Is made if it is not there. It holds identities: it belongs into the identified zone.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    patients = ((identity.PatientID, pseudonym) for pseudonym, identity in vault.list_patients(connection))
    _write_map(folder / PATIENTS, patients)
    _write_map(folder / "uid_mapping.csv", vault.list_uids(connection))


def forget_maps(settings: IntakeSettings, pseudonym: str) -> None:
    """Remove the exported maps that name a patient: they are out of date."""
    for path in (settings.identified / "exports").glob(f"*/{PATIENTS}"):
        if pseudonym in path.read_text():
            shutil.rmtree(path.parent)


def _write_map(path: Path, pairs: Iterable[tuple[str, str]]) -> None:
    def write(file: BinaryIO) -> None:
        writer = csv.writer(codecs.getwriter("utf-8")(file), lineterminator="\n")
        writer.writerow(HEADER)
        written: set[str] = set()
        for old, new in pairs:
            if new not in written:  # several studies share a UID
                written.add(new)
                writer.writerow((old, new))

    write_durably(path, write)
