"""The worker of the report service: it takes the oldest waiting run, executes it, judges and stores the result."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from aurelius_catalog.errors import AureliusError
from aurelius_extensions.reports.execution.execute import SOURCE_FILE, ExecutionOutcome, Order
from aurelius_extensions.reports.execution.runner import Interrupted, Runner
from aurelius_extensions.reports.library import Library, ReportNotebook
from aurelius_extensions.reports.records import ReportRun, ResultTable, RunRequest, RunState, Verdict, VerdictKind
from aurelius_extensions.reports.redaction import list_secrets
from aurelius_extensions.reports.results.comparison import compare_results, note_differences
from aurelius_extensions.reports.results.declaration import RESULTS_FILE
from aurelius_extensions.reports.runs.queue import Queue
from aurelius_extensions.reports.runs.store import RunStore
from aurelius_extensions.reports.settings import ReportSettings

log = logging.getLogger("aurelius.reports")
#: Reports that run at the same time.
SLOTS = 2
#: Seconds after which a report is given up.
TIMEOUT_S = 3600.0
INTERRUPTED = "Interrupted: the report service stopped while it ran. Ask for it again."
IDLE_S = 0.5


class Worker:
    """Works through the queue in threads of its own.

    Two services may never work on one state folder: the second one waits until the first has ended.

    Parameters
    ----------
    settings
        Where reports, runs and the catalog are.
    slots
        Runs at the same time.
    timeout_s
        Seconds a run may take.
    """

    def __init__(self, settings: ReportSettings, *, slots: int = SLOTS, timeout_s: float = TIMEOUT_S) -> None:
        self.settings = settings
        self.queue = Queue(settings.runs / ".queue")
        self.store = RunStore(settings.runs)
        self.library = Library(settings.library)
        self._work = settings.runs / ".work"
        self._runner = Runner(settings, timeout_s)
        self._slots = slots
        self._stopping = threading.Event()
        self._taking = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._lock: IO[str] | None = None

    def start(self) -> None:
        """Begin to work; runs that an earlier service left unfinished are closed as interrupted first."""
        self._work.mkdir(parents=True, exist_ok=True)
        self._threads = [threading.Thread(target=self._open, name="reports", daemon=True)]
        self._threads[0].start()

    def stop(self) -> None:
        """End the runs in work, which are closed as interrupted; waiting ones stay in the queue."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        if self._lock is not None:
            self._lock.close()

    def _open(self) -> None:
        self._lock = (self._work / "lock").open("w")
        while not _take_lock(self._lock):
            if self._stopping.wait(IDLE_S):
                return
        self._close_interrupted()
        helpers = [threading.Thread(target=self._run_loop, daemon=True) for _ in range(self._slots - 1)]
        for helper in helpers:
            helper.start()
        self._run_loop()
        for helper in helpers:
            helper.join()

    def _run_loop(self) -> None:
        while not self._stopping.is_set():
            request = self._take()
            if request is None:
                self._stopping.wait(IDLE_S)
                continue
            try:
                self._process(request)
            except Exception:  # one broken run must not end the service
                log.exception("Run %s failed", request.id)
                self._give_up(request)

    def _give_up(self, request: RunRequest) -> None:
        try:
            self._finish(request, None, "The report service failed on it; its log says where.")
        except Exception:  # a full disk, say: it stays in the queue as running, and the next start closes it
            log.exception("Run %s could not be stored", request.id)

    def _take(self) -> RunRequest | None:
        with self._taking:
            waiting = self.queue.list_requests(RunState.QUEUED)
            if not waiting:
                return None
            request = waiting[0].model_copy(update={"state": RunState.RUNNING, "started_at": datetime.now(UTC)})
            self.queue.put(request)
            return request

    def _close_interrupted(self) -> None:
        for request in self.queue.list_requests(RunState.RUNNING):
            if (self.store.folder / request.id).exists():  # stored, but not yet struck off the queue
                self.queue.remove(request.id)
            else:
                self._finish(request, None, INTERRUPTED)
        for leftover in self._work.iterdir():
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)

    def _process(self, request: RunRequest) -> None:
        try:
            report = self.library.get_report(request.report)
            parameters = report.read_parameters(request.parameters)
        except AureliusError as error:
            self._finish(request, None, str(error))
            return
        request = request.model_copy(update={"title": report.title, "parameters": parameters})
        folder = self._work / request.id
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        shutil.copyfile(report.path, folder / SOURCE_FILE)
        order = Order(
            title=report.title,
            parameters=parameters,
            seed=request.seed,
            person=request.person,
            groups=request.groups,
        )
        try:
            outcome = self._runner.execute(folder, order, self._stopping)
        except Interrupted:
            self._finish(request, report, INTERRUPTED)
            return
        if isinstance(outcome, str):
            self._finish(request, report, outcome)
        else:
            self._finish(request, report, outcome.reason, outcome)

    def _finish(
        self,
        request: RunRequest,
        report: ReportNotebook | None,
        reason: str | None,
        outcome: ExecutionOutcome | None = None,
    ) -> None:
        folder = self._work / request.id
        results: ResultTable | None = None
        if reason is None:
            try:
                results = _read_results(folder)
            except ValueError as error:
                reason = str(error)
        if reason is not None:  # half a table is not a result
            (folder / RESULTS_FILE).unlink(missing_ok=True)
        run = ReportRun(
            **request.model_dump(exclude={"groups", "state"}),
            notebook_sha256=report.sha256 if report else None,
            dataset=results.dataset if results else None,
            models=results.models if results else (),
            environment=outcome.environment if outcome else None,
            ended_at=datetime.now(UTC),
        )
        verdict = self._judge(run, results, reason)
        self.store.seal(folder, run, verdict, list_secrets(os.environ))
        self.queue.remove(request.id)

    def _judge(self, run: ReportRun, results: ResultTable | None, reason: str | None) -> Verdict | None:
        if results is None:
            return Verdict(kind=VerdictKind.CANNOT_RUN, against=run.rerun_of, reason=reason)
        if run.rerun_of is None:
            return None
        try:
            earlier = self.store.get(run.rerun_of)
            was = earlier.read_results()
            notes = note_differences(earlier.read_run(), run)
        except AureliusError as error:
            return Verdict(kind=VerdictKind.CANNOT_RUN, against=run.rerun_of, reason=str(error))
        if was is None:
            reason = f"Run {run.rerun_of} came to no results, so there is nothing to compare with."
            return Verdict(kind=VerdictKind.CANNOT_RUN, against=run.rerun_of, reason=reason)
        return compare_results(was, results, against=run.rerun_of, notes=notes)


def _read_results(folder: Path) -> ResultTable:
    try:
        return ResultTable.model_validate_json((folder / RESULTS_FILE).read_text("utf-8"))
    except FileNotFoundError:
        raise ValueError("The report wrote no results.json: its last cell must call results.save().") from None
    except ValidationError as error:
        raise ValueError(f"The report's results.json is not valid: {error.errors()[0]['msg']}.") from None


def _take_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
