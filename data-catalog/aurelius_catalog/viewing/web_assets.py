"""The files that browsers load, as ``make setup`` left them: viewers built elsewhere, bundles of our own scripts."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from aurelius_catalog.errors import NotFound

#: One folder per npm package of ``deploy/web.json``.
FOLDER = Path(sys.prefix) / "share" / "aurelius" / "web"


def find_web_asset(package: str, name: str) -> Path:
    """Return the path of one built file of a vendored npm package.

    Parameters
    ----------
    package
        The package's name on npm, such as ``"openseadragon"``.
    name
        The file's path below the package's built files, such as ``"openseadragon.min.js"``.

    Raises
    ------
    NotFound
        If there is no such file, or none below the package's folder.
    """
    path = list_web_assets(package).get(name)
    if path is None:
        raise NotFound(f"{package} has no such file.")
    return path


@cache
def list_web_assets(package: str) -> dict[str, Path]:
    """Return every file of a package by its name: a name that is not among them reaches no file system.

    Raises
    ------
    NotFound
        If the package is not installed here.
    """
    folder = FOLDER / package
    if not folder.is_dir():
        raise NotFound(f"The web files of {package} are not installed here: run `make setup`.")
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def read_bundle(folder: Path, name: str) -> str:
    """Return the script that was bundled from one module and all it imports.

    Parameters
    ----------
    folder
        Where the module lies.
    name
        The module's name without its ending, such as ``"worklist"``.

    Raises
    ------
    NotFound
        If the bundle was not built yet.
    """
    try:
        return (folder / f"{name}.bundle.js").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"The script {name} is not built here: run `make setup`.") from None
