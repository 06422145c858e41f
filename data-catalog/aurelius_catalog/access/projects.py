"""Project rules: which studies belong to which project, as a steward writes them in ``projects.toml``.

::

    [lung]                       # a study belongs to lung if one of its series
    Modality = ["CT"]            # is a CT
    BodyPartExamined = ["CHEST"] # and of the chest
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aurelius_catalog.errors import InvalidRequest

Rules = Mapping[str, Mapping[str, list[str]]]


def load_rules(file: Path) -> Rules:
    """Read the rules; no file means no project.

    Raises
    ------
    InvalidRequest
        If the file is not TOML, or a value is not a list of strings.
    """
    if not file.exists():
        return {}
    try:
        rules = tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(f"{file.name} is not valid TOML: {error}") from error
    for project, conditions in rules.items():
        if not isinstance(conditions, dict) or not all(isinstance(values, list) for values in conditions.values()):
            raise InvalidRequest(f"{file.name}: [{project}] must hold lines like Modality = ['CT'].")
    return rules


def match_projects(rules: Rules, series_rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the projects a study with these series belongs to."""
    rows = list(series_rows)
    return {
        project
        for project, conditions in rules.items()
        if any(all(row.get(keyword) in values for keyword, values in conditions.items()) for row in rows)
    }
