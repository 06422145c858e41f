"""The rules of the house that a machine can see: layout, imports one way, public names, no foreign address."""

import ast
import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "aurelius_catalog": "data-catalog",
    "aurelius_deidentify": "data-catalog",
    "aurelius_intake": "data-catalog",
    "aurelius_hub": "hub",
    "aurelius_kernels": "kernels",
    "aurelius_extensions": "extensions",
    "aurelius_annotation": "monailabel-apps",
}


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / FOLDERS[package] / package).rglob("*.py"))
    assert found, f"{package} has no module"
    return found


def test_the_import_contracts_hold() -> None:
    # One way between packages and between rooms, no circle, lazy and type-only imports counted: pyproject.toml.
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_every_package_and_room_stands_in_a_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert set(contracts["root_packages"]) == set(FOLDERS)
    for package in ("aurelius_catalog", "aurelius_deidentify", "aurelius_intake"):
        [layers] = [each["layers"] for each in contracts["contracts"] if each.get("containers") == [package]]
        named = {name.strip() for layer in layers for name in layer.split("|")} | {"__init__", "phantoms"}
        inside = (ROOT / FOLDERS[package] / package).iterdir()
        rooms = {each.stem for each in inside if each.suffix == ".py" or (each / "__init__.py").exists()}
        assert rooms <= named, "an import contract has to say where each room stands"


def test_a_class_name_stands_for_one_thing() -> None:
    found: dict[str, list[str]] = {}
    for package in FOLDERS:
        for file in modules(package):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    found.setdefault(node.name, []).append(str(file.relative_to(ROOT)))
    assert not {name: where for name, where in found.items() if len(where) > 1}


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


def test_pre_commit_runs_what_make_check_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [each["repo"] for each in hooks] == ["local"], "the tools are those of the locks, never fetched"
    entries = {hook["entry"].split(" --")[0] for each in hooks for hook in each["hooks"]}
    makefile = (ROOT / "Makefile").read_text()
    check = makefile[makefile.index("\ncheck:") :].split("\n\n")[0]
    tools = {entry for entry in entries if entry.startswith(".venv/bin/")}
    assert {tool for tool in tools if tool.split()[0] in check} == tools
    assert "setup.py check" in check, "which runs `npm run check`"
