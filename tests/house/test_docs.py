"""The documents of the house: every path, dotted name and link in them exists."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").is_file())
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
FOLDERS = {name.partition("/")[0] for name in TRACKED if "/" in name}
PACKAGES = {path.name: path for folder in FOLDERS for path in (ROOT / folder).glob("aurelius_*") if path.is_dir()}
DOCUMENTS = [
    name
    for name in TRACKED
    if name in ("README.md", "CONTRIBUTING.md") or re.fullmatch(r"docs/.*\.md|[^/]+/README\.md", name)
]
#: Decisions tell what was true when they were made, so that only their links must lead somewhere.
CURRENT = [name for name in DOCUMENTS if not name.startswith("docs/decisions/")]
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"[\w.*-]+(/[\w.*-]+)*/?")
#: Paths below the house's own folders, such as `AURELIUS_HOME`, are not of the repository.
_MODULE = re.compile(r"(?!AURELIUS_)[\w/.*-]+\.py")
_DOTTED = re.compile(r"\baurelius_[a-z]+(?:\.[A-Za-z_]\w*)+")
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def read_paths(text: str, beside: Path) -> Iterator[str]:
    """Yield the paths in code spans that begin with a folder of the repository, or with one beside the document."""
    for span in _CODE.findall(text):
        first, slash, _ = span.partition("/")
        is_ours = first in FOLDERS or (bool(first.strip(".")) and (beside / first).is_dir())
        if slash and is_ours and _PATH.fullmatch(span) and not _MODULE.fullmatch(span):
            yield span


def is_tracked(path: str) -> bool:
    """Whether a path, from any folder on, is one of the repository; it may hold asterisks."""
    return any(fnmatch(f"/{tracked}", f"*/{path}") for tracked in TRACKED)


def is_defined(dotted: str) -> bool:
    """Whether a dotted name is a module of the house, or something that one of its modules defines or imports."""
    package, *parts = dotted.split(".")
    place = PACKAGES[package]
    for number, part in enumerate(parts):
        if (place / part).is_dir():
            place /= part
            continue
        module = place / f"{part}.py"
        rest = parts[number + 1 :] if module.is_file() else parts[number:]
        source = (module if module.is_file() else place / "__init__.py").read_text()
        defined = rf"^(?:(?:async )?def |class |from .* import .*\b|){rest[0]}\b" if rest else ""
        return re.search(defined, source, re.MULTILINE) is not None
    return True


@pytest.mark.parametrize("name", CURRENT)
def test_paths_in_documents_exist(name: str) -> None:
    """Every path of the repository that a document names leads to a file, and so does every bare module name."""
    text, beside = (ROOT / name).read_text(), (ROOT / name).parent
    missing = [path for path in read_paths(text, beside) if not any([*ROOT.glob(path), *beside.glob(path)])]
    missing += [span for span in _CODE.findall(text) if _MODULE.fullmatch(span) and not is_tracked(span)]
    assert missing == []


@pytest.mark.parametrize("name", CURRENT)
def test_dotted_names_in_documents_exist(name: str) -> None:
    """Every dotted name of a package of the house leads to a module, or to something in one."""
    names = _DOTTED.findall((ROOT / name).read_text())
    assert [dotted for dotted in names if dotted.split(".")[0] not in PACKAGES or not is_defined(dotted)] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_in_documents_lead_somewhere(name: str) -> None:
    """Every relative link leads to a file or a folder."""
    links = _LINK.findall((ROOT / name).read_text())
    assert [link for link in links if not (ROOT / name).parent.joinpath(link).exists()] == []


def test_documents_are_found() -> None:
    """The documents that are checked are those of the house."""
    assert {"README.md", "docs/dicomweb.md", "hub/README.md"} <= set(CURRENT) < set(DOCUMENTS)
