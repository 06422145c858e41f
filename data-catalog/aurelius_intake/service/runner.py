"""The intake as a process: one at a time, until told to stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event

from aurelius_catalog.errors import KeyUnusable
from aurelius_intake.processing.pipeline import Pipeline
from aurelius_intake.processing.worker_pool import StudyWorkers
from aurelius_intake.service.listeners import has_service, start_listener, start_service
from aurelius_intake.service.maintenance import Maintenance
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import Vault, open_vault
from aurelius_intake.zone.folders import Zone
from aurelius_intake.zone.lock import hold_lock

log = logging.getLogger("aurelius.intake")
POLL_S = 1.0
KEY_POLL_S = 3.0


def serve(settings: IntakeSettings, stop: Event, *, once: bool = False) -> None:
    """Take studies until ``stop`` is set, or with ``once`` until the inboxes are empty or nothing moves any more.

    Raises
    ------
    InvalidRequest
        If another intake works on the same state folder.
    KeyUnusable
        If the vault does not open: without it nothing may be taken. Under a hub the intake waits for it instead.
    """
    zone = Zone(settings)
    with start_service(settings, zone):
        vault = wait_for_vault(settings, stop)
        if vault is not None:
            _serve(settings, zone, vault, stop, once)
    log.info("the intake has stopped")


def wait_for_vault(settings: IntakeSettings, stop: Event) -> Vault | None:
    """Open the vault; None if told to stop before there was one that opens.

    A hub starts a service that ended again at once, and again: under a hub the process stays, takes nothing, and its
    page says why, until the key is there.

    Raises
    ------
    KeyUnusable
        Without a hub, if the vault does not open.
    """
    message = ""
    while True:
        try:
            return open_vault(settings)
        except KeyUnusable as error:
            if not has_service():
                raise
            if str(error) != message:
                message = str(error)
                log.error("nothing is taken: %s", message)
        if stop.wait(KEY_POLL_S):
            return None


def _serve(settings: IntakeSettings, zone: Zone, vault: Vault, stop: Event, once: bool) -> None:
    with hold_lock(zone):
        maintenance = Maintenance(settings, vault)
        pipeline = Pipeline(settings, vault)
        pipeline.recover()
        maintenance.tend(at_once=True)
        with start_listener(settings, zone), open_workers(settings, pipeline) as workers:
            log.info("the intake is ready, %g s of quiet before a file is taken", settings.intake_quiet_s)
            _work(workers, zone, settings, maintenance, stop, once)


@contextmanager
def open_workers(settings: IntakeSettings, pipeline: Pipeline) -> Iterator[Pipeline | StudyWorkers]:
    """Give the pipeline, or several processes with one each, while the block runs."""
    if settings.intake_workers == 1:
        yield pipeline
        return
    with closing(StudyWorkers(settings, pipeline)) as workers:
        yield workers


def _work(
    workers: Pipeline | StudyWorkers,
    zone: Zone,
    settings: IntakeSettings,
    maintenance: Maintenance,
    stop: Event,
    once: bool,
) -> None:
    patience_s = 2 * settings.intake_quiet_s + 10
    moved = time.monotonic()
    while not stop.is_set():
        taken = workers.work(stop)
        maintenance.tend(at_once=taken > 0)
        if taken:
            moved = time.monotonic()
        waiting = any(next(zone.list_waiting(site), None) for site in zone.list_sites())
        if once and (not waiting or time.monotonic() - moved > patience_s):
            break
        if not (once and taken):
            stop.wait(min(POLL_S, max(settings.intake_quiet_s / 4, 0.05)))
