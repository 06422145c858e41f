"""The real annotation server with its real worker behind a real hub, as a context manager."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil

from aurelius_catalog.access.person import Person
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.phantoms.bodies import Phantom, PhantomKind, make_phantom
from aurelius_catalog.settings import CatalogSettings
from aurelius_hub.ports import find_free_ports
from support.cohort import add_phantom
from support.servers_catalog import PEOPLE, REPOSITORY, Hub, managed_service, temp_hub, wait_until
from support.slicer import Slicer

ANNOTATION_PYTHON = Path(
    os.environ.get("AURELIUS_ANNOTATION_PYTHON") or REPOSITORY / ".venv-annotation" / "bin" / "python"
)
TRAIN = REPOSITORY / "monailabel-apps" / "radiology" / "train.py"


@dataclass(frozen=True)
class AnnotationServer:
    """A running annotation server."""

    hub: Hub
    home: Path

    @property
    def url(self) -> str:
        return f"{self.hub.url}/services/annotation"

    def open_slicer(self, person: str) -> Slicer:
        """Give a person's Slicer, which logs in with a fresh hub token as password."""
        return Slicer(self.url, person, self.hub.make_token(person, "annotation"))

    def is_ready(self) -> bool:
        """Whether the models are loaded."""
        token = self.hub.make_token("anton", "annotation")
        answer = httpx.get(f"{self.url}/info/", headers={"Authorization": f"Bearer {token}"}, timeout=10)
        return answer.status_code == 200 and "nodule" in answer.json()["models"]

    def find_worker(self) -> int | None:
        """Return the process id of this server's worker."""
        scratch = str(self.home / "annotation" / "scratch")
        for process in psutil.process_iter(["pid", "cmdline"]):
            command = process.info["cmdline"] or []
            if "aurelius_annotation.worker" in command and scratch in command:
                return int(process.info["pid"])
        return None


@dataclass
class House:
    """A running annotation server and what is in its catalog."""

    server: AnnotationServer
    settings: CatalogSettings
    phantoms: dict[str, Phantom] = field(default_factory=dict)

    def add(self, kind: PhantomKind = "ct-chest", site: str = "north") -> str:
        """Let a new patient in; returns the SeriesInstanceUID."""
        seed = 200 + len(self.phantoms)
        uid = add_phantom(self.settings, site, kind, seed, slice(None))
        self.phantoms[uid] = make_phantom(kind, seed)
        return uid

    def open_as(self, person: str) -> LocalStore:
        return LocalStore(self.settings, Person.of(person, PEOPLE[person]))

    def truth(self, image_id: str) -> np.ndarray:
        return self.phantoms[image_id.split("~")[0]].truth


def install_weights(home: Path) -> None:
    """Put trained weights into a home; they are trained once per checkout, about a minute."""
    target = home / "models" / "radiology" / "nodule.pt"
    command = [str(ANNOTATION_PYTHON), str(TRAIN), "--cached", "--output", str(target)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def temp_annotation(
    home: Path,
    *,
    people: Mapping[str, Sequence[str]] = PEOPLE,
    python: Path = ANNOTATION_PYTHON,
    wait: bool = True,
) -> Iterator[AnnotationServer]:
    """Run the server over the catalog in ``home``; ready when the models are loaded, unless ``wait`` is off."""
    if wait:
        install_weights(home)
    environment = {
        "AURELIUS_HOME": str(home),
        "AURELIUS_ANNOTATION_PYTHON": str(python),
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
    }
    command = [sys.executable, "-m", "aurelius_annotation.server"]
    service = managed_service("annotation", command, environment, find_free_ports(1)[0])
    service["oauth_client_allowed_scopes"] = ["tokens!user"]
    with temp_hub(home / "hub", [service], people=people) as hub:
        server = AnnotationServer(hub, home)
        if wait:
            wait_until(server.is_ready, "the models", seconds=180)
        yield server
    assert server.find_worker() is None, "the worker outlived its server"
