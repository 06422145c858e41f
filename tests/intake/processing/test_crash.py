"""Whatever moment the intake dies at: nothing is lost, nothing is there twice, nothing is half-visible."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aurelius_catalog.local.admission import LocalAdmission
from aurelius_intake import IntakeItems, Zone
from aurelius_intake.vault import Vault
from support.builders import write_ct
from support.intake_house import House

pytestmark = pytest.mark.soak
KILLS = 50
STUDIES, SLICES = 12, 3
LONGEST_LIFE_S = 0.1


class Killed(BaseException):
    """Stands for the process being killed: nothing in the intake may catch it."""


#: Moments before and after each call that writes: a text file and two slices pass 14 such calls.
STEPS = (
    (IntakeItems, "receive"),
    (IntakeItems, "mark_deidentified"),
    (IntakeItems, "update"),
    (IntakeItems, "settle"),
    (Zone, "move"),
    (Vault, "remember"),
    (LocalAdmission, "add_study"),
    (LocalAdmission, "place_study"),
)
MOMENTS = 28


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "home")


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_a_crash_at_any_step_loses_nothing_and_does_nothing_twice(
    moment: int, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ct(house.inbox() / "study", slices=2)
    (house.inbox() / "notes.txt").write_text("not an image")
    passed = 0

    def interrupt(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **keywords: Any) -> Any:
            nonlocal passed
            passed += 1
            if passed >= moment + 1:
                raise Killed
            result = real(*args, **keywords)
            passed += 1
            if passed >= moment + 1:
                raise Killed
            return result

        return step

    with monkeypatch.context() as dying:
        for owner, name in STEPS:
            dying.setattr(owner, name, interrupt(getattr(owner, name)))
        with pytest.raises(Killed):
            house.work()
    assert all(series.n_instances == 2 for series in house.list_series()), "half a series was visible"
    house.work()
    house.work()
    assert house.count() == {"stored": 2, "quarantined": 1}
    (series,) = house.list_series()
    assert (series.n_instances, len(house.list_stored())) == (2, 2)
    assert len(house.list_originals("processed")) == 2
    assert house.list_originals("quarantine") == ["north/notes.txt", "north/notes.txt.reason.txt"]
    assert list(house.inbox().iterdir()) == []
    house.check_whole()


def test_kill_9_at_fifty_moments_and_recover(house: House, tmp_path: Path) -> None:
    sent = send_studies(house, 1)
    chance = random.Random(20261121)
    with running_nursery(house, tmp_path / "log") as nursery:
        for _ in range(KILLS):
            nursery.live(chance.random() * LONGEST_LIFE_S)
            assert {series.n_instances for series in house.list_series()} <= {SLICES}, "half a series was visible"
            if sum(1 for _ in house.zone.list_waiting("north")) < SLICES * STUDIES / 2:
                sent += send_studies(house, sent // SLICES + 1)
    call_intake(house, "run", "--once")
    house.check_whole()
    assert house.count() == {"stored": sent}
    assert len(house.list_instances()) == len(house.list_stored()) == sent


def send_studies(house: House, first: int) -> int:
    """Drop studies into the inbox; returns how many files."""
    house.key  # noqa: B018 - makes the vault
    for number in range(first, first + STUDIES):
        write_ct(house.zone.root / "sending" / f"{number}", number=number, slices=SLICES)
        (house.zone.root / "sending" / f"{number}").rename(house.inbox() / f"{number}")
    return STUDIES * SLICES


def make_environment(house: House) -> dict[str, str]:
    quick = {"AURELIUS_INTAKE_QUIET_S": "0", "AURELIUS_INTAKE_RESERVE_MB": "0"}
    return {**os.environ, **quick, "AURELIUS_HOME": str(house.home)}


def call_intake(house: House, *arguments: str) -> None:
    command = [sys.executable, "-m", "aurelius_intake", *arguments]
    subprocess.run(command, env=make_environment(house), check=True, capture_output=True, timeout=120)


#: Starts one intake after the other as a process of its own, without importing the imaging stack each time anew.
NURSERY = """
import os, sys
import aurelius_intake.service.runner
from aurelius_intake.__main__ import app

for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(os.open(line.strip(), os.O_WRONLY | os.O_CREAT), 2)
        app(["run"])
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Nursery:
    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self.log = process, log

    def live(self, life_s: float) -> None:
        """Start an intake, let it work so long, and kill it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.log.unlink(missing_ok=True)
        self.process.stdin.write(f"{self.log}\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        until = time.monotonic() + 60
        while not (self.log.exists() and "the intake is ready" in self.log.read_text()):
            assert time.monotonic() < until, "the intake has not started"
            time.sleep(0.002)
        time.sleep(life_s)
        os.kill(child, signal.SIGKILL)
        assert int(self.process.stdout.readline()) == signal.SIGKILL, self.log.read_text()


@contextmanager
def running_nursery(house: House, log: Path) -> Iterator[Nursery]:
    command = [sys.executable, "-c", NURSERY]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=make_environment(house), stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Nursery(process, log)
        finally:
            assert process.stdin is not None
            process.stdin.close()  # it ends when it is told nothing more
            process.wait(timeout=60)
