"""A withdrawn patient is gone, everywhere, whatever moment the process dies at; on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, insert, select

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import InvalidRequest, NotFound, PermissionDenied, Withdrawn
from aurelius_catalog.index.database import open_engine, writing
from aurelius_catalog.index.schema import audit_events, leases, metadata, tombstones
from aurelius_catalog.local.segmentations import SegmentationFiles
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import DecisionAction, NewPrediction, Segment
from aurelius_intake import IntakeItems, ItemState, Zone
from aurelius_intake.audit.signatures import read_outside_head
from aurelius_intake.audit.verification import check_log
from aurelius_intake.receiving.pull_journal import metadata as pull_tables
from aurelius_intake.service.runner import serve
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import Vault, create_vault
from aurelius_intake.vault.tables import metadata as vault_tables
from aurelius_intake.withdrawal import places, withdrawal
from aurelius_intake.withdrawal.withdrawal import Withdrawal, finish_withdrawals, is_withdrawn, withdraw_patient
from aurelius_intake.zone.item_table import metadata as item_tables
from aurelius_intake.zone.items import Arrival
from support.builders import write_ct
from support.cohort import add_phantom
from support.houses import DATABASES, find_server, make_settings

STELLA = Person.of("stella", ["role-steward"])
ANTON = Person.of("anton", ["role-annotator", "site-north"])
RHEA = Person.of("rhea", ["role-researcher", "site-north", "site-south"])
NORA = Person.of("nora", ["role-clinician", "site-north"])
HERS, OTHER = "north-ct-chest-1", "south-ct-chest-2"
NAME, NUMBER = "Wagner^Ottilie", "PID-774411"
NODULE = (Segment(number=1, label="nodule"),)


@pytest.fixture(scope="module", params=DATABASES)
def server(request: pytest.FixtureRequest) -> str:
    return find_server(request.param)


@dataclass(frozen=True)
class House:
    """Two patients: one with everything a patient can have, and another who must not lose anything."""

    settings: IntakeSettings
    vault: Vault
    hers: str
    other: str

    def open_as(self, person: Person) -> LocalStore:
        return LocalStore(self.settings, person)

    def withdraw(self, patient: str | tuple[str, str] = HERS, person: Person = STELLA) -> Withdrawal:
        return withdraw_patient(self.settings, self.vault, patient, person, "the patient asked for it")

    def is_withdrawn(self, pseudonym: str) -> bool:
        with open_engine(self.settings).begin() as connection:
            return is_withdrawn(connection, pseudonym)

    def list_actions(self) -> list[str]:
        with open_engine(self.settings).begin() as connection:
            events = connection.execute(select(audit_events).order_by(audit_events.c.id)).mappings().all()
        assert NUMBER not in str(events)
        return [event["action"] for event in events]

    def count_rows(self) -> dict[str, int]:
        with open_engine(self.settings).begin() as connection:
            tables = {name: table for name, table in metadata.tables.items() if not name.startswith("audit")}
            return {
                name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for name, table in tables.items()
            }

    def list_files(self) -> set[str]:
        """Return the files of images, certificates, originals and derived things, by name."""
        home = self.settings.home
        folders = ("catalog/files", "catalog/certificates", "identified", "annotation")
        paths = (path for folder in folders for path in (home / folder).rglob("*") if path.is_file())
        return {str(path.relative_to(home)) for path in paths if not path.name.startswith(("vault.", "intake.", "key"))}


def add_original(
    house: House, state: ItemState, name: str, content: str, *, pseudonym: str | None, uid: str = ""
) -> int:
    """Write an original and its record, as if it had gone through the intake."""
    zone = Zone(house.settings)
    folder = {"stored": "processed", "unpacked": "processed", "listed": "processed"}.get(state, "quarantine")
    location = (
        f"{folder}/north/{name}"
        if state in (ItemState.STORED, ItemState.UNPACKED, ItemState.LISTED, ItemState.QUARANTINED)
        else f"inbox/north/{name}"
    )
    path = zone.root / location
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    if folder == "quarantine":
        path.with_name(f"{path.name}.reason.txt").write_text("a reason")
    items = IntakeItems(zone.database)
    [(item, _)] = items.receive("north", [Arrival(name, f"blake3:{hash(name) & 0xFFFFFF:x}", uid or None)])
    items.advance(item, state, location=location, settled=state is not ItemState.RECEIVED, pseudonym=pseudonym)
    return item.id


@pytest.fixture
def house(server: str, tmp_path: Path) -> House:
    settings = make_settings(tmp_path, server)
    vault = create_vault(settings)
    few = slice(18, 21)
    hers, other = (add_phantom(settings, site, "ct-chest", seed, few) for site, seed in (("north", 1), ("south", 2)))
    house = House(settings, vault, hers, other)
    vault.remember(
        site="north",
        PatientID=NUMBER,
        PatientName=NAME,
        pseudonym=HERS,
        StudyInstanceUID=house.open_as(STELLA).get_series(hers).StudyInstanceUID,
        uids={"1.2.840.5": "2.25.5"},
        evidence={NUMBER},
    )
    return house


def fill(house: House) -> None:
    """Give the one patient everything, and the other the same where there can be two."""
    labels = np.zeros((3, 96, 96), np.uint8)
    labels[1, 40:50, 40:50] = 1
    anton, rhea, nora = (house.open_as(person) for person in (ANTON, RHEA, NORA))
    anton.add_annotation(house.hers, labels, NODULE, origin="slicer")
    with writing(open_engine(house.settings)) as connection:
        held = {"SeriesInstanceUID": house.hers, "person": "anton", "until": datetime.now(UTC) + timedelta(hours=1)}
        connection.execute(insert(leases).values(held))
    numbers = {"volume_mm3": 12.0, "confidence": 0.9, "uncertainty": 0.1}
    result = NewPrediction(model="unet", model_hash="ab" * 32, finding="nodule", segments=NODULE, **numbers)
    drawn = rhea.add_prediction(house.hers, result, labels)
    rhea.add_prediction(house.other, result, None)
    nora.add_decision(drawn.id, DecisionAction.ACCEPT, "")
    home, study = house.settings.home, rhea.get_series(house.hers).StudyInstanceUID
    add_original(house, ItemState.STORED, "disc-unpacked/1.dcm", NUMBER, pseudonym=HERS, uid="1.2.840.5")
    add_original(house, ItemState.UNPACKED, "disc.zip", NUMBER, pseudonym=None)
    add_original(house, ItemState.LISTED, "DICOMDIR", f"...{NUMBER}...", pseudonym=None)
    waiting = add_original(house, ItemState.QUARANTINED, "scan of wagner.dcm", NUMBER, pseudonym=HERS)
    add_original(house, ItemState.STORED, "another.dcm", "somebody else", pseudonym=OTHER)
    add_original(house, ItemState.UNPACKED, "another.zip", "somebody else", pseudonym=None)
    files = {
        f"catalog/certificates/{study}.json": "{}",
        f"catalog/certificates/{study}.html": "",
        "catalog/certificates/2.25.77.json": "{}",
        f"identified/findings/{waiting}.json": json.dumps({"words": [NAME]}),
        "identified/exports/1/patid_mapping.csv": f"id_old,id_new\n{NUMBER},{HERS}\n",
        "identified/exports/2/patid_mapping.csv": f"id_old,id_new\n9,{OTHER}\n",
        "annotation/images/0123.nrrd": "voxels",
        "annotation/rejected/a.json": json.dumps({"SeriesInstanceUID": house.hers}),
        "annotation/rejected/a.upload": "a label",
        "annotation/rejected/b.json": json.dumps({"SeriesInstanceUID": house.other}),
        "annotation/rejected/b.upload": "a label",
    }
    for name, content in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content)


def assert_gone(house: House) -> None:
    """Nothing of hers is left, and nothing of the other's is missing."""
    stella = house.open_as(STELLA)
    assert {record.PatientID for record in stella.find_series()} == {OTHER}
    for question in (stella.get_series, stella.list_instances, stella.list_annotations, stella.list_predictions):
        with pytest.raises(Withdrawn, match="its patient was withdrawn on"):
            question(house.hers)
    assert stella.list_leases() == []
    assert [row.series.SeriesInstanceUID for row in stella.list_worklist()] == [house.other]
    study = stella.get_series(house.other).StudyInstanceUID
    assert {name for name in house.list_files() if not name.startswith(f"catalog/files/{study}/")} == {
        "catalog/certificates/2.25.77.json",
        "identified/exports/2/patid_mapping.csv",
        "identified/processed/north/another.dcm",
        "identified/processed/north/another.zip",
        "annotation/rejected/b.json",
        "annotation/rejected/b.upload",
    }
    assert len(list((house.settings.files / study).rglob("*.dcm"))) == 3
    items = IntakeItems(Zone(house.settings).database).find()
    assert sorted((item.state, item.name, item.pseudonym) for item in items if item.name or item.pseudonym) == [
        ("stored", "another.dcm", OTHER),
        ("unpacked", "another.zip", None),
        ("withdrawn", "", HERS),
        ("withdrawn", "", HERS),
    ]
    assert not house.vault.knows(HERS)
    assert house.is_withdrawn(HERS)
    assert not house.is_withdrawn(OTHER)
    assert house.list_actions()[-1] == "withdrawal finished"


def test_everything_of_a_patient_goes_and_nothing_of_anybody_else(house: House) -> None:
    fill(house)
    before = house.count_rows()
    done = house.withdraw()
    assert (done.studies, done.series, done.instances, done.labels, done.predictions) == (1, 3, 5, 1, 1)
    assert (done.originals, done.pending) == (4, 0)
    assert_gone(house)
    after = house.count_rows()
    assert {name: before[name] - after[name] for name in after if before[name] != after[name]} == {
        "annotations": 1,
        "decisions": 1,
        "instances": 5,
        "leases": 1,
        "predictions": 1,
        "series": 3,
        "studies": 1,
        "tombstones": -(1 + 1 + 3 + 5),
    }
    again = house.withdraw()
    assert (again.instances, again.originals) == (0, 0)
    assert house.count_rows() == after
    assert house.list_actions().count("withdraw") == 1


def test_frozen_datasets_keep_their_id_and_say_what_was_withdrawn(house: House) -> None:
    rhea = house.open_as(RHEA)
    both, hers = rhea.add_dataset("both", [house.hers, house.other]), rhea.add_dataset("hers", [house.hers])
    assert house.withdraw().datasets == 2
    for found in (rhea.get_dataset(both.id), rhea.get_dataset("both")):
        assert (found.id, found.SeriesInstanceUIDs) == (both.id, both.SeriesInstanceUIDs)
        assert (found.withdrawn, found.remaining) == ((house.hers,), (house.other,))
    assert {each.id: each.withdrawn for each in rhea.list_datasets()} == {
        both.id: (house.hers,),
        hers.id: (house.hers,),
    }
    nora = house.open_as(NORA)
    assert nora.list_datasets() == []
    for record in (both, hers):
        with pytest.raises(PermissionDenied, match="nora may not open dataset"):
            nora.get_dataset(record.id)
    assert rhea.add_dataset("both", [house.other]).id != both.id


class Died(BaseException):
    """The process ends here."""


STEPS = ["forget_rows", "list_forgotten", *range(len(places.PLACES)), "append_event"]


def test_a_withdrawal_cut_off_again_and_again_is_finished_at_last(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(house)

    def die_at(step: str | int, *, after: bool) -> None:
        """Die before or after a step; all the steps before it are done by then, and none of those behind it."""
        real: Callable[..., Any] = places.PLACES[step] if isinstance(step, int) else getattr(withdrawal, step)

        def die(*arguments: Any) -> None:
            if after:
                real(*arguments)
            raise Died

        with monkeypatch.context() as dying:
            if isinstance(step, int):
                dying.setattr(places, "PLACES", (*places.PLACES[:step], die, *places.PLACES[step + 1 :]))
            else:
                dying.setattr(withdrawal, step, die)
            with pytest.raises(Died):
                finish_withdrawals(house.settings, house.vault) if begun else house.withdraw()

    begun = False
    for step in STEPS:
        for after in (False, True):
            die_at(step, after=after)
            begun = True
    finish_withdrawals(house.settings, house.vault)
    assert_gone(house)
    assert house.list_actions().count("withdraw") == 1
    finish_withdrawals(house.settings, house.vault)
    assert house.list_actions().count("withdrawal finished") == 2, "the first was recorded, and the process then died"


#: Columns by which a row says whose it is, in the words of every schema of the house.
NAMING = {
    *("PatientID", "pseudonym", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
    *("study", "series", "instance", "prediction_id"),
}


def test_every_table_that_names_a_patient_is_registered() -> None:
    schemas = (metadata, item_tables, vault_tables, pull_tables)
    naming = {table for schema in schemas for table in schema.sorted_tables if NAMING & set(table.columns.keys())}
    assert {table.name for table in naming - set(places.TABLES)} == set()


def test_what_is_on_its_way_is_removed_when_it_has_ended(house: House) -> None:
    number = add_original(house, ItemState.RECEIVED, "late.dcm", NUMBER, pseudonym=HERS)
    assert house.withdraw().pending == 1
    assert house.is_withdrawn(HERS)
    items = IntakeItems(Zone(house.settings).database)
    item = items.get(number)
    assert item is not None
    items.advance(item, ItemState.QUARANTINED, settled=True)
    finish_withdrawals(house.settings, house.vault)
    item = items.get(number)
    assert item is not None
    assert item.state is ItemState.WITHDRAWN
    assert not [name for name in house.list_files() if name.startswith("identified/")]


def test_a_record_from_before_patients_were_recorded_is_found_by_its_uid(house: House) -> None:
    stored = house.open_as(STELLA).list_instances(house.hers)[0].SOPInstanceUID
    house.vault.forget(HERS)
    secret = house.vault.pseudonyms

    class Reversed:
        def map_uid(self, uid: str) -> str:
            return stored if uid == "1.2.840.5" else secret.map_uid(uid)

    house.vault.pseudonyms = Reversed()  # type: ignore[assignment]
    add_original(house, ItemState.STORED, "old.dcm", NUMBER, pseudonym=None, uid="1.2.840.5")
    add_original(house, ItemState.STORED, "other.dcm", "x", pseudonym=None, uid="1.2.840.6")
    assert house.withdraw().originals == 1


def test_a_patient_who_never_came_may_be_refused_in_advance(house: House) -> None:
    done = house.withdraw(("north", " 4711 "))
    assert done.pseudonym == house.vault.pseudonyms.name_patient("north", "4711")
    assert (done.instances, done.originals) == (0, 0)
    assert house.is_withdrawn(done.pseudonym)
    assert len(house.open_as(STELLA).find_series()) == 2


def test_withdrawing_takes_a_steward_a_patient_and_a_reason(house: House) -> None:
    with pytest.raises(PermissionDenied, match="rhea may not steward"):
        house.withdraw(person=RHEA)
    with pytest.raises(NotFound, match="There is no patient"):
        house.withdraw("AUR-NOBODY")
    for reason in ("", "Ottilie asked", f"{NUMBER} asked"):
        with pytest.raises(InvalidRequest):
            withdraw_patient(house.settings, house.vault, HERS, STELLA, reason)
    assert len(house.open_as(STELLA).find_series()) == 2
    with open_engine(house.settings).begin() as connection:
        assert connection.execute(select(tombstones)).first() is None


def test_what_a_withdrawn_patient_sends_later_is_refused_and_not_remembered(tmp_path: Path) -> None:
    settings = IntakeSettings(home=tmp_path, intake_quiet_s=0.01, intake_reserve_mb=0)
    vault = create_vault(settings)
    source = tmp_path / "sent"
    write_ct(source, slices=2)
    zone = Zone(settings)
    zone.take_in(Path(shutil.make_archive(str(tmp_path / "disc.of.wagner"), "zip", source)), "north")
    serve(settings, Event(), once=True)
    [record] = LocalStore(settings, STELLA).find_series()
    assert vault.knows(record.PatientID)
    done = withdraw_patient(settings, vault, record.PatientID, STELLA, "consent was taken back")
    assert (done.instances, done.originals, done.pending) == (2, 3, 0)
    assert [path.name for path in (zone.root / "processed").rglob("*")] == ["north"]
    shutil.copytree(source, tmp_path / "again")
    zone.take_in(tmp_path / "again", "north")
    serve(settings, Event(), once=True)
    assert LocalStore(settings, STELLA).find_series() == []
    assert not vault.knows(record.PatientID)
    items = IntakeItems(zone.database).find()
    assert [item.state for item in items] == [*["withdrawn"] * 3, "quarantined", "quarantined"]
    assert "must not come in again" in str(items[-1].reason)
    assert not list(settings.files.rglob("*.dcm"))
    assert not list(settings.certificates.rglob("*"))
    with open_engine(settings).begin() as connection:
        finding = check_log(connection, vault.public_key, read_outside_head(settings))
    assert finding.faults == []
    assert finding.signed_to == finding.events, "the intake signs where the log stands"


def test_a_label_that_was_being_saved_meanwhile_does_not_bring_the_patient_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SegmentationFiles.write_label

    def write(files: SegmentationFiles, *arguments: Any, **keywords: Any) -> Any:
        study = real(files, *arguments, **keywords)
        house.withdraw()
        return study

    monkeypatch.setattr(SegmentationFiles, "write_label", write)
    with pytest.raises(Withdrawn, match="must not come in again"):
        house.open_as(ANTON).add_annotation(house.hers, np.zeros((3, 96, 96), np.uint8), NODULE, origin="slicer")
    other = house.open_as(STELLA).get_series(house.other).StudyInstanceUID
    assert {path.relative_to(house.settings.files).parts[0] for path in house.settings.files.rglob("*.dcm")} == {other}
    assert house.count_rows()["studies"] == 1
