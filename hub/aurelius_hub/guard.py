"""A small process that ends everything a run has started, whatever became of the process that started it.

``aurelius demo`` holds the other end of the guard's standard input. When that closes (the demo stopped, was
interrupted, or was killed), the guard asks the processes it was told of to stop, and then ends whatever still
carries the run's identifier in its environment. It imports little and touches nothing else.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable

import psutil

STOP_S = 20.0
TERMINATE_S = 5.0
POLL_S = 0.1


def find_processes(run: str) -> set[psutil.Process]:
    """Return the living processes that carry ``AURELIUS_RUN=<run>``, and what they have started.

    Some programs give their children a clean environment; those are found by their parents. The caller's own
    process is left out.
    """
    parents: dict[psutil.Process, int] = {}
    marked: set[int] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and is_alive(process):
                parents[process] = process.ppid()
                if process.environ().get("AURELIUS_RUN") == run:
                    marked.add(process.pid)
    found: set[psutil.Process] = set()
    while more := {p for p, parent in parents.items() if p.pid in marked or parent in marked} - found:
        found |= more
        marked |= {process.pid for process in more}
    return found


def is_alive(process: psutil.Process) -> bool:
    """Whether the process still runs; one that only waits to be reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll ``condition`` for at most ``seconds``; return whether it came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def stop_gently(pids: Iterable[int]) -> None:
    """Send SIGTERM to ``pids``, in order, and wait for each."""
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            process.terminate()
            wait_until(lambda process=process: not is_alive(process), STOP_S)  # type: ignore[misc]


def end_all(run: str, known: set[psutil.Process]) -> None:
    """End every process of the run, and the ``known`` ones whose parents are gone by now.

    SIGTERM first, then SIGKILL for what does not listen, until none is left.
    """

    def find_left() -> set[psutil.Process]:
        return find_processes(run) | {process for process in known if is_alive(process)}

    for process in find_left():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    if wait_until(lambda: not find_left(), TERMINATE_S):
        return
    while left := find_left():
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(POLL_S)


def main() -> None:
    """Wait for the end of standard input, noting the pids to ask first; then end the run."""
    run = sys.argv[1]
    pids = [int(line) for line in sys.stdin if line.strip()]
    known = find_processes(run)
    stop_gently(reversed(pids))
    end_all(run, known)


if __name__ == "__main__":
    main()
