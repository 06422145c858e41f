"""The model tasks' folders: what the worker's environment can import, and what tells how to add one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import aurelius_annotation
from aurelius_annotation import tasks

PACKAGE = Path(aurelius_annotation.__file__).parent
FOLDER = Path(tasks.__file__).parent
WORKER_SIDE = [
    PACKAGE / "__init__.py",
    PACKAGE / "files.py",
    *sorted(PACKAGE.glob("tasks/**/*.py")),
    *sorted(PACKAGE.glob("worker/**/*.py")),
]
#: What the annotation environment lacks, and what only the server may import.
SERVER_SIDE = ("aurelius_annotation.server", "aurelius_catalog.local", "fastapi", "sqlalchemy", "uvicorn")


def list_imports(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("file", [file for file in WORKER_SIDE if file.exists()], ids=lambda file: file.stem)
def test_the_workers_side_imports_nothing_of_the_server(file: Path) -> None:
    assert not [name for name in list_imports(file) if name.startswith(SERVER_SIDE)]


def test_every_task_says_what_it_is_and_is_listed() -> None:
    listed = (FOLDER / "README.md").read_text()
    folders = [path.parent for path in FOLDER.glob("*/task.py")]
    assert folders
    for folder in folders:
        assert (folder / "README.md").exists()
        assert f"{folder.name}/README.md" in listed
