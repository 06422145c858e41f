"""Reports executed for real: verdicts, rights, seals, secrets, interruption."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from aurelius_catalog.errors import InvalidRequest, NotFound, PermissionDenied
from aurelius_extensions.errors import RunTampered
from aurelius_extensions.reports.records import DriftKind, RunState, VerdictKind
from aurelius_extensions.reports.runs.queue import Queue
from aurelius_extensions.settings import NOTEBOOKS
from support.servers_catalog import wait_until
from support.servers_reports import (
    House,
    Reports,
    draw_truth,
    list_texts,
    make_house,
    run_service_alone,
    run_worker,
    write_report,
)

REPORT = "segmentation-volumes"
TOKEN = "a-token-of-the-hub-0123456789"
SLOW = ["import time; print('working', flush=True); time.sleep(600)"]
LEAKY = ["import os; print(dict(os.environ))"]
RANDOM = [
    "import random, secrets; import numpy as np; random.seed(secrets.token_bytes())",
    "from aurelius_extensions.reports import Results, open_as_requester",
    "results = Results(open_as_requester().dataset('lung-demo'))",
    "results.add(case='a', name='random', value=random.random(), tolerance=0)",
    "results.add(case='a', name='numpy', value=np.random.rand(), tolerance=0)",
    "results.add(case='a', name='hash', value=hash('a word') % 1000, tolerance=0)",
    "results.save();",
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    notebooks = tmp_path_factory.mktemp("notebooks")
    write_report(notebooks, "slow", "x = 1", SLOW)
    write_report(notebooks, "leaky", "x = 1", LEAKY)
    write_report(notebooks, "random", "x = 1", RANDOM)
    shutil.copy(NOTEBOOKS / "reports" / f"{REPORT}.ipynb", notebooks / "reports")
    return make_house(tmp_path_factory.mktemp("house"), notebooks)


@pytest.fixture(scope="module")
def reports(house: House) -> Iterator[Reports]:
    with run_worker(house) as running:
        yield running


@pytest.fixture(scope="module")
def first(reports: Reports) -> str:
    """Id of a run by vera that came to its results."""
    run_id = reports.open_access("vera").ask(REPORT, {}).id
    view = reports.finish(run_id)
    assert view.verdict is None, view.verdict
    return run_id


def test_a_run_keeps_numbers_provenance_and_a_readable_report(reports: Reports, first: str) -> None:
    access = reports.open_access("vera")
    results = access.get_results(first)
    assert results is not None
    spacing_ml = np.prod(np.array([3.0, 3.5, 3.5])) / 1000
    expected = {
        reports.house.cohort.north_chest: draw_truth(1).sum() * spacing_ml,
        reports.house.cohort.south_chest: draw_truth(2).sum() * spacing_ml,
    }
    told = {row.case: row.value for row in results.rows if row.case in expected}
    assert told == pytest.approx(expected)

    record = json.loads(access.read_file(first, "run.json"))
    assert record["person"] == "vera"
    assert record["dataset"]["name"] == "lung-demo"
    assert record["environment"]["packages"]["papermill"]
    assert {"notebook_sha256", "seed", "started_at", "ended_at"} <= record.keys()
    page = access.read_file(first, "report.html").decode()
    assert "Segmentation volumes" in page
    assert "<img" in page
    for outside in ("<script", 'src="http', 'href="http', "@import", "url(http"):
        assert outside not in page
    crate = {
        entity["@id"]: entity for entity in json.loads(access.read_file(first, "ro-crate-metadata.json"))["@graph"]
    }
    assert crate["./"]["mainEntity"] == {"@id": "report.ipynb"}
    assert crate[f"#run-{first}"]["@type"] == "CreateAction"


def test_a_stored_run_is_read_only(reports: Reports, first: str) -> None:
    folder = reports.worker.store.folder / first
    assert {path.stat().st_mode & 0o222 for path in (folder, *folder.iterdir())} == {0}


def test_rerun_matches_and_names_the_case_once_a_label_has_changed(reports: Reports, first: str) -> None:
    access = reports.open_access("vera")
    verdict = reports.finish(access.rerun(first).id).verdict
    assert verdict is not None
    assert (verdict.kind, verdict.against, verdict.n_compared) == (VerdictKind.MATCH, first, 5)

    case = reports.house.cohort.north_chest
    smaller = draw_truth(1)
    smaller.flat[np.flatnonzero(smaller)[:2]] = 0
    reports.house.add_label(case, smaller)
    verdict = reports.finish(access.rerun(first).id).verdict
    assert verdict is not None
    assert verdict.kind is VerdictKind.DRIFT
    drift = next(drift for drift in verdict.drifts if drift.case == case)
    assert (drift.kind, drift.patient, drift.unit) == (DriftKind.CHANGED, "north-ct-chest-1", "ml")
    assert drift.was is not None
    assert drift.now == pytest.approx(drift.was - 2 * 3.0 * 3.5 * 3.5 / 1000)
    assert reports.house.cohort.south_chest not in {drift.case for drift in verdict.drifts}


def test_unknown_dataset_and_structure_cannot_run_and_say_why(reports: Reports) -> None:
    access = reports.open_access("vera")
    runs = [access.ask(REPORT, {"dataset": "no-such-set"}), access.ask(REPORT, {"structure": "spleen"})]
    for run, word in zip(runs, ("no-such-set", "spleen"), strict=True):
        verdict = reports.finish(run.id).verdict
        assert verdict is not None
        assert verdict.kind is VerdictKind.CANNOT_RUN
        assert word in (verdict.reason or "")
        with pytest.raises(InvalidRequest, match="no results"):
            access.rerun(run.id)


def test_a_person_of_another_project_gets_a_reason_and_no_number(reports: Reports, first: str) -> None:
    access = reports.open_access("bram")
    run_id = access.ask(REPORT, {}).id
    verdict = reports.finish(run_id).verdict
    assert verdict is not None
    assert verdict.kind is VerdictKind.CANNOT_RUN
    assert "bram may not open dataset lung-demo" in (verdict.reason or "")
    results = reports.open_access("vera").get_results(first)
    assert results is not None
    folder = reports.worker.store.folder / run_id
    assert not (folder / "results.json").exists()
    for text in list_texts(folder).values():
        assert not any(row.case in text for row in results.rows if row.case != "all series")

    for refused in (access.get_run, access.get_results, access.list_files, access.rerun):
        with pytest.raises(PermissionDenied):
            refused(first)
    with pytest.raises(PermissionDenied):
        access.read_file(first, "results.json")
    assert first not in [view.id for view in access.list_runs()]
    with pytest.raises(PermissionDenied):
        reports.open_access("vera").get_run(run_id)  # a run without a dataset is its person's alone
    assert first in [view.id for view in reports.open_access("rhea").list_runs()]


def test_who_may_not_report_cannot_ask(reports: Reports, first: str) -> None:
    for name in ("nora", "gil"):
        with pytest.raises(PermissionDenied, match="roles"):
            reports.open_access(name).ask(REPORT, {})
        with pytest.raises(PermissionDenied):
            reports.open_access(name).get_run(first)


def test_bad_asks_never_reach_the_queue(reports: Reports) -> None:
    access = reports.open_access("vera")
    before = len(access.list_runs())
    with pytest.raises(InvalidRequest, match="did you mean dataset"):
        access.ask(REPORT, {"datset": "lung-demo"})
    with pytest.raises(NotFound):
        access.ask("no-such-report", {})
    for run_id in ("20200101-000000-00000000", "../../catalog", ".queue"):
        with pytest.raises(NotFound):
            access.get_run(run_id)
    assert len(access.list_runs()) == before


def test_the_seed_makes_random_numbers_come_out_again(reports: Reports) -> None:
    access = reports.open_access("rhea")
    run_id = access.ask("random", {}).id
    assert reports.finish(run_id).verdict is None
    verdict = reports.finish(access.rerun(run_id).id).verdict
    assert verdict is not None
    assert (verdict.kind, verdict.n_compared) == (VerdictKind.MATCH, 3)


def test_no_secret_reaches_the_kernel_or_a_stored_file(reports: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
    monkeypatch.setenv("AURELIUS_DATABASE_URL", "postgresql://aurelius:the-word-of-the-day@db/catalog")
    run_id = reports.open_access("vera").ask("leaky", {}).id
    wait_until(lambda: (reports.worker.store.folder / run_id).exists(), "leaky run", 120)
    texts = list_texts(reports.worker.store.folder / run_id)
    assert "AURELIUS_REPORT_PERSON" in texts["notebook.ipynb"]  # it did print its environment
    assert "JUPYTERHUB_API_TOKEN" not in texts["notebook.ipynb"]
    for text in texts.values():
        assert TOKEN not in text
        assert "the-word-of-the-day" not in text


@pytest.mark.parametrize("name", ["results.json", "verdict.json", "run.json", "manifest.json", "report.html"])
def test_a_changed_file_is_told(house: House, reports: Reports, first: str, name: str) -> None:
    access = reports.open_access("vera")
    copy = "20990101-000000-00000000"
    folder = shutil.copytree(reports.worker.store.folder / first, house.settings.runs / copy)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o750)
    try:
        assert access.get_run(copy).changes == ()
        text = (folder / name).read_text("utf-8") if (folder / name).exists() else ""
        (folder / name).write_text("{}" if name == "manifest.json" else text + " ")
        view = access.get_run(copy)
        assert (view.outcome, view.changes) == ("TAMPERED", (name if name != "manifest.json" else "run.json",))
        with pytest.raises(RunTampered):
            access.rerun(copy)
    finally:
        shutil.rmtree(folder)


def test_a_report_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    write_report(tmp_path, "slow", "x = 1", SLOW)
    with run_worker(make_house(tmp_path / "home", tmp_path), timeout_s=0.02 * 60) as reports:
        verdict = reports.finish(reports.open_access("rhea").ask("slow", {}).id).verdict
    assert verdict is not None
    assert "longer than 0.02 minutes" in (verdict.reason or "")


@pytest.mark.soak
def test_a_killed_service_leaves_no_process_and_loses_no_run(house: House, reports: Reports) -> None:
    reports.worker.stop()  # two services never work on one folder: the module's worker makes room
    access = reports.open_access("rhea")
    with run_service_alone(house) as service:
        runs = [access.ask("slow", {}).id for _ in range(3)]
        queue = Queue(house.settings.runs / ".queue")
        family = _wait_for_kernels(service.pid, 2)
        states = {request.id: request.state for request in queue.list_requests()}
        assert [states[run_id] for run_id in runs] == [RunState.RUNNING, RunState.RUNNING, RunState.QUEUED]
        service.send_signal(signal.SIGKILL)
        service.wait()
        assert not psutil.wait_procs(family, timeout=20)[1]

    with run_service_alone(house) as service:
        for run_id in runs[:2]:
            wait_until(lambda run_id=run_id: access.get_run(run_id).state is RunState.DONE, "interrupted run", 30)
            verdict = access.get_run(run_id).verdict
            assert verdict is not None
            assert verdict.kind is VerdictKind.CANNOT_RUN
            assert "Interrupted" in (verdict.reason or "")
        family = _wait_for_kernels(service.pid, 1)  # the waiting one was not lost: it runs now
        assert access.get_run(runs[2]).state is RunState.RUNNING
        service.terminate()
        service.wait(30)
        assert not psutil.wait_procs(family, timeout=20)[1]
    assert "Interrupted" in str(access.get_run(runs[2]).verdict)
    assert queue.list_requests() == []


def _wait_for_kernels(pid: int, count: int) -> list[psutil.Process]:
    def kernels() -> list[psutil.Process]:
        return [each for each in psutil.Process(pid).children(recursive=True) if "ipykernel" in str(each.cmdline())]

    wait_until(lambda: len(kernels()) == count, "kernels", 120)
    return psutil.Process(pid).children(recursive=True)
