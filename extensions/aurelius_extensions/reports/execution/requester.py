"""The requester of a report: handed to its kernel, so that the catalog answers with that person's rights.

The service hands the person to the process that executes the report through its standard input, and that
process to the kernel through the environment: nothing stands in arguments or on disk. The kernel
gets no token of the hub.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from aurelius_catalog import open_catalog
from aurelius_catalog.access.person import Person

if TYPE_CHECKING:
    from aurelius_catalog import Catalog

PERSON_VARIABLE = "AURELIUS_REPORT_PERSON"


def open_as_requester() -> Catalog:
    """Open the catalog with the rights of the person who asked for the report.

    In a report that the service runs, that is the person who pressed the button. In a notebook that is open
    in JupyterLab it is the person at work there, so a report can be written and tried there.
    """
    given = os.environ.get(PERSON_VARIABLE)
    if given is None:
        return open_catalog()
    return open_catalog(home=Path(os.environ["AURELIUS_HOME"]), person=read_person(given))


def write_person(name: str, groups: tuple[str, ...]) -> str:
    """Write a person for :func:`read_person`."""
    return json.dumps({"name": name, "groups": sorted(groups)})


def read_person(text: str) -> Person:
    """Read what :func:`write_person` wrote; a service's role is never accepted."""
    given = json.loads(text)
    return Person.of(given["name"], given["groups"])
