from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from aurelius_hub.guard import find_processes, is_alive
from support.servers_hub import poll

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
#: Starts a child with an empty environment in a session of its own, says who it is, and ends when told to.
FORGETFUL = (
    "import subprocess, sys, time;"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], env={}, start_new_session=True);"
    "print(child.pid, flush=True); time.sleep(600)"
)


@contextmanager
def guarded(run: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a guard whose other end is closed on leaving, and wait until it is done."""
    guard = subprocess.Popen([sys.executable, "-m", "aurelius_hub.guard", run], stdin=subprocess.PIPE)
    try:
        yield guard
    finally:
        guard.communicate(timeout=60)


@pytest.mark.parametrize("code", [DEAF, FORGETFUL], ids=["deaf", "forgetful"])
def test_whatever_a_process_does_it_is_ended(code: str) -> None:
    run = os.urandom(8).hex()
    environment = os.environ | {"AURELIUS_RUN": run}
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout
        process.stdout.readline()
        assert poll(lambda: len(find_processes(run)) == (2 if code == FORGETFUL else 1))
        started = find_processes(run)
        with guarded(run):
            pass
        assert not [one for one in started if is_alive(one)]
        assert is_alive(psutil.Process(bystander.pid)), "only what belongs to the run"
    finally:
        process.kill()
        process.wait()
        bystander.kill()
        bystander.wait()


def test_another_run_is_left_alone() -> None:
    run = os.urandom(8).hex()
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], env=os.environ | {"AURELIUS_RUN": run}
    )
    try:
        with guarded(os.urandom(8).hex()):
            pass
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
