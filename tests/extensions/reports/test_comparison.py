"""The verdict on two tables of numbers, case by case."""

import math

import pytest

from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.records import DatasetRecord
from aurelius_extensions.reports import Results
from aurelius_extensions.reports.records import (
    DatasetUse,
    DriftKind,
    Environment,
    ReportRun,
    ResultRow,
    ResultTable,
    VerdictKind,
)
from aurelius_extensions.reports.results.comparison import compare_results, note_differences

DATASET = DatasetUse(id="d1", name="lung", SeriesInstanceUIDs=("1.2",))
ENVIRONMENT = Environment(
    python="3.11",
    platform="Linux",
    device="cpu",
    packages={"numpy": "2.0", "old": "1"},
    packages_sha256="p",
    lock_sha256=None,
    commit="c1",
    modified=False,
)
RUN = ReportRun(
    id="r1",
    report="volumes",
    title="Volumes",
    notebook_sha256="n1",
    parameters={},
    seed=1,
    person="vera",
    rerun_of=None,
    dataset=DATASET,
    environment=ENVIRONMENT,
    asked_at="2026-01-01T00:00:00Z",  # type: ignore[arg-type]
    started_at=None,
    ended_at="2026-01-01T00:00:01Z",  # type: ignore[arg-type]
)


def table(*rows: tuple[str, float, float]) -> ResultTable:
    return ResultTable(
        dataset=DATASET,
        rows=tuple(ResultRow(case=case, name="volume", value=value, tolerance=tol) for case, value, tol in rows),
    )


@pytest.mark.parametrize(
    ("was", "now", "tolerance", "same"),
    [
        (1.0, 1.0, 0.0, True),
        (1.0, 1.0 + 1e-9, 0.0, False),
        (1.0, 1.1, 0.1, True),  # on the edge, which binary fractions miss by 9e-17
        (1.0, 1.1001, 0.1, False),
        (1.1, 1.0, 0.1, True),
        (1e9, 1e9 + 1e-5, 0.0, False),
        (math.nan, math.nan, 0.0, True),
        (math.nan, 1.0, math.inf, False),
        (1.0, math.nan, math.inf, False),
        (math.inf, math.inf, 0.0, True),
        (math.inf, -math.inf, 1.0, False),
        (math.inf, 1.0, 1.0, False),
        (0.0, -0.0, 0.0, True),
    ],
)
def test_two_numbers(was: float, now: float, tolerance: float, same: bool) -> None:
    verdict = compare_results(table(("a", was, tolerance)), table(("a", now, 0.0)), against="r1")
    assert verdict.kind is (VerdictKind.MATCH if same else VerdictKind.DRIFT)
    assert verdict.n_compared == 1
    assert len(verdict.drifts) == (0 if same else 1)


def test_drift_names_case_numbers_and_the_tolerance_first_declared() -> None:
    verdict = compare_results(
        table(("a", 1.0, 0.1), ("b", 5.0, 0.1)), table(("a", 2.0, 9.0), ("b", 5.0, 9.0)), against="r"
    )
    (drift,) = verdict.drifts
    assert (drift.kind, drift.case, drift.name, drift.was, drift.now, drift.tolerance) == (
        DriftKind.CHANGED,
        "a",
        "volume",
        1.0,
        2.0,
        0.1,
    )


def test_missing_and_additional_numbers_are_drift() -> None:
    verdict = compare_results(table(("a", 1.0, 0.0)), table(("b", 1.0, 0.0)), against="r")
    assert [(drift.kind, drift.case, drift.was, drift.now) for drift in verdict.drifts] == [
        (DriftKind.MISSING, "a", 1.0, None),
        (DriftKind.ADDITIONAL, "b", None, 1.0),
    ]


def test_another_unit_is_drift_even_with_the_same_number() -> None:
    row = ResultRow(case="a", name="volume", value=1.0, tolerance=1.0, unit="ml")
    was, now = (ResultTable(dataset=DATASET, rows=(row.model_copy(update={"unit": unit}),)) for unit in ("ml", "mm³"))
    assert compare_results(was, now, against="r").kind is VerdictKind.DRIFT


def test_nothing_and_nothing_match() -> None:
    assert compare_results(table(), table(), against="r").kind is VerdictKind.MATCH


def test_differences_of_the_surroundings_are_named() -> None:
    packages = {"numpy": "2.1", "new": "1"}
    environment = ENVIRONMENT.model_copy(
        update={"packages": packages, "commit": "c2", "device": "H200", "modified": True}
    )
    dataset = DATASET.model_copy(update={"id": "d2"})
    now = RUN.model_copy(update={"environment": environment, "notebook_sha256": "n2", "dataset": dataset})
    told = "\n".join(note_differences(RUN, now))
    for words in (
        "numpy: 2.0 → 2.1",
        "new: absent → 1",
        "old: 1 → absent",
        "c1 → c2",
        "cpu → H200",
        "d1 → d2",
        "notebook",
    ):
        assert words in told
    assert note_differences(RUN, RUN) == ()


def test_numbers_survive_json_when_not_finite() -> None:
    verdict = compare_results(table(("a", math.nan, 0.0)), table(("a", math.inf, 0.0)), against="r")
    again = type(verdict).model_validate_json(verdict.model_dump_json())
    assert again.drifts[0].was is not None
    assert math.isnan(again.drifts[0].was)
    assert again.drifts[0].now == math.inf


def test_results_refuse_a_number_twice_and_a_negative_tolerance() -> None:
    record = DatasetRecord(
        id="d1",
        name="lung",
        created_by="rhea",
        created_at="2026-01-01T00:00:00Z",  # type: ignore[arg-type]
        SeriesInstanceUIDs=("1.2",),
    )
    results = Results(record)
    results.add(case="a", name="volume", value=1, tolerance=0)
    with pytest.raises(InvalidRequest, match="twice"):
        results.add(case="a", name="volume", value=1, tolerance=0)
    for tolerance in (-1.0, math.nan):
        with pytest.raises(InvalidRequest, match="tolerance"):
            results.add(case="b", name="volume", value=1, tolerance=tolerance)
