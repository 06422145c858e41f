"""Archives and DICOMDIRs: what they hold or list comes in by itself, and no archive reaches out of its folder."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from pydicom.fileset import FileSet

from aurelius_intake.zone.folders import Zone
from support.builders import write_ct
from support.intake_house import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "home")


def make_zip(target: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target


def test_every_member_of_an_archive_gets_its_own_disposition(house: House, tmp_path: Path) -> None:
    paths = write_ct(tmp_path / "ct")
    files = {f"disk 1/{path.name}": path.read_bytes() for path in paths}
    make_zip(house.inbox() / "study.zip", {**files, "disk 1/.hidden.txt": b"notes", "empty/": b""})
    house.work()
    house.work()
    assert house.count() == {"unpacked": 1, "stored": 3, "quarantined": 1}
    assert "north/study.zip" in house.list_originals("processed")
    assert list(house.list_reasons()) == ["study-unpacked/disk 1/_hidden.txt"]
    assert list(house.inbox().iterdir()) == []
    house.check_whole()
    shutil.copyfile(house.zone.root / "processed" / "north" / "study.zip", house.inbox() / "study.zip")
    house.work()
    house.work()
    assert house.count() == {"unpacked": 2, "stored": 3, "duplicate": 3, "quarantined": 2}


def test_an_archive_in_an_archive_is_unpacked_too_but_not_without_end(house: House, tmp_path: Path) -> None:
    content = {"notes.txt": b"notes"}
    for depth in range(5):
        content = {f"{depth}.zip": make_zip(tmp_path / "inner.zip", content).read_bytes()}
    (house.inbox() / "outer.zip").write_bytes(content["4.zip"])
    for _ in range(6):
        house.work()
    assert house.count() == {"unpacked": 3, "quarantined": 1}
    assert "too deep" in next(iter(house.list_reasons().values()))


@pytest.mark.parametrize("name", ["../../escaped.dcm", "/tmp/escaped.dcm", "a/../../escaped.dcm", "C:\\escaped.dcm"])
def test_an_archive_that_reaches_out_is_quarantined(name: str, house: House) -> None:
    make_zip(house.inbox() / "evil.zip", {"fine.txt": b"fine", name: b"evil"})
    house.work()
    assert house.count() == {"quarantined": 1}
    assert "outside of itself" in house.list_reasons()["evil.zip"]
    assert not list(house.home.rglob("escaped*"))
    assert not list(house.home.rglob("fine.txt"))


def test_links_locks_bombs_and_damage_are_quarantined(house: House) -> None:
    inbox = house.inbox()
    with zipfile.ZipFile(inbox / "link.zip", "w") as archive:
        link = zipfile.ZipInfo("passwd")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    make_zip(inbox / "bomb.zip", {"zeros": bytes(100 * 2**20)})
    damaged = bytearray(make_zip(inbox / "damaged.zip", {"a.txt": b"some words" * 50}).read_bytes())
    damaged[45] ^= 0xFF
    (inbox / "damaged.zip").write_bytes(damaged)
    locked = bytearray(make_zip(inbox / "locked.zip", {"a.txt": b"words"}).read_bytes())
    locked[6] |= 1
    locked[locked.index(b"PK\1\2") + 8] |= 1
    (inbox / "locked.zip").write_bytes(locked)
    house.work()
    reasons = house.list_reasons()
    assert "links" in reasons["link.zip"]
    assert "beyond all measure" in reasons["bomb.zip"]
    assert "damaged" in reasons["damaged.zip"]
    assert "password" in reasons["locked.zip"]
    assert house.count() == {"quarantined": 4}
    assert list(house.inbox().iterdir()) == []


@pytest.mark.parametrize("step", ["move", "tidy"])
def test_an_archive_is_unpacked_once_even_if_the_intake_dies_meanwhile(
    step: str, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_ct(tmp_path / "ct")
    make_zip(house.inbox() / "study.zip", {path.name: path.read_bytes() for path in paths})

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr(Zone, step, die)
        with pytest.raises(SystemExit):
            house.work()
    house.work()
    house.work()
    assert house.count() == {"unpacked": 1, "stored": 3}
    house.check_whole()


def test_a_dicomdir_is_listed_and_what_it_lists_is_taken(house: House, tmp_path: Path) -> None:
    files = FileSet()
    for path in write_ct(tmp_path / "ct"):
        files.add(path)
    files.write(house.inbox() / "media")
    house.work()
    assert house.count() == {"listed": 1, "stored": 3}
    (listed,) = house.items.find(states=["listed"])
    assert (listed.name, listed.location) == ("media/DICOMDIR", "processed/north/media/DICOMDIR")
    assert "lists 3 files" in (listed.reason or "")
