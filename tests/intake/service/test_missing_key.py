"""Without a key nothing is taken: a command says so and ends, a service of the hub stays and waits for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from aurelius_hub.ports import find_free_ports
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import create_vault
from aurelius_intake.zone.folders import Zone
from aurelius_intake.zone.items import IntakeItems
from support.builders import write_ct
from support.servers_catalog import answers, wait_until
from support.servers_intake import COMMAND


def test_a_command_without_a_key_says_what_to_do(tmp_path: Path) -> None:
    environment = os.environ | {"AURELIUS_HOME": str(tmp_path)}
    done = subprocess.run([*COMMAND, "run", "--once"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "aurelius vault create" in done.stderr


def test_a_service_without_a_key_stays_and_takes_files_once_there_is_one(tmp_path: Path) -> None:
    (port,) = find_free_ports(1)
    settings = IntakeSettings(home=tmp_path)
    zone = Zone(settings)
    write_ct(zone.inbox / "north")
    environment = os.environ | {
        "AURELIUS_HOME": str(tmp_path),
        "AURELIUS_INTAKE_QUIET_S": "0.1",
        "JUPYTERHUB_SERVICE_NAME": "intake",
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}",
        "JUPYTERHUB_SERVICE_PREFIX": "/services/intake/",
        "JUPYTERHUB_CLIENT_ID": "service-intake",
        "JUPYTERHUB_API_TOKEN": "none",
        "JUPYTERHUB_API_URL": "http://127.0.0.1:9/hub/api",
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, "run"], env=environment, stderr=log)
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/services/intake/health"), "the page", process=process)
            wait_until(lambda: b"nothing is taken" in (tmp_path / "log").read_bytes(), "the reason", process=process)
            assert not zone.database.exists() or sum(IntakeItems(zone.database).count().values()) == 0
            create_vault(settings)
            wait_until(
                lambda: zone.database.exists() and sum(IntakeItems(zone.database).count().values()) == 3,
                "the files to be taken",
                process=process,
            )
        finally:
            process.terminate()
            assert process.wait(30) == 0
