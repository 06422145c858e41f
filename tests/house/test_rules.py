"""The rules of the house that a machine can see: layout, imports one way, public names, no foreign address."""

import ast
import importlib
import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "aurelius_catalog": "data-catalog",
    "aurelius_hub": "hub",
    "aurelius_kernels": "kernels",
    "aurelius_extensions": "extensions",
    "aurelius_annotation": "monailabel-apps",
}
MAY_IMPORT = {
    "aurelius_catalog": set(),
    "aurelius_hub": set(),
    "aurelius_kernels": {"aurelius_catalog"},
    "aurelius_extensions": {"aurelius_catalog"},
    "aurelius_annotation": {"aurelius_catalog"},
}


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / FOLDERS[package] / package).rglob("*.py"))
    assert found, f"{package} has no module"
    return found


def imported_packages(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(FOLDERS))
def test_imports_go_one_way(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    wrong = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in modules(package)
        for name in imported_packages(file) & set(FOLDERS) - allowed
    }
    assert not wrong


def test_only_the_worker_side_imports_monai_label() -> None:
    wrong = {
        str(file.relative_to(ROOT))
        for package in set(FOLDERS) - {"aurelius_annotation"}
        for file in modules(package)
        if "monailabel" in imported_packages(file)
    }
    assert not wrong


@pytest.mark.parametrize("package", sorted(FOLDERS))
def test_public_names_are_sorted_and_importable(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__doc__
    names = getattr(module, "__all__", [])
    assert names == sorted(names)
    missing = [name for name in names if getattr(module, name, None) is None]
    assert not missing


@pytest.mark.parametrize("package", sorted(FOLDERS))
def test_packages_are_typed_and_modules_stay_readable(package: str) -> None:
    assert (ROOT / FOLDERS[package] / package / "py.typed").exists()
    too_long = [str(file.relative_to(ROOT)) for file in modules(package) if len(file.read_text().splitlines()) > 500]
    assert not too_long


def test_notebooks_are_committed_without_output() -> None:
    notebooks = sorted((ROOT / "notebooks").rglob("*.ipynb"))
    assert notebooks
    full = [
        notebook.name
        for notebook in notebooks
        for cell in json.loads(notebook.read_text())["cells"]
        if cell["cell_type"] == "code" and (cell["outputs"] or cell["execution_count"])
    ]
    assert not full


def test_locks_record_no_address() -> None:
    for name in ("requirements/main.txt", "requirements/annotation.txt"):
        assert "://" not in (ROOT / name).read_text()
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()


def test_no_tracked_file_is_a_secret() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout: which files are tracked cannot be known")
    marks = ("-----BEGIN " + "PRIVATE KEY", "-----BEGIN " + "RSA PRIVATE")
    readable = [ROOT / name for name in tracked if (ROOT / name).suffix in {".py", ".json", ".toml", ".md", ".txt", ""}]
    assert not [file.name for file in readable if any(mark in file.read_text(errors="ignore") for mark in marks)]
