"""The way in: every object gets one disposition, series appear whole, and a crash at any moment loses nothing."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import UID

from aurelius_catalog.errors import InvalidRequest, KeyUnusable
from aurelius_catalog.intake.desk import Desk
from aurelius_catalog.intake.lock import hold_lock
from aurelius_catalog.intake.runner import serve
from builders import VISIT, make_identified, make_phantom, plant, write_ct, write_object, write_phantom, write_truth
from intake_house import House


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
    desk = Desk(house.settings, house.vault)
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
    from aurelius_catalog.intake import drafting

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
