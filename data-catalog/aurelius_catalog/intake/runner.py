"""The intake as a process: one at a time, until told to stop."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from aurelius_catalog.deidentify import PseudonymKey, create_key, read_key
from aurelius_catalog.errors import InvalidRequest, KeyUnusable
from aurelius_catalog.intake.desk import Desk
from aurelius_catalog.intake.items import Items
from aurelius_catalog.intake.zone import Zone
from aurelius_catalog.settings import CatalogSettings

log = logging.getLogger("aurelius.intake")
POLL_S = 1.0


def serve(settings: CatalogSettings, stop: Event, *, once: bool = False) -> None:
    """Take studies until ``stop`` is set, or with ``once`` until the inboxes are empty or nothing moves any more.

    Raises
    ------
    InvalidRequest
        If another intake works on the same state folder.
    KeyUnusable
        If there is no usable pseudonym key although objects were taken with one.
    """
    zone = Zone(settings)
    with hold_lock(zone):
        desk = Desk(settings, open_key(zone, Items(zone.database)))
        desk.recover()
        log.info("the intake is ready, %g s of quiet before a file is taken", settings.intake_quiet_s)
        patience_s = 2 * settings.intake_quiet_s + 10
        moved = time.monotonic()
        while not stop.is_set():
            if desk.work(stop):
                moved = time.monotonic()
            waiting = any(next(zone.list_waiting(site), None) for site in zone.list_sites())
            if once and (not waiting or time.monotonic() - moved > patience_s):
                break
            stop.wait(min(POLL_S, max(settings.intake_quiet_s / 4, 0.05)))
    log.info("the intake has stopped")


def open_key(zone: Zone, items: Items) -> PseudonymKey:
    """Read the pseudonym key; make one if nothing was ever taken.

    Raises
    ------
    KeyUnusable
        If it is missing although objects were taken with it: a new one would split every patient in two.
    """
    if zone.key.exists():
        return read_key(zone.key)
    if items.count():
        raise KeyUnusable("The pseudonym key is gone. Restore identified/key from your safe copy, then start again.")
    log.warning("made a new pseudonym key; keep a safe copy of identified/key")
    return create_key(zone.key)


@contextmanager
def hold_lock(zone: Zone) -> Iterator[None]:
    """Keep a second intake out of the same identified zone; the system frees the lock when the process dies."""
    with zone.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidRequest("An intake is running on this state folder already; it takes the files.") from None
        yield
