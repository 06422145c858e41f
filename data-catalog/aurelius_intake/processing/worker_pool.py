"""Several processes that take batches side by side; they end when the one that started them does, however it ends."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for_sentinel
from threading import Event, Thread
from typing import Any

from aurelius_intake.metrics import STUDY_SECONDS
from aurelius_intake.processing.pipeline import Pipeline
from aurelius_intake.receiving.inbox import StudyBatch
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import open_vault
from aurelius_intake.zone.lock import mark_worker

log = logging.getLogger("aurelius.intake")
#: A worker is handed so many batches at a time, so that it de-identifies one while another waits for the disk.
PACK = 8
WAIT_S = 0.5
#: How many files got a disposition, and how long each batch took in s.
Taken = tuple[int, list[float]]
_worker: _Worker | None = None


class StudyWorkers:
    """A pipeline whose batches are taken by other processes.

    Parameters
    ----------
    settings
        Where the house keeps its state; ``intake_workers`` of them.
    pipeline
        This process' own: it watches the inboxes, the others take.
    """

    def __init__(self, settings: IntakeSettings, pipeline: Pipeline) -> None:
        self.settings, self.pipeline = settings, pipeline
        self._context = multiprocessing.get_context("spawn")
        self._stopping = self._context.Event()
        self._pool = self._hire()
        self._busy: dict[Future[Taken], tuple[StudyBatch, ...]] = {}

    def work(self, stop: Event) -> int:
        """Hand out every batch that came to rest; returns how many files got a disposition meanwhile."""
        busy = {batch.key for batches in self._busy.values() for batch in batches}
        for site in self.pipeline.zone.list_sites():
            resting = [batch for batch in self.pipeline.inbox.collect(site) if batch.key not in busy]
            busy |= {batch.key for batch in resting}
            size = max(1, min(PACK, len(resting) // (2 * self.settings.intake_workers)))
            for start in range(0, len(resting), size):
                self._hand_out(tuple(resting[start : start + size]))
        done = 0
        while self._busy and not stop.is_set():
            ended, _ = wait(self._busy, timeout=WAIT_S, return_when=FIRST_COMPLETED)
            done += sum(self._take_back(future) for future in ended)
            if ended and len(self._busy) < self.settings.intake_workers:
                break  # somebody has nothing to do: look what came meanwhile
        return done

    def close(self) -> None:
        """Let the workers finish the batch they are at, and end them."""
        self._stopping.set()
        self._pool.shutdown(cancel_futures=True)

    def _hire(self) -> ProcessPoolExecutor:
        arguments = (self.settings, self._stopping, logging.getLogger().level)
        return ProcessPoolExecutor(self.settings.intake_workers, self._context, _start_worker, arguments)

    def _hand_out(self, batches: tuple[StudyBatch, ...]) -> None:
        try:
            self._busy[self._pool.submit(_take, batches)] = batches
        except BrokenProcessPool:
            self._rehire()

    def _take_back(self, future: Future[Taken]) -> int:
        self._busy.pop(future, None)
        try:
            taken, durations_s = future.result()
            for duration_s in durations_s:
                STUDY_SECONDS.observe(duration_s)
            return taken
        except BrokenProcessPool:
            self._rehire()
        except Exception as error:
            log.error("a worker stumbled: unexpected %s", type(error).__name__)
        return 0

    def _rehire(self) -> None:
        """Start anew with other workers; what the dead ones had is still in the inbox."""
        if self._busy:
            log.error("a worker died; its files are taken again")
        self._busy.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._hire()


class _Worker:
    def __init__(self, settings: IntakeSettings, stopping: Any) -> None:
        self.durations_s: list[float] = []
        self.pipeline = Pipeline(settings, open_vault(settings), self.durations_s.append)
        self.stopping = stopping
        self.alive = mark_worker(self.pipeline.zone)


def _start_worker(settings: IntakeSettings, stopping: Any, level: int) -> None:
    global _worker
    for number in (signal.SIGTERM, signal.SIGINT):  # sent to the whole group; the parent says when to stop
        signal.signal(number, signal.SIG_IGN)
    Thread(target=_die_with_parent, daemon=True).start()
    configure_logging(level)
    _worker = _Worker(settings, stopping)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_sentinel([parent.sentinel])
        os._exit(1)  # at once: whatever was at work is taken up by the next intake


def _take(batches: Sequence[StudyBatch]) -> Taken:
    if _worker is None:
        raise RuntimeError("a worker was given files before it was ready")
    _worker.durations_s.clear()
    return _worker.pipeline.take(batches, _worker.stopping), list(_worker.durations_s)


def configure_logging(level: int) -> None:
    """Log to stderr, and keep libraries quiet whose messages quote values."""
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    for noisy in ("alembic", "pydicom", "highdicom"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
