"""Durable files: the old content or the new one whatever happens, the permissions asked for, and nothing left over."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from threading import Barrier, Thread

import pytest

from aurelius_catalog.durable_files import SHARED, create_durably, replace_durably, write_durably
from aurelius_hub.secretfile import write_private

KILLED = """
import os, signal, sys
from pathlib import Path
if sys.argv[1] == "hub":
    from aurelius_hub.secretfile import write_private as write
    content = "new content"
else:
    from aurelius_catalog.durable_files import write_durably as write
    content = b"new content"
calls = []
def kill_at(name):
    real = getattr(os, name)
    def call(*arguments):
        calls.append(name)
        if len(calls) > int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    setattr(os, name, call)
for name in ("open", "fsync", "replace", "close"):
    kill_at(name)
write(Path(sys.argv[3]), content)
print("whole")
"""


@pytest.mark.parametrize("which", ["catalog", "hub"])
def test_a_kill_at_any_step_leaves_the_old_content_or_the_new(tmp_path: Path, which: str) -> None:
    seen = []
    for step in range(20):
        place = tmp_path / str(step) / "file.json"
        place.parent.mkdir()
        place.write_text("old content")
        command = [sys.executable, "-c", KILLED, which, str(step), str(place)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        seen.append(place.read_text())
        assert [path.name for path in place.parent.glob("*.json")] == ["file.json"]
        if ended.stdout == "whole\n":
            break
        assert ended.returncode == -signal.SIGKILL
    assert set(seen) == {"old content", "new content"}
    assert seen == sorted(seen, reverse=True), "once the new content was there, it stayed"
    assert ended.stdout == "whole\n"


def test_permissions_are_those_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_durably(tmp_path / "private", b"1")
        write_durably(tmp_path / "shared", b"1", mode=SHARED)
        write_durably(tmp_path / "group", lambda file: file.write(b"1"), mode=0o640)
        with replace_durably(tmp_path / "other.nii.gz", mode=0o640) as draft:
            draft.write_bytes(b"1")
        write_private(tmp_path / "hub", "1")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"private": 0o600, "shared": 0o644, "group": 0o640, "other.nii.gz": 0o640, "hub": 0o600}
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"1"}


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("old")

    def fail(_: object) -> None:
        raise ValueError("in the middle")

    def replace_and_fail() -> None:
        with replace_durably(place) as draft:
            draft.write_text("half")
            fail(None)

    with pytest.raises(ValueError, match="in the middle"):
        write_durably(place, fail)
    with pytest.raises(ValueError, match="in the middle"):
        replace_and_fail()
    with pytest.raises(FileExistsError):
        create_durably(place, b"another")
    with pytest.raises(UnicodeEncodeError):
        write_private(place, "\udcff")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]


def test_a_name_as_long_as_can_be_is_written_and_the_suffix_is_kept(tmp_path: Path) -> None:
    place = tmp_path / ("n" * 248 + ".nii.gz")
    write_durably(place, b"short")
    with replace_durably(place) as draft:
        assert draft.name.endswith(".nii.gz")
        draft.write_bytes(b"long")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(place.name, b"long")]


def test_of_many_that_create_a_file_one_succeeds(tmp_path: Path) -> None:
    place, barrier, refused = tmp_path / "key", Barrier(8), []

    def create(number: int) -> None:
        barrier.wait()
        try:
            create_durably(place, f"{number}".encode() * 1000)
        except FileExistsError:
            refused.append(number)

    threads = [Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = set(range(8)) - set(refused)
    assert place.read_text() == f"{winner}" * 1000
    assert list(tmp_path.iterdir()) == [place]
