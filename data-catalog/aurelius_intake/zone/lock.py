"""One intake at a time on a state folder: locks that the system frees when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from aurelius_catalog.errors import InvalidRequest
from aurelius_intake.zone.folders import Zone


@contextmanager
def hold_lock(zone: Zone) -> Iterator[None]:
    """Keep a second intake out of the same identified zone, and wait until the workers of an earlier one are gone.

    Raises
    ------
    InvalidRequest
        If an intake runs.
    """
    with zone.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidRequest("An intake is running on this state folder already; it takes the files.") from None
        with zone.workers_lock.open("w") as workers:
            fcntl.flock(workers, fcntl.LOCK_EX)
        yield


def is_running(zone: Zone) -> bool:
    """Whether an intake works on this zone."""
    if not zone.lock.exists():
        return False
    with zone.lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def mark_worker(zone: Zone) -> IO[str]:
    """Say that a worker is alive, until the file that is returned is closed or the process ends."""
    file = zone.workers_lock.open("w")
    fcntl.flock(file, fcntl.LOCK_SH)
    return file
