"""The intake as a process and as a steward's command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import create_vault
from support.builders import write_ct

NOTHING = {"pending": 0, "stored": 0, "duplicate": 0, "conflict": 0, "quarantined": 0, "failed": 0}
COMMAND = [sys.executable, "-m", "aurelius_intake"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    create_vault(IntakeSettings(home=home))
    return home


def call(home: Path, *arguments: str, code: int = 0) -> str:
    """Run one command; returns what it said."""
    run = subprocess.run(
        [*COMMAND, *arguments], env=make_environment(home), capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == code, run.stderr
    return run.stdout + run.stderr


def make_environment(home: Path) -> dict[str, str]:
    return {**os.environ, "AURELIUS_HOME": str(home), "AURELIUS_INTAKE_QUIET_S": "0.2", "COLUMNS": "120"}


@contextmanager
def running_intake(home: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run the service until the block ends."""
    environment = {**make_environment(home), **variables}
    process = subprocess.Popen([*COMMAND, "run"], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until_empty(home: Path, limit_s: float = 60) -> None:
    inbox = IntakeSettings(home=home).identified / "inbox"
    until = time.monotonic() + limit_s
    while any(path.is_file() for path in inbox.rglob("*")):
        assert time.monotonic() < until, "the inbox was not emptied in time"
        time.sleep(0.1)


def test_add_run_status(home: Path, tmp_path: Path) -> None:
    write_ct(tmp_path / "from-pacs" / "deep")
    (tmp_path / "from-pacs" / "letter.txt").write_text("Dear colleague")
    call(home, "add", str(tmp_path / "from-pacs"), "--site", "north")
    before = json.loads(call(home, "status", "--json"))
    assert (before["pending"], before["sites"]["north"]["pending"]) == (4, 4)
    said = call(home, "run", "--once")
    assert "Plantagenet" not in said
    after = json.loads(call(home, "status", "--json"))
    assert after["pending"] == 0
    assert after["sites"] == {"north": {**NOTHING, "stored": 3, "quarantined": 1}}
    assert (after["disk"]["taking"], after["profile"], after["running"]) == (True, "research@1", False)
    assert after["rate_per_minute"] > 0
    (troubled,) = after["troubled"]
    assert (troubled["state"], troubled["name"]) == ("quarantined", "from-pacs/letter.txt")
    original = IntakeSettings(home=home).identified / troubled["location"]
    assert original.read_text() == "Dear colleague"
    table = call(home, "status")
    assert "This is not a DICOM Part 10 file" in " ".join(table.replace("│", " ").split())
    assert "from-pacs/letter.txt" in table


def test_status_of_an_empty_house_says_what_to_do(home: Path) -> None:
    assert "aurelius intake add" in call(home, "status")


def test_a_file_outside_of_any_site_is_pointed_out(home: Path) -> None:
    inbox = home / "identified" / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    (inbox / "lost.dcm").write_text("x")
    (inbox / "north").mkdir()
    (inbox / "north" / "link.dcm").symlink_to(inbox / "lost.dcm")
    said = " ".join(call(home, "status").split())
    assert "lost.dcm lies in the inbox outside" in said
    assert "north/link.dcm lies in the inbox outside of a site's folder, or is a link" in said


@pytest.mark.parametrize(("site", "message"), [("../north", "is no site"), ("North", "is no site")])
def test_a_site_must_have_a_name_that_is_one(site: str, message: str, home: Path, tmp_path: Path) -> None:
    assert message in call(home, "add", str(tmp_path), "--site", site, code=1)
    assert "does not exist" in call(home, "add", str(tmp_path / "nothing"), "--site", "north", code=1)


def test_the_service_takes_what_is_dropped_and_stops_cleanly(home: Path, tmp_path: Path) -> None:
    with running_intake(home) as process:
        call(home, "add", str(write_ct(tmp_path / "one", number=1)[0].parent), "--site", "north")
        wait_until_empty(home)
        assert "running" in call(home, "run", "--once", code=1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert process.stderr is not None
        assert "the intake has stopped" in process.stderr.read()
    assert json.loads(call(home, "status", "--json"))["sites"]["north"]["stored"] == 3


@pytest.mark.soak
def test_kill_9_and_start_again(home: Path, tmp_path: Path) -> None:
    write_ct(tmp_path / "in" / "a", number=1, slices=30)
    write_ct(tmp_path / "in" / "b", number=2, slices=30)
    call(home, "add", str(tmp_path / "in"), "--site", "north")
    with running_intake(home) as process:
        until = time.monotonic() + 60
        while json.loads(call(home, "status", "--json"))["pending"] == 60 and time.monotonic() < until:
            time.sleep(0.05)
        process.kill()
    call(home, "run", "--once")
    assert json.loads(call(home, "status", "--json"))["sites"]["north"] == {**NOTHING, "stored": 60}


def test_workers_end_with_the_process_that_started_them(home: Path, tmp_path: Path) -> None:
    with running_intake(home, AURELIUS_INTAKE_WORKERS="2") as process:
        for number in range(1, 7):
            write_ct(tmp_path / "in" / f"{number}", number=number)
        call(home, "add", str(tmp_path / "in"), "--site", "north")
        wait_until_empty(home)
        workers = list_children(process.pid)
        assert len(workers) >= 2
        process.kill()
        process.wait()
        until = time.monotonic() + 20
        while any(Path(f"/proc/{worker}/status").exists() for worker in workers):
            assert time.monotonic() < until, "a worker outlived its parent"
            time.sleep(0.05)
    call(home, "run", "--once")
    assert json.loads(call(home, "status", "--json"))["sites"]["north"] == {**NOTHING, "stored": 18}


def list_children(parent: int) -> list[int]:
    """Return the worker processes of a process."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
