"""Extras are true: each of them, installed alone from the wheel, imports the packages it is for."""

from __future__ import annotations

import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: What each extra is for, and the modules inside that say themselves which other extra they need.
EXTRAS = {
    "hub": (["aurelius_hub"], []),
    "catalog": (
        ["aurelius_deidentify", "aurelius_catalog", "aurelius_intake"],
        [
            "aurelius_catalog.viewing",
            "aurelius_catalog.datasets.monai_reader",
            "aurelius_catalog.datasets.torch_dataset",
        ],
    ),
    "annotation": (["aurelius_annotation.server"], []),
    "kernel": (["aurelius_kernels", "aurelius_catalog"], []),
    "extensions": (["aurelius_extensions"], []),
    "worker": (["aurelius_annotation.worker", "aurelius_annotation.tasks"], []),
}
IMPORT_ALL = """
import importlib, pkgutil, sys
packages, left_out = (names.split(",") if names else [] for names in sys.argv[1:])
for package in packages:
    found = importlib.import_module(package)
    for module in pkgutil.walk_packages(found.__path__, f"{package}."):
        skipped = "__main__" in module.name or ".migrations" in module.name
        if not skipped and not module.name.startswith(tuple(left_out) or ("-",)):
            importlib.import_module(module.name)
"""


@pytest.fixture(scope="module")
def uv() -> str:
    found: str = runpy.run_path(str(ROOT / "deploy" / "setup.py"))["find_uv"]()
    return found


@pytest.fixture(scope="module")
def wheel(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(uv, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
    [made] = folder.glob("*.whl")
    return made


def run(*command: object) -> None:
    done = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("extra", list(EXTRAS))
def test_an_extra_installed_alone_imports_its_packages(uv: str, wheel: Path, tmp_path: Path, extra: str) -> None:
    python = tmp_path / "environment" / "bin" / "python"
    run(uv, "venv", "--quiet", "--python", sys.executable, python.parents[1])
    lock = "annotation" if extra == "worker" else "main"
    locked = ["--constraint", f"requirements/{lock}.txt"]
    if extra == "worker":  # whose own metadata cannot be satisfied
        locked += ["--override", "requirements/annotation-overrides.txt"]
    run(uv, "pip", "install", "--quiet", "--python", python, *locked, f"aurelius[{extra}] @ {wheel.as_uri()}")
    packages, left_out = EXTRAS[extra]
    run(python, "-c", IMPORT_ALL, ",".join(packages), ",".join(left_out))


def test_every_extra_of_the_house_is_tried() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    assert extras - {"bench", "test"} == set(EXTRAS)
