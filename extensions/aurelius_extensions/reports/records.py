"""The records of reports: requests, runs, results and verdicts.

All are frozen and travel as JSON. Numbers that are not finite are written as the strings
``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, because JSON has no words for them.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import ConfigDict

from aurelius_catalog.records import Record

ParameterValue = str | int | float | bool


class NumberRecord(Record):
    """A record that holds measured numbers, which may be NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class ResultRow(NumberRecord):
    """One declared number of a report.

    ``case`` and ``name`` together say which number it is; ``tolerance`` is the absolute difference, in
    ``unit``, up to which a rerun counts as the same.
    """

    case: str
    name: str
    value: float
    tolerance: float
    unit: str = ""
    patient: str = ""


class DatasetUse(Record):
    """The frozen dataset a report was about."""

    id: str
    name: str
    SeriesInstanceUIDs: tuple[str, ...]


class ModelUse(Record):
    """A model whose predictions a report used."""

    model: str
    model_hash: str


class ResultTable(NumberRecord):
    """Everything a report declares: content of ``results.json``."""

    dataset: DatasetUse
    models: tuple[ModelUse, ...] = ()
    rows: tuple[ResultRow, ...]


class VerdictKind(StrEnum):
    """The verdicts that a run can get."""

    MATCH = "MATCH"
    DRIFT = "DRIFT"
    CANNOT_RUN = "CANNOT RUN"


class DriftKind(StrEnum):
    """How a number differs from the one it is compared with."""

    CHANGED = "changed"
    MISSING = "missing"
    ADDITIONAL = "additional"


class Drift(NumberRecord):
    """One number that is not what it was; ``was`` or ``now`` is None where there is no such number."""

    kind: DriftKind
    case: str
    name: str
    was: float | None
    now: float | None
    tolerance: float
    unit: str = ""
    patient: str = ""


class Verdict(NumberRecord):
    """What a rerun amounts to, or why there is nothing to say; content of ``verdict.json``.

    ``against`` is the run it was compared with. ``notes`` tell differences of the surroundings (packages,
    code, device) that need not have changed a number.
    """

    kind: VerdictKind
    against: str | None = None
    reason: str | None = None
    n_compared: int = 0
    drifts: tuple[Drift, ...] = ()
    notes: tuple[str, ...] = ()


class RunState(StrEnum):
    """How far a run has come."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"


class RunRequest(Record):
    """What a person asked for. ``groups`` are the person's hub groups at that moment."""

    id: str
    report: str
    title: str
    parameters: dict[str, ParameterValue]
    seed: int
    person: str
    groups: tuple[str, ...]
    rerun_of: str | None = None
    asked_at: datetime
    state: RunState = RunState.QUEUED
    started_at: datetime | None = None


class Environment(Record):
    """The surroundings a run was computed in.

    ``packages`` maps distribution to version; ``lock_sha256`` is the hash of the lock file, ``commit`` the
    code's git commit, where they are known. ``modified`` says that tracked files differed from it.
    """

    python: str
    platform: str
    device: str
    packages: dict[str, str]
    packages_sha256: str
    lock_sha256: str | None
    commit: str | None
    modified: bool | None


class ReportRun(Record):
    """The record of a finished run: content of ``run.json``."""

    id: str
    report: str
    title: str
    notebook_sha256: str | None
    parameters: dict[str, ParameterValue]
    seed: int
    person: str
    rerun_of: str | None
    dataset: DatasetUse | None
    models: tuple[ModelUse, ...] = ()
    environment: Environment | None
    asked_at: datetime
    started_at: datetime | None
    ended_at: datetime
