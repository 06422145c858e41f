"""A house with labelled chests and a frozen dataset, a worker that runs reports on it, and the service's process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np

from aurelius_catalog.access.person import Person
from aurelius_catalog.phantoms.bodies import make_phantom
from aurelius_catalog.records import Segment
from aurelius_catalog.store import LabelMap
from aurelius_extensions.reports.records import RunState
from aurelius_extensions.reports.service.access import ReportAccess, RunView
from aurelius_extensions.reports.service.worker import Worker
from aurelius_extensions.reports.settings import ReportSettings
from aurelius_extensions.settings import NOTEBOOKS
from aurelius_hub.ports import find_free_ports
from support.cohort import SLICES, Cohort, make_cohort
from support.servers_catalog import answers, stop_group, wait_until

PEOPLE = {
    "rhea": ["role-researcher", "project-lung"],
    "vera": ["role-reviewer", "project-lung"],
    "bram": ["role-researcher", "project-brain"],
    "nora": ["role-clinician", "site-north"],
    "stella": ["role-steward"],
    "gil": ["role-student"],
}
NODULE = (Segment(number=1, label="nodule"),)
RUN_S = 240


@dataclass(frozen=True)
class House:
    """A catalog whose chests are labelled and frozen as ``lung-demo``, and where its reports are."""

    cohort: Cohort
    settings: ReportSettings

    def add_label(self, SeriesInstanceUID: str, labelmap: LabelMap) -> None:
        self.cohort.open_as(person("rhea")).add_annotation(SeriesInstanceUID, labelmap, NODULE, origin="notebook")


@dataclass(frozen=True)
class Reports:
    """A house with a worker in this process."""

    house: House
    worker: Worker

    def open_access(self, name: str) -> ReportAccess:
        store = self.house.cohort.open_as(person(name))
        return ReportAccess(self.worker.library, self.worker.queue, self.worker.store, store)

    def finish(self, run_id: str) -> RunView:
        """Wait for a run to end; seen as the steward, who sees all."""
        access = self.open_access("stella")
        wait_until(lambda: access.get_run(run_id).state is RunState.DONE, f"run {run_id}", RUN_S)
        return access.get_run(run_id)


def person(name: str) -> Person:
    return Person.of(name, PEOPLE[name])


def draw_truth(seed: int) -> LabelMap:
    return np.ascontiguousarray(make_phantom("ct-chest", seed).truth[SLICES])


def make_house(home: Path, notebooks: Path = NOTEBOOKS) -> House:
    cohort = make_cohort(home)
    house = House(cohort, ReportSettings(home=home, notebooks=notebooks))
    house.add_label(cohort.north_chest, draw_truth(1))
    house.add_label(cohort.south_chest, draw_truth(2))
    cohort.open_as(person("rhea")).add_dataset("lung-demo", [cohort.north_chest, cohort.south_chest])
    return house


@contextmanager
def run_worker(house: House, timeout_s: float = RUN_S) -> Iterator[Reports]:
    worker = Worker(house.settings, timeout_s=timeout_s)
    worker.start()
    try:
        yield Reports(house, worker)
    finally:
        worker.stop()


@contextmanager
def run_service_alone(house: House) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service's process without a hub: nobody can log in, but it works through its queue."""
    (port,) = find_free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-m", "aurelius_extensions.reports"],
        env={**os.environ, **service_environment(house), "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}"},
        start_new_session=True,
    )
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"), "report service", process=process)
        yield process
    finally:
        stop_group(process)


def service_environment(house: House) -> dict[str, str]:
    return {"AURELIUS_HOME": str(house.settings.home), "AURELIUS_NOTEBOOKS": str(house.settings.notebooks)}


def write_report(notebooks: Path, name: str, parameters: str, cells: Sequence[str], title: str = "A report") -> Path:
    """Write ``reports/<name>.ipynb`` with a parameters cell and more cells of code."""
    tagged = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell(f"# {title}\n\nWhat it is about."), tagged]
        + [nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    path = notebooks / "reports" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def list_texts(folder: Path) -> Mapping[str, str]:
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}
