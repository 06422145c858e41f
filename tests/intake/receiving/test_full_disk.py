"""A disk that is full: nothing is taken, that is said, and when there is room again it goes on by itself."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from aurelius_catalog.index import admission
from aurelius_intake import IntakeItems
from aurelius_intake.processing import drafting
from aurelius_intake.processing.pipeline import Pipeline
from aurelius_intake.service.status import describe_status
from aurelius_intake.vault import Vault
from support.builders import write_ct
from support.intake_house import House

SMALL_MB = 24


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr("aurelius_intake.processing.pipeline.PATIENCE_S", 0)
    return House(tmp_path / "home")


@pytest.mark.parametrize(
    ("owner", "name", "visible"),
    [
        (drafting, "write_pieces", 0),
        (IntakeItems, "receive", 0),
        (IntakeItems, "mark_deidentified", 0),
        (IntakeItems, "update", 1),  # the catalog has the series by then; that it is stored is recorded the next time
        (Vault, "remember", 0),
        (admission, "sync_file_system", 0),
        (os, "replace", 0),
    ],
)
def test_a_write_that_finds_no_room_leaves_everything_in_the_inbox(
    owner: object, name: str, visible: int, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ct(house.inbox())
    desk = Pipeline(house.settings, house.vault)

    def fill_up(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(owner, name, fill_up)
        assert desk.work(Event()) == 0
    assert [series.n_instances for series in house.list_series()] == [3] * visible
    assert len(list(house.zone.list_waiting("north"))) == 3
    assert desk.work(Event()) == 3
    assert house.count() == {"stored": 3}
    house.check_whole()


def test_below_the_reserve_nothing_is_taken_and_it_is_said_once(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ct(house.inbox())
    desk = Pipeline(house.settings, house.vault)
    with caplog.at_level(logging.INFO), monkeypatch.context() as full:
        full.setattr("aurelius_catalog.hosting.free_space.measure_free", lambda settings: -1)
        assert desk.work(Event()) == desk.work(Event()) == 0
        assert describe_status(house.settings).to_json()["disk"]["taking"] is False
    assert caplog.text.count("the disk is too full") == 1
    with caplog.at_level(logging.INFO):
        assert desk.work(Event()) == 3
    assert caplog.text.count("there is room again") == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of a few MiB; skipped where that is not allowed."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MB}m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aurelius_intake.processing.pipeline.PATIENCE_S", 0)
    house = House(small_disk / "home")
    desk = Pipeline(house.settings, house.vault)
    write_ct(house.inbox(), slices=30)
    filler = small_disk / "filler"
    fill(filler)
    assert desk.work(Event()) == 0
    assert house.list_series() == []
    assert len(list(house.zone.list_waiting("north"))) == 30
    for spared_kb in (40, 80, 160, 320, 640):  # it may get so far before it finds no room, and no farther
        os.truncate(filler, filler.stat().st_size - spared_kb * 1024)
        desk.work(Event())
        assert {series.n_instances for series in house.list_series()} <= {30}, "half a series was visible"
    filler.unlink()
    desk.work(Event())
    assert house.count() == {"stored": 30}
    house.check_whole()


def fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    assert os.statvfs(path).f_bavail == 0


def make_unreadable(real: Callable[..., Any], name: str) -> Callable[..., Any]:
    def open_file(path: Path, *arguments: Any, **keywords: Any) -> Any:
        if path.name == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *arguments, **keywords)

    return open_file


def test_a_file_that_may_not_be_read_fails_after_a_while(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ct(house.inbox())
    (house.inbox() / "locked.dcm").write_bytes(b"locked")
    monkeypatch.setattr(Path, "open", make_unreadable(Path.open, "locked.dcm"))
    monkeypatch.setattr("aurelius_intake.processing.sources.hash_file", make_unreadable(lambda *_: None, "locked.dcm"))
    house.work()
    assert house.count() == {"stored": 3}, "somebody may be about to allow it"
    monkeypatch.setattr("aurelius_intake.processing.sources.UNREADABLE_S", 0)
    house.work()
    assert house.count() == {"stored": 3, "failed": 1}
    assert "may not be read" in house.list_reasons()["locked.dcm"]
    house.check_whole()
