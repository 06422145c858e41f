"""The variables that each process of the house is given, and the ones it is not.

A service reads its own settings class from ``AURELIUS_*`` variables. The hub does not repeat those classes: it hands
on what the operator set, adds what it decides itself, and holds back what belongs elsewhere. The variables of the
identified zone reach the intake and the steward's commands only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

PREFIX = "AURELIUS_"
#: Settings of the intake alone: how the identified zone is kept, and by what key.
ZONE = re.compile(r"AURELIUS_(VAULT_|DICOM_|PULL_|APPROVAL_|AUDIT_|INTAKE_QUIET_|INTAKE_WORKERS)")
#: A variable with such a name goes nowhere unless it is named above.
SECRET = re.compile(r"KEY|SECRET|PASSWORD|TOKEN")
#: Settings of kernels, or decided by the hub for one service: never handed on.
HELD_BACK = frozenset({"AURELIUS_CATALOG_URL", "AURELIUS_HANDOVER"})
#: The index, with its password: for the services that open it.
DATABASE = "AURELIUS_DATABASE_URL"
#: A service answers from many threads; with an arena of the allocator for each, memory freed in one is lost to others.
MEMORY = {"MALLOC_ARENA_MAX": "2"}


def pass_basics() -> dict[str, str]:
    """Return what any program needs from the hub's own environment: where programs are, and the language."""
    names = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
    return {name: os.environ[name] for name in names if name in os.environ} | {"PYTHONUNBUFFERED": "1"}


def pass_settings(given: Mapping[str, str], *, zone: bool = False, index: bool = False) -> dict[str, str]:
    """Return the settings that a process may have out of those that the operator gave.

    Paths are made absolute: the operator wrote them for the folder the house is started in, and no process works there.

    Parameters
    ----------
    given
        An environment.
    zone
        Whether it works in the identified zone.
    index
        Whether it opens the index.
    """
    return {
        name: _make_absolute(value)
        for name, value in given.items()
        if name.startswith(PREFIX) and _may_have(name, zone, index)
    }


def drop_handed_on(environment: MutableMapping[str, str]) -> None:
    """Take out of the hub's own environment what only some services may have, once these were given it.

    The proxy is started with all of the hub's environment, whatever the hub is told.
    """
    allowed = pass_settings(environment)
    for name in [name for name in environment if name.startswith(PREFIX) and name not in allowed]:
        del environment[name]


def _make_absolute(value: str) -> str:
    """Return a value as it is, unless it is a relative path of something there, or of something in a folder there."""
    path = Path(value)
    there = value and not path.is_absolute() and (path.is_file() or ("/" in value and path.parent.is_dir()))
    return str(path.absolute()) if there else value


def _may_have(name: str, zone: bool, index: bool) -> bool:
    if ZONE.match(name):
        return zone
    if name == DATABASE:
        return index
    return name not in HELD_BACK and not SECRET.search(name)
