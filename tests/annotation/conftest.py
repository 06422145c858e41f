"""One annotation server for all tests of this folder: starting the worker takes a while."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aurelius_catalog.settings import CatalogSettings
from support.cohort import PROJECTS
from support.servers_annotation import ANNOTATION_PYTHON, House, temp_annotation


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
