"""One person's access to the reports: what that person may run, and see of the runs.

To run takes a role with the right to report. A run is open to whoever may see every series of its dataset
at this moment; who ran it sees that it exists and how it went, but the numbers only under that same condition.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from aurelius_catalog.access.person import Action, Person
from aurelius_catalog.errors import InvalidRequest, NotFound, PermissionDenied
from aurelius_catalog.store import Store
from aurelius_extensions.errors import RunTampered
from aurelius_extensions.reports.library import Library, ReportNotebook
from aurelius_extensions.reports.records import ReportRun, ResultTable, RunRequest, RunState, Verdict
from aurelius_extensions.reports.runs.queue import Queue
from aurelius_extensions.reports.runs.store import RunStore, StoredRun

SEED = 2026
#: How many finished runs a list goes back.
LISTED = 200


@dataclass(frozen=True)
class RunView:
    """A run as one person may see it.

    ``record`` is None where the record itself was tampered with. ``is_open`` says whether the numbers may be
    shown; where it is False, ``verdict`` holds none. ``changes`` lists files that are not what was sealed.
    """

    id: str
    state: RunState
    record: ReportRun | RunRequest | None
    verdict: Verdict | None
    is_open: bool
    changes: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """The outcome in one or two words, for the badge."""
        if self.changes:
            return "TAMPERED"
        if self.verdict is not None:
            return str(self.verdict.kind)
        return str(self.state)


class ReportAccess:
    """The reports and runs, for one person.

    Parameters
    ----------
    library, queue, store
        Reports, waiting runs, finished runs.
    catalog
        The catalog's store as this person sees it.
    """

    def __init__(self, library: Library, queue: Queue, store: RunStore, catalog: Store) -> None:
        self.library = library
        self._queue = queue
        self._store = store
        self._catalog = catalog

    @property
    def person(self) -> Person:
        """The person whose access this is."""
        return self._catalog.person

    def ask(self, report_name: str, given: Mapping[str, object]) -> RunRequest:
        """Ask for a run.

        Raises
        ------
        PermissionDenied
            If the person may not run reports.
        NotFound, InvalidRequest
            For an unknown report or parameter.
        """
        self.person.require(Action.REPORT)
        report = self.library.get_report(report_name)
        return self._put(report.name, report.title, report.read_parameters(given), SEED, None)

    def rerun(self, run_id: str) -> RunRequest:
        """Ask for a finished run to be repeated and compared.

        Raises
        ------
        PermissionDenied
            If the person may not run reports, or not see this run's numbers.
        RunTampered
            If the run is no longer what was sealed: nothing may be compared with it.
        InvalidRequest
            If it came to no results.
        """
        self.person.require(Action.REPORT)
        stored = self._open(run_id)
        run = stored.read_run()
        if changes := stored.list_changes():
            raise RunTampered(
                f"Run {run_id} is not what was sealed: {', '.join(changes)}. Nothing is compared with it."
            )
        if stored.read_results() is None:
            raise InvalidRequest(f"Run {run_id} came to no results, so there is nothing to compare with. Run it anew.")
        return self._put(run.report, run.title, dict(run.parameters), run.seed, run.id)

    def list_runs(self) -> list[RunView]:
        """Return the runs this person may know of, newest first."""
        waiting = [self._view_request(request) for request in self._queue.list_requests()]
        # Read after the queue: a run that ends in between is then in both lists, never in neither.
        stored = [(item, _read_run(item)) for item in self._store.list_runs()[:LISTED]]
        visible = self._find_visible(run for _, run in stored if run is not None)
        finished = [self._view(item, run, visible, deep=False) for item, run in stored]
        views = {view.id: view for view in (*waiting, *finished) if view is not None}
        return [views[run_id] for run_id in sorted(views, reverse=True)]

    def get_run(self, run_id: str) -> RunView:
        """Return one run, its files checked against what was sealed.

        Raises
        ------
        NotFound
            If no run has that id.
        PermissionDenied
            If it is not for this person.
        """
        request = self._queue.get(run_id)
        if request is not None:
            view = self._view_request(request)
        else:
            stored = self._store.get(run_id)
            run = _read_run(stored)
            view = self._view(stored, run, self._find_visible([run] if run else []), deep=True)
        if view is None:
            raise PermissionDenied(f"{self.person.name} may not see run {run_id}: its dataset holds series of others.")
        return view

    def get_results(self, run_id: str) -> ResultTable | None:
        """Return a run's numbers, or None where it came to none; refuses like :meth:`read_file`."""
        return self._open(run_id).read_results()

    def list_files(self, run_id: str) -> list[str]:
        """Return the names of a run's files; refuses like :meth:`read_file`."""
        return self._open(run_id).list_files()

    def read_file(self, run_id: str, name: str) -> bytes:
        """Return one file of a run.

        Raises
        ------
        PermissionDenied
            If the person may not see every series of its dataset.
        NotFound, NothingStored
            If there is no such run or file.
        RunTampered
            If it is not what was sealed.
        """
        return self._open(run_id).read(name)

    def get_report(self, run: ReportRun | RunRequest) -> ReportNotebook | None:
        """Return the report a run belongs to, where the library still has it."""
        try:
            return self.library.get_report(run.report)
        except NotFound:
            return None

    def _put(
        self, report: str, title: str, parameters: dict[str, str | int | float | bool], seed: int, rerun_of: str | None
    ) -> RunRequest:
        now = datetime.now(UTC)
        request = RunRequest(
            id=f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}",
            report=report,
            title=title,
            parameters=parameters,
            seed=seed,
            person=self.person.name,
            groups=tuple(sorted(self.person.groups)),
            rerun_of=rerun_of,
            asked_at=now,
        )
        self._queue.put(request)
        return request

    def _open(self, run_id: str) -> StoredRun:
        stored = self._store.get(run_id)
        run = stored.read_run()
        if not self._may_open(run, self._find_visible([run])):
            raise PermissionDenied(f"{self.person.name} may not see run {run_id}: its dataset holds series of others.")
        return stored

    def _find_visible(self, runs: Iterable[ReportRun]) -> set[str]:
        wanted = {uid for run in runs if run.dataset for uid in run.dataset.SeriesInstanceUIDs}
        found = self._catalog.find_series(SeriesInstanceUID=sorted(wanted)) if wanted else []
        return {record.SeriesInstanceUID for record in found}

    def _may_open(self, run: ReportRun, visible: set[str]) -> bool:
        if run.dataset is None or not run.dataset.SeriesInstanceUIDs:
            return run.person == self.person.name or self.person.sees_everything
        return visible.issuperset(run.dataset.SeriesInstanceUIDs)

    def _view(self, stored: StoredRun, run: ReportRun | None, visible: set[str], *, deep: bool) -> RunView | None:
        if run is None:
            return RunView(stored.id, RunState.DONE, None, None, False, ("run.json",))
        is_open = self._may_open(run, visible)
        if not is_open and run.person != self.person.name:
            return None
        changes = tuple(stored.list_changes()) if deep else ()
        try:
            verdict = stored.read_verdict()
        except RunTampered:
            verdict, changes = None, changes or ("verdict.json",)
        if verdict is not None and not is_open:
            verdict = verdict.model_copy(update={"drifts": ()})
        return RunView(stored.id, RunState.DONE, run, verdict, is_open, changes)

    def _view_request(self, request: RunRequest) -> RunView | None:
        if request.person != self.person.name and not self.person.sees_everything:
            return None
        return RunView(request.id, request.state, request, None, False)


def _read_run(stored: StoredRun) -> ReportRun | None:
    try:
        return stored.read_run()
    except RunTampered:
        return None
