"""One annotation server for all tests of this folder: starting the worker takes a while."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from aurelius_catalog.local import LocalStore
from aurelius_catalog.person import Person
from aurelius_catalog.phantoms import Phantom, PhantomKind, make_phantom
from aurelius_catalog.settings import CatalogSettings
from cohort import PROJECTS, add_phantom
from servers_annotation import ANNOTATION_PYTHON, AnnotationServer, temp_annotation
from servers_catalog import PEOPLE


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


@pytest.fixture(scope="session")
def annotation_python() -> Path:
    if not ANNOTATION_PYTHON.exists():
        pytest.skip("the annotation environment is missing: run `make setup`")
    return ANNOTATION_PYTHON


@pytest.fixture(scope="session")
def house(annotation_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("annotation")
    (home / "projects.toml").write_text(PROJECTS)
    with temp_annotation(home) as server:
        yield House(server, CatalogSettings(home=home, database_url=""))
