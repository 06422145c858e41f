"""Checks of the machine before the house is started, each with its remedy."""

from __future__ import annotations

import importlib.util
import os
import sys
from tempfile import NamedTemporaryFile

from aurelius_hub.errors import CannotStart
from aurelius_hub.node import find_proxy
from aurelius_hub.ports import is_free, list_ports
from aurelius_hub.settings import HubSettings

OLDEST_PYTHON = (3, 11)
PACKAGES = ("jupyterhub", "jupyterlab", "oauthenticator", "voila", "papermill", "pydicom", "highdicom")


def check_machine(settings: HubSettings) -> None:
    """Check everything that the demo needs, but for its ports: an earlier run may be about to free them.

    Raises
    ------
    CannotStart
        At the first thing that is wrong.
    """
    check_python()
    check_environments(settings)
    find_proxy(settings.repository)
    check_home(settings)


def check_python() -> None:
    """Check the version of this Python."""
    if sys.version_info < OLDEST_PYTHON:
        have = ".".join(map(str, sys.version_info[:2]))
        raise CannotStart(
            f"This is Python {have}; Aurelius needs 3.11 or newer.", "Run `make setup PYTHON=python3.11`."
        )


def check_environments(settings: HubSettings) -> None:
    """Check that both environments are there."""
    for name in PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise CannotStart(f"The main environment lacks {name}.", "Run `make setup`.")
    if not os.access(settings.annotation_python, os.X_OK):
        raise CannotStart(
            f"The annotation environment is missing: there is no {settings.annotation_python}.",
            "Run `make setup`, or name its Python in AURELIUS_ANNOTATION_PYTHON.",
        )


def check_home(settings: HubSettings) -> None:
    """Check that the state folder can be written."""
    try:
        settings.state.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=settings.state):
            pass
    except OSError as error:
        raise CannotStart(
            f"The state folder {settings.state} cannot be written ({error.strerror}).",
            "Choose another with AURELIUS_HOME, or change its owner.",
        ) from None


def check_ports(settings: HubSettings) -> None:
    """Check that every port that is asked for by number is free.

    Raises
    ------
    CannotStart
        At the first that is taken.
    """
    asked = os.environ.get("AURELIUS_DICOM_PORT", "")  # the intake's own setting, but taken it is better known now
    for name, port in (list_ports(settings) | {"dicom_port": int(asked) if asked.isdigit() else 0}).items():
        if port and not is_free(port):
            remedy = "aurelius demo --port 8010 (make demo PORT=8010)" if name == "port" else f"AURELIUS_{name.upper()}"
            raise CannotStart(f"Port {port} is taken by another program.", f"Choose another: {remedy}.")
