"""The dashboards service behind a real hub, over a small catalog with findings of two sites."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from aurelius_catalog.access.person import Person
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import NewPrediction, Segment
from aurelius_catalog.settings import CatalogSettings
from aurelius_hub.ports import find_free_ports
from support.cohort import make_cohort
from support.servers_catalog import Hub, answers, managed_service, temp_hub, wait_until

PEOPLE = {
    "nora": ["role-clinician", "site-north"],
    "sid": ["role-clinician", "site-south"],
    "rhea": ["role-researcher", "project-lung"],
    "cora": ["role-clinician"],
    "gil": ["role-student"],
}
COMMAND = [sys.executable, "-m", "aurelius_extensions.dashboards"]


@dataclass(frozen=True)
class Findings:
    """A catalog with three findings: two at site north, of which the brain's is the less certain, one at site south."""

    settings: CatalogSettings
    north_chest: int
    north_brain: int
    south_chest: int

    def open_as(self, name: str) -> LocalStore:
        """Open the catalog as one of `PEOPLE`."""
        return LocalStore(self.settings, Person.of(name, PEOPLE[name]))


def make_findings(home: Path) -> Findings:
    """Fill a fresh catalog and let a model find something in every series."""
    cohort = make_cohort(home)
    store = LocalStore(cohort.settings, Person.service("model"))

    def find(uid: str, finding: str, uncertainty: float) -> int:
        record = store.get_series(uid)
        labelmap = np.zeros((record.n_frames, record.Rows or 0, record.Columns or 0), np.uint8)
        labelmap[4:7, 40:46, 50:56] = 1
        prediction = NewPrediction(
            model="finder",
            model_hash="ab" * 32,
            finding=finding,
            volume_mm3=1200.0,
            confidence=1 - uncertainty,
            uncertainty=uncertainty,
            segments=(Segment(number=1, label=finding),),
        )
        return store.add_prediction(uid, prediction, labelmap).id

    return Findings(
        cohort.settings,
        north_chest=find(cohort.north_chest, "Lung nodule", 0.1),
        north_brain=find(cohort.north_brain, "Brain lesion", 0.4),
        south_chest=find(cohort.south_chest, "Lung nodule", 0.2),
    )


@contextmanager
def temp_dashboards(folder: Path, findings: Findings) -> Iterator[Hub]:
    """Run a hub with the dashboards service; ready when a kernel waits for a page."""
    environment = {"AURELIUS_HOME": str(findings.settings.home), "AURELIUS_SECRET_OF_THE_HOUSE": "do-not-inherit"}
    service = managed_service("dashboards", COMMAND, environment, find_free_ports(1)[0])
    with temp_hub(folder, [service], people=PEOPLE) as hub:
        yield hub


@contextmanager
def lone_service(home: Path, extra: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service without a hub, as far as it goes: nobody can log in, but kernels are preheated."""
    port = find_free_ports(1)[0]
    environment = {
        **os.environ,
        "AURELIUS_HOME": str(home),
        "JUPYTERHUB_API_TOKEN": "0" * 32,
        "JUPYTERHUB_API_URL": "http://127.0.0.1:9/hub/api",
        "JUPYTERHUB_CLIENT_ID": "service-dashboards",
        "JUPYTERHUB_SERVICE_NAME": "dashboards",
        "JUPYTERHUB_SERVICE_PREFIX": "/services/dashboards/",
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}",
        **extra,
    }
    with (home / "service.log").open("wb") as log:
        process = subprocess.Popen(COMMAND, env=environment, stdout=log, stderr=log, cwd=home)
    try:
        url = f"http://127.0.0.1:{port}/services/dashboards/health"
        wait_until(lambda: answers(url), "dashboards", process=process)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(10)


def find_kernels(pid: int) -> list[psutil.Process]:
    """Return the kernels among a process's descendants."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            if "ipykernel_launcher" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found
