"""Data files packaged beside the modules: lists of words and tables; lines that begin with # say what a file is."""

from __future__ import annotations

import csv
from importlib.resources import files


def read_lines(package: str, name: str) -> list[str]:
    """Return the lines of a packaged file that are not comments and not empty.

    Parameters
    ----------
    package
        The import package the file lies in.
    name
        Its name.

    Raises
    ------
    FileNotFoundError
        If the package holds no such file.
    """
    lines = (files(package) / name).read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def read_words(package: str, name: str) -> frozenset[str]:
    """Return the words of a packaged list, in small letters; spaces and line ends stand between them.

    Raises
    ------
    FileNotFoundError
        If the package holds no such file.
    """
    return frozenset(" ".join(read_lines(package, name)).casefold().split())


def read_rows(package: str, name: str) -> list[dict[str, str]]:
    """Return the rows of a packaged CSV table, by the names in its first line.

    Raises
    ------
    FileNotFoundError
        If the package holds no such file.
    """
    return list(csv.DictReader(read_lines(package, name)))
