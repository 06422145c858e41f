"""The files that browsers load from the house: viewers built elsewhere, kept in the environment by ``make setup``."""

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
