"""A real intake process with its network ways in, as a context manager, and peers that send to it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from aurelius_hub.ports import find_free_ports
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import create_vault
from aurelius_intake.zone.folders import Zone
from aurelius_intake.zone.items import IntakeItems, ItemState
from support.servers_catalog import wait_until

COMMAND = [sys.executable, "-m", "aurelius_intake"]
#: Two sites, as sites.toml says it; every test may write another file before it starts an intake.
SITES = """
[north]
called_ae = "NORTH"
callers = ["CT1", "CT2", "CT3", "CT4"]
senders = ["anton"]
[south]
called_ae = "SOUTH"
callers = ["MR1"]
"""


@dataclass(frozen=True)
class Intake:
    """A running intake process."""

    settings: IntakeSettings
    process: subprocess.Popen[bytes]
    log: Path

    def count(self) -> dict[tuple[str, ItemState], int]:
        return IntakeItems(Zone(self.settings).database).count()


def prepare_house(home: Path, sites: str = SITES) -> IntakeSettings:
    """Make what a steward makes before the first start: the vault and the file of the sites."""
    settings = IntakeSettings(home=home)
    Zone(settings)
    create_vault(settings)
    settings.sites_file.write_text(sites)
    return settings


@contextmanager
def temp_intake(home: Path, **variables: str) -> Iterator[Intake]:
    """Run an intake with a C-STORE listener on a free port; ready when the listener answers."""
    (port,) = find_free_ports(1)
    settings = prepare_house(home).model_copy(update={"dicom_port": port})
    environment = {
        **os.environ,
        "AURELIUS_HOME": str(home),
        "AURELIUS_INTAKE_QUIET_S": "0.3",
        "AURELIUS_DICOM_PORT": str(port),
        **variables,
    }
    log = home / "intake.log"
    with log.open("wb") as file:
        process = subprocess.Popen([*COMMAND, "run"], env=environment, stderr=file)
        try:
            wait_until(lambda: is_open(port), "the listener", process=process)
            yield Intake(settings, process, log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()


def is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def start_storescu(port: int, called: str, calling: str, *files: Path) -> subprocess.Popen[str]:
    """Send files or folders by dcmtk's storescu, in one association."""
    program = shutil.which("storescu")
    if program is None:
        pytest.skip("dcmtk is missing: apt-get install dcmtk")
    command = [program, "-v", "-aet", calling, "-aec", called, "+sd", "+r", "127.0.0.1", str(port), *map(str, files)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
