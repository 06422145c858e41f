"""The comparison of two runs: MATCH or DRIFT, number by number, and what else was different."""

from __future__ import annotations

import math
from collections.abc import Iterator

from aurelius_extensions.reports.records import (
    Drift,
    DriftKind,
    Environment,
    ReportRun,
    ResultRow,
    ResultTable,
    Verdict,
    VerdictKind,
)


def compare_results(was: ResultTable, now: ResultTable, *, against: str, notes: tuple[str, ...] = ()) -> Verdict:
    """Compare the results of a rerun with those of the run it repeats.

    Parameters
    ----------
    was
        Results of the earlier run. Its tolerances decide, so that a rerun cannot widen them.
    now
        Results of the rerun.
    against
        Id of the earlier run.
    notes
        Differences of the surroundings, passed on.

    Returns
    -------
    Verdict
        MATCH when every number is there in both and within its tolerance (NaN only equals NaN), else DRIFT.
    """
    drifts = tuple(_find_drifts(was, now))
    return Verdict(
        kind=VerdictKind.DRIFT if drifts else VerdictKind.MATCH,
        against=against,
        n_compared=len(was.rows),
        drifts=drifts,
        notes=notes,
    )


def is_same(was: float, now: float, tolerance: float) -> bool:
    """Whether two numbers are the same within an absolute tolerance; NaN is the same as NaN."""
    if math.isnan(was) or math.isnan(now):
        return math.isnan(was) and math.isnan(now)
    if math.isinf(was) or math.isinf(now):
        return was == now
    # Binary fractions: 1.1 - 1.0 exceeds 0.1 by 9e-17, which is not a drift anyone declared.
    return was == now or abs(was - now) <= tolerance + (1e-12 * max(abs(was), abs(now)) if tolerance else 0.0)


def note_differences(was: ReportRun, now: ReportRun) -> tuple[str, ...]:
    """List in words what differs between two runs besides their numbers."""
    notes = []
    if was.notebook_sha256 != now.notebook_sha256:
        notes.append("The report notebook was changed in between.")
    if was.dataset and now.dataset and was.dataset.id != now.dataset.id:
        notes.append(f"Dataset {now.dataset.name} now names another release ({was.dataset.id} → {now.dataset.id}).")
    notes += [
        f"Model {model.model}: {model.model_hash[:12]} was not used before."
        for model in now.models
        if model not in was.models
    ]
    if was.environment and now.environment:
        notes += _note_environment(was.environment, now.environment)
    return tuple(notes)


def _find_drifts(was: ResultTable, now: ResultTable) -> Iterator[Drift]:
    after = {(row.case, row.name): row for row in now.rows}
    for row in was.rows:
        other = after.pop((row.case, row.name), None)
        if other is None:
            yield _drift(DriftKind.MISSING, row, was=row.value, now=None)
        elif row.unit != other.unit or not is_same(row.value, other.value, row.tolerance):
            yield _drift(DriftKind.CHANGED, row, was=row.value, now=other.value)
    for row in after.values():
        yield _drift(DriftKind.ADDITIONAL, row, was=None, now=row.value)


def _drift(kind: DriftKind, row: ResultRow, *, was: float | None, now: float | None) -> Drift:
    return Drift(
        kind=kind,
        case=row.case,
        name=row.name,
        was=was,
        now=now,
        tolerance=row.tolerance,
        unit=row.unit,
        patient=row.patient,
    )


def _note_environment(was: Environment, now: Environment) -> Iterator[str]:
    for name in ("python", "platform", "device"):
        if getattr(was, name) != getattr(now, name):
            yield f"{name.capitalize()}: {getattr(was, name)} → {getattr(now, name)}."
    if was.commit != now.commit:
        yield f"Code: commit {was.commit or 'unknown'} → {now.commit or 'unknown'}."
    if now.modified:
        yield "The code had changes that were not committed."
    for package in sorted(was.packages.keys() | now.packages.keys()):
        before, after = was.packages.get(package, "absent"), now.packages.get(package, "absent")
        if before != after:
            yield f"Package {package}: {before} → {after}."
