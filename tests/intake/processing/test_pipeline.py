"""The way in: every object gets one disposition, series appear whole, and a crash at any moment loses nothing."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import UID
from sqlalchemy import select

from aurelius_catalog.dicom.frame_locations import decode_frame
from aurelius_catalog.errors import InvalidRequest, KeyUnusable
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.schema import audit_events, instances
from aurelius_deidentify.pixels import MaskRegion, PixelVerdict
from aurelius_intake.certificates.certificate import read_certificate
from aurelius_intake.processing import drafting
from aurelius_intake.processing.pipeline import Pipeline
from aurelius_intake.service.runner import serve
from aurelius_intake.zone.lock import hold_lock
from support.builders import (
    VISIT,
    make_identified,
    make_phantom,
    plant,
    write_ct,
    write_object,
    write_phantom,
    write_truth,
)
from support.houses import DATABASES, find_server, make_database
from support.intake_house import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "home")


def test_a_series_becomes_visible_whole_and_its_originals_are_kept(house: House) -> None:
    write_ct(house.inbox() / "some" / "folder", slices=4)
    assert house.work() == 4
    (series,) = house.list_series()
    assert (series.n_instances, series.site, series.Modality) == (4, "north", "CT")
    assert series.PatientID == house.key.name_patient("north", VISIT.PatientID)
    assert house.count() == {"stored": 4}
    assert house.list_originals("processed") == [f"north/some/folder/CT01_000{number}.dcm" for number in range(1, 5)]
    assert list(house.inbox().iterdir()) == []
    assert not list((house.home / "catalog" / "drafts").iterdir())


def test_nothing_identifying_reaches_the_catalog_or_the_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    dataset = make_identified()
    words = [*plant(dataset), "Plantagenet", VISIT.PatientID, VISIT.make_uid("study"), VISIT.make_uid("instance")]
    write_object(house.inbox() / "Plantagenet_Petra.dcm", dataset)
    (house.inbox() / "Plantagenet_letter.txt").write_text("ZZPLANT")
    write_ct(house.inbox() / "Plantagenet")
    with caplog.at_level(logging.DEBUG):
        house.work()
    assert house.count() == {"stored": 4, "quarantined": 1}
    files = [path for path in (house.home / "catalog").rglob("*") if path.is_file()]
    assert len(files) >= 5
    for path in files:
        content = path.read_bytes()
        assert not [word for word in words if word.encode() in content], path.name
    said = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("aurelius"))
    assert "4 stored (items 1 to 4)" in said
    assert not [word for word in words if word in said]


def test_the_identified_zone_is_closed_to_others(house: House) -> None:
    write_ct(house.inbox())
    house.work()
    assert house.zone.root.stat().st_mode & 0o777 == 0o700
    assert house.zone.database.stat().st_mode & 0o777 == 0o600


def test_a_study_waits_until_all_its_files_came_to_rest(house: House) -> None:
    house.quiet_s = 30
    paths = write_ct(house.inbox()) + write_ct(house.inbox() / "other", number=2)
    (house.inbox() / ".still-being-copied").write_text("x")
    an_hour_ago = time.time() - 3600
    desk = Pipeline(house.settings, house.vault)
    assert desk.work(Event()) == 0
    # The kernel's change time cannot be set back: let the intake's clock stand later instead.
    for path in paths:
        os.utime(path, (an_hour_ago, an_hour_ago))
    assert desk.work(Event()) == 0, "a file moved in with an old date is still new here"
    desk.inbox.quiet_s = 2
    wait_for(lambda: all(time.time() - path.stat().st_ctime > 2.1 for path in paths))
    paths[0].touch()  # one slice of the first study is being written again
    assert desk.work(Event()) == 3
    (series,) = house.list_series()
    assert series.StudyInstanceUID == house.key.map_uid(str(dcmread_study(house.zone.root / "processed")))


def dcmread_study(folder: Path) -> str:
    return str(dcmread(next(folder.rglob("*.dcm"))).StudyInstanceUID)


def test_the_same_again_is_a_duplicate_and_other_content_a_conflict(house: House) -> None:
    paths = write_ct(house.inbox())
    contents = [path.read_bytes() for path in paths]
    house.work()
    house.inbox().joinpath("again.dcm").write_bytes(contents[0])
    house.inbox("south").joinpath("elsewhere.dcm").write_bytes(contents[1])
    house.inbox().joinpath("changed.dcm").write_bytes(contents[2].replace(b"Phantom", b"Fantome"))
    house.work()
    assert house.count() == {"stored": 3, "duplicate": 1, "conflict": 1}
    assert house.count("south") == {"duplicate": 1}
    assert "Conflict: item 3" in house.list_reasons()["changed.dcm"]
    assert house.list_originals("quarantine") == ["north/changed.dcm", "north/changed.dcm.reason.txt"]
    (series,) = house.list_series()
    assert series.n_instances == 3


def test_a_name_that_was_used_before_does_not_overwrite_the_original(house: House) -> None:
    write_ct(house.inbox(), number=1, slices=1)
    house.work()
    write_ct(house.inbox(), number=2, slices=1)
    house.work()
    assert house.list_originals("processed") == ["north/CT01_0001.dcm", "north/CT01_0001.item-2.dcm"]


def test_what_a_header_cannot_vouch_for_goes_to_quarantine_and_the_rest_goes_on(house: House) -> None:
    inbox = house.inbox()
    refused = {
        "letter.dcm": ("1.2.840.10008.5.1.4.1.1.104.1", {"EncapsulatedDocument": b"%PDF"}, "encapsulated document"),
        "maker.dcm": ("1.3.12.2.1107.5.9.1", {}, "private kind of object"),
        "cut.dcm": ("1.2.840.10008.5.1.4.1.1.2", {"Rows": 9, "Columns": 9, "PixelData": b"\0\0"}, "was cut off"),
    }
    for number, (name, (SOPClassUID, values, _)) in enumerate(refused.items()):
        dataset = make_identified()
        dataset.SOPClassUID, dataset.SOPInstanceUID = UID(SOPClassUID), f"1.2.3.{number}"
        dataset.BitsAllocated = 16
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        write_object(inbox / name, dataset)
    (inbox / "notes.txt").write_text("not an image")
    (inbox / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 50)
    write_ct(inbox / "good")
    house.work()
    reasons = house.list_reasons()
    for name, (_, _, expected) in refused.items():
        assert expected in reasons[name]
        written = house.zone.root / "quarantine" / "north" / f"{name}.reason.txt"
        assert written.read_text().strip() == reasons[name]
    assert "not a DICOM" in reasons["notes.txt"]
    assert reasons["broken.dcm"]
    assert house.count() == {"quarantined": len(refused) + 2, "stored": 3}
    assert len(house.list_series()) == 1


def test_names_that_are_hard_to_write_down_are_taken_too(house: House) -> None:
    (source,) = write_ct(house.home / "out", slices=1)
    old_medium = house.inbox() / os.fsdecode(b"M\xfcller")
    old_medium.mkdir()
    source.rename(old_medium / os.fsdecode(b"K\xf6rper.dcm"))
    (house.inbox() / ("n" * 251 + ".txt")).write_text("not an image")
    house.work()
    house.work()  # a file that was renamed is new, and comes to rest once more
    assert house.count() == {"stored": 1, "quarantined": 1}
    assert house.list_originals("processed") == ["north/M\\xfcller/K\\xf6rper.dcm"]
    assert len(house.list_originals("quarantine")) == 2


def test_one_bad_slice_does_not_hold_back_its_series(house: House) -> None:
    paths = write_ct(house.inbox(), slices=3)
    paths[1].write_bytes(paths[1].read_bytes()[:-20])
    house.work()
    assert house.count() == {"stored": 2, "quarantined": 1}


def test_an_unexpected_error_ends_one_file_and_not_the_batch(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = drafting.find_refusal, []

    def stumble(dataset: Any, **options: bool) -> str | None:
        calls.append(dataset)
        if len(calls) == 2:
            raise ZeroDivisionError("Plantagenet")
        return real(dataset, **options)

    monkeypatch.setattr(drafting, "find_refusal", stumble)
    write_ct(house.inbox())
    house.work()
    assert house.count() == {"stored": 2, "failed": 1}
    (reason,) = house.list_reasons().values()
    assert "ZeroDivisionError" in reason
    assert "Plantagenet" not in reason


def test_a_truth_segmentation_becomes_a_label_of_its_series(house: House) -> None:
    phantom = make_phantom("ct-chest", 1)
    paths = write_phantom(house.inbox() / "ct", phantom, VISIT)
    write_truth(house.inbox() / "a-truth.dcm", paths, phantom.truth, "nodule", VISIT)
    house.work()
    store = house.store
    (annotation,) = store.list_annotations()
    assert (annotation.origin, annotation.author) == ("intake", "north")
    assert [segment.label for segment in annotation.segments] == ["nodule"]
    assert store.get_series(annotation.SeriesInstanceUID).Modality == "CT"


def test_a_segmentation_that_came_before_its_images_is_linked_when_they_come(house: House, tmp_path: Path) -> None:
    phantom = make_phantom("ct-chest", 1)
    paths = write_phantom(tmp_path / "ct", phantom, VISIT)
    write_truth(house.inbox() / "truth.dcm", paths, phantom.truth, "nodule", VISIT)
    house.work()
    store = house.store
    assert store.list_annotations() == []
    for path in paths:
        path.rename(house.inbox() / path.name)
    house.work()
    (annotation,) = store.list_annotations()
    assert store.get_series(annotation.SeriesInstanceUID).Modality == "CT"
    house.work()
    assert store.list_annotations() == [annotation]


def test_without_a_vault_nothing_is_taken(house: House) -> None:
    write_ct(house.inbox())
    with pytest.raises(KeyUnusable, match="aurelius vault create"):
        serve(house.settings, Event(), once=True)
    assert house.count() == {}
    assert len(list(house.inbox().iterdir())) == 3


def test_one_intake_at_a_time(house: House) -> None:
    with hold_lock(house.zone), pytest.raises(InvalidRequest, match="running"), hold_lock(house.zone):
        pass
    with hold_lock(house.zone):
        pass


def wait_for(condition: Callable[[], bool], limit_s: float = 10) -> None:
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture(params=DATABASES)
def house_on_either(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return House(tmp_path / "home", database_url=make_database(find_server(request.param)))


def test_late_instances_make_a_new_revision_and_the_same_again_changes_nothing(
    house_on_either: House, tmp_path: Path
) -> None:
    house = house_on_either
    paths = write_ct(tmp_path / "ct", slices=5)
    late = [path.rename(tmp_path / path.name) for path in paths[3:]]
    shutil.copytree(tmp_path / "ct", house.inbox() / "first")
    house.work()
    first = house.describe_catalog()
    certificate = read_certificate(house.settings, house.list_series()[0].StudyInstanceUID)
    assert set(certificate.objects) == {uid for uid, *_ in first}
    shutil.copytree(tmp_path / "ct", house.inbox() / "again")
    house.work()
    assert house.describe_catalog() == first
    assert house.count_revisions() == ({1: 1}, {1: 3})
    for path in late:
        path.rename(house.inbox() / path.name)
    house.work()
    assert house.count() == {"stored": 5, "duplicate": 3}
    (series,) = house.list_series()
    assert (series.n_instances, series.n_frames) == (5, 5)
    assert house.count_revisions() == ({2: 1}, {1: 3, 2: 2})
    certificate = read_certificate(house.settings, series.StudyInstanceUID)
    assert set(certificate.objects) == {uid for uid, *_ in house.describe_catalog()}
    assert house.vault.recall_uids(series.PatientID)[VISIT.make_uid("study")] == series.StudyInstanceUID
    with open_engine(house.settings).begin() as connection:
        added = select(audit_events.c.detail).where(audit_events.c.action == "add study").order_by(audit_events.c.id)
        assert [detail["instances"] for detail in connection.execute(added).scalars()] == [3, 2]
    house.check_whole()


def test_what_was_done_to_an_object_is_recorded(house: House) -> None:
    write_ct(house.inbox(), slices=2)
    house.work()
    for item in house.items.find():
        assert (item.profile, item.pseudonym) == ("research@1", house.key.name_patient("north", VISIT.PatientID))
        assert item.actions is not None
        assert item.actions["X"] + item.actions["Z"] + item.actions["D"] > 0
        assert item.verdict is not None
        assert (item.verdict["outcome"], item.verdict["method"]) == ("clean", "rule")
    with open_engine(house.settings).begin() as connection:
        for record in connection.execute(select(instances.c.deidentification)).scalars():
            assert (record["profile"], len(record["sha256"])) == ("research@1", 64)
            assert record["actions"]["U"] >= 4


def test_a_verdict_about_pixels_is_carried_out(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = iter(
        [
            PixelVerdict("mask", "Text.", (MaskRegion(1, 2, 3, 4),), method="ocr"),
            PixelVerdict("person", "Who knows.", (MaskRegion(0, 0, 2, 2),), method="ocr"),
            PixelVerdict("clean", "Nothing."),
        ]
    )
    monkeypatch.setattr(drafting, "judge_pixels", lambda *_: next(verdicts))
    write_ct(house.inbox())
    house.work()
    assert house.count() == {"stored": 2, "quarantined": 1}
    (troubled,) = house.items.list_troubled()
    assert troubled.reason == "Who knows."
    assert troubled.verdict == {"outcome": "person", "method": "ocr", "reason": "Who knows.", "regions": [[0, 0, 2, 2]]}
    (series,) = house.list_series()
    masked, untouched = (decode_frame(house.store.read_frame(each, 0), each) for each in house.list_instances())
    assert len(np.unique(masked[2:6, 1:4])) == 1
    assert len(np.unique(untouched[2:6, 1:4])) > 1
    certificate = read_certificate(house.settings, series.StudyInstanceUID)
    assert {each.pixel_verdict.split()[0] for each in certificate.objects.values()} == {"mask", "clean"}


def test_what_identifies_and_is_left_holds_an_object_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from aurelius_deidentify.header import StudySession
    from aurelius_deidentify.header.deidentified_object import SEAL

    real = StudySession.rewrite

    def leak(session: StudySession, source: bytes) -> Any:
        out = real(session, source)
        return (
            replace(out, seal=SEAL, tail=out.tail + b"Plantagenet ") if out.header["00200013"]["Value"] == [2] else out
        )

    monkeypatch.setattr(StudySession, "rewrite", leak)
    write_ct(house.inbox())
    house.work()
    assert house.count() == {"stored": 2, "quarantined": 1}
    assert "Residue" in next(iter(house.list_reasons().values()))
    assert len(house.list_stored()) == 2


def test_two_workers_make_the_same_catalog_as_one(tmp_path: Path) -> None:
    catalogs = []
    secret = House(tmp_path / "1").vault.file.read_bytes()
    for workers in (1, 2):
        house = House(tmp_path / f"{workers}", workers=workers)
        if workers == 2:
            house.zone.root.joinpath("vault.sqlite").write_bytes(secret)
            shutil.copy2(tmp_path / "1" / "identified" / "key", house.zone.root / "key")
        for number in range(1, 9):
            write_ct(house.inbox("south" if number % 2 else "north") / f"{number}", number=number)
        serve(house.settings, Event(), once=True)
        house.check_whole()
        assert (house.count("north"), house.count("south")) == ({"stored": 12}, {"stored": 12})
        catalogs.append(house.describe_catalog())
    assert catalogs[0] == catalogs[1]


def test_two_objects_of_one_uid_in_two_workers_are_one_and_a_conflict(house: House) -> None:
    house.workers = 2
    (path,) = write_ct(house.inbox("north"), slices=1)
    content = path.read_bytes()
    (house.inbox("south") / "other.dcm").write_bytes(content.replace(b"Phantom", b"Fantome"))
    (house.inbox("west") / "same.dcm").write_bytes(content)
    house.key  # noqa: B018 - makes the vault
    serve(house.settings, Event(), once=True)
    ends = [end for site in ("north", "south", "west") for end in house.count(site).items()]
    assert sorted(state for state, _ in ends).count("stored") == 1
    assert {state for state, _ in ends} <= {"stored", "duplicate", "conflict"}
    assert len(ends) == 3
    house.check_whole()


def test_records_of_an_earlier_version_are_taken_over(house: House) -> None:
    (path,) = write_ct(house.inbox(), slices=1)
    content = path.read_bytes()
    uid = str(dcmread(path).SOPInstanceUID)
    path.unlink()
    house.key  # noqa: B018 - makes the vault
    with closing(sqlite3.connect(house.zone.database)) as old:
        old.execute(
            "CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, site VARCHAR(64), name TEXT, state VARCHAR(16),"
            ' reason TEXT, sha256 VARCHAR(64), "SOPInstanceUID" VARCHAR(64), location TEXT, settled BOOLEAN,'
            " received_at DATETIME, changed_at DATETIME)"
        )
        old.execute(
            "INSERT INTO items VALUES (7, 'north', 'a.dcm', 'stored', NULL, ?, ?, 'processed/north/a.dcm', 1,"
            " '2026-01-01 00:00:00', '2026-01-01 00:00:00')",
            (hashlib.sha256(content).hexdigest(), uid),
        )
        old.commit()
    (house.inbox() / "again.dcm").write_bytes(content)
    house.work()
    assert house.count() == {"stored": 1, "duplicate": 1}
