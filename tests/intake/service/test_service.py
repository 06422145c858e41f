"""The intake's service for stewards, in the intake's own process, behind a real hub."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from dicomweb_client import DICOMwebClient
from pydicom import dcmread

from aurelius_hub.ports import find_free_ports
from aurelius_intake.settings import IntakeSettings
from support.builders import write_ct
from support.servers_catalog import Hub, answers, managed_service, temp_hub, wait_until
from support.servers_intake import COMMAND, is_open, prepare_house, start_storescu, temp_intake


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("intake") / "home"


@pytest.fixture(scope="module")
def dicom_port() -> int:
    return find_free_ports(1)[0]


@pytest.fixture(scope="module")
def hub(home: Path, dicom_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    prepare_house(home)
    environment = {
        "AURELIUS_HOME": str(home),
        "AURELIUS_INTAKE_QUIET_S": "0.2",
        "AURELIUS_DICOM_PORT": str(dicom_port),
        "PATH": os.environ["PATH"],
    }
    service = managed_service("intake", [*COMMAND, "run"], environment, find_free_ports(1)[0])
    with temp_hub(tmp_path_factory.mktemp("hub"), [service]) as running:
        yield running


def call(hub: Hub, path: str, person: str | None = "stella", **options: object) -> httpx.Response:
    headers = {"Authorization": f"token {hub.make_token(person, 'intake')}"} if person else {}
    return httpx.get(f"{hub.url}/services/intake/{path}", headers=headers, timeout=30, **options)  # type: ignore[arg-type]


def count_stored(hub: Hub) -> int:
    return sum(counts["stored"] for counts in call(hub, "status").json()["sites"].values())


@pytest.mark.parametrize("path", ["status", "desk", "certificates", "vault/requests", "enter?next=/hub/home"])
def test_only_stewards_are_let_in(path: str, hub: Hub) -> None:
    assert call(hub, path).status_code in (200, 302)
    assert call(hub, path, person=None).status_code == 401
    refused = call(hub, path, person="rhea")
    assert refused.status_code == 403
    assert "steward" in refused.json()["detail"]


def test_what_comes_by_each_way_is_shown_in_numbers(hub: Hub, home: Path, dicom_port: int, tmp_path: Path) -> None:
    before = count_stored(hub)
    token = hub.make_token("anton", "intake")  # a sender of north, and no steward
    client = DICOMwebClient(
        f"{hub.url}/services/intake/stow/north", headers={"Authorization": f"token {token}"}, timeout=30
    )
    client.store_instances([dcmread(file) for file in write_ct(tmp_path / "stow", number=1)])
    sender = start_storescu(dicom_port, "SOUTH", "MR1", write_ct(tmp_path / "dimse", number=2)[0].parent)
    said, _ = sender.communicate(timeout=60)
    assert sender.returncode == 0, said
    wait_until(lambda: count_stored(hub) == before + 6, "the desk took what came")
    answer = call(hub, "status")
    status = answer.json()
    shown = {"key", "pending", "sites", "disk", "profile", "rate_per_minute", "changed_at", "running"}
    assert set(status) == shown
    assert status["key"] == {"usable": True, "reason": None}
    assert (status["pending"], status["running"], status["disk"]["taking"]) == (0, True, True)
    assert (status["sites"]["north"]["stored"], status["sites"]["south"]["stored"]) == (3, 3)
    counted = "aurelius_intake_study_seconds_count 2.0"
    wait_until(lambda: counted in call(hub, "metrics", person=None).text, "both studies were timed")
    metrics = call(hub, "metrics", person=None).text
    assert 'aurelius_intake_received_total{site="north",way="stow"} 3.0' in metrics
    assert 'aurelius_intake_received_total{site="south",way="dimse"} 3.0' in metrics
    assert 'aurelius_intake_objects{disposition="stored",site="south"} 3.0' in metrics
    assert "aurelius_intake_disk_taking 1.0" in metrics
    for text in (answer.text, metrics, (hub.home / "hub.log").read_text()):
        assert "Plantagenet" not in text
        assert "PAT-48151623" not in text
    study = call(hub, "certificates").json()[0]["StudyInstanceUID"]
    assert IntakeSettings(home=home).certificates.joinpath(f"{study}.json").is_file()
    assert call(hub, f"certificates/{study}/page").headers["content-type"].startswith("text/html")


def test_enter_logs_in_and_goes_on_inside_the_house_only(hub: Hub) -> None:
    with hub.log_in("stella") as browser:
        page = browser.get("/services/intake/enter", params={"next": "/hub/token"})
        assert page.status_code == 200
        assert page.url.path == "/hub/token"
        assert browser.get("/services/intake/status", headers={"Sec-Fetch-Mode": "cors"}).status_code == 200
        for target in ("//evil.example/", "/\\evil.example", "https://evil.example/", "/a\nb"):
            answer = browser.get("/services/intake/enter", params={"next": target}, follow_redirects=False)
            assert answer.status_code == 400, target


def test_listener_and_service_stop_with_the_intake(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{find_free_ports(1)[0]}"
    with temp_intake(tmp_path / "home", JUPYTERHUB_SERVICE_URL=url) as intake:
        wait_until(lambda: answers(f"{url}/health"), "the service", process=intake.process)
        with socket.create_connection(("127.0.0.1", intake.settings.dicom_port)):  # one who never asks for anything
            start = time.monotonic()
            intake.process.send_signal(signal.SIGTERM)
            assert intake.process.wait(30) == 0
            assert time.monotonic() - start < 20
    assert not answers(f"{url}/health")
    assert not is_open(intake.settings.dicom_port)
    assert "the intake has stopped" in intake.log.read_text()
    assert "Traceback" not in intake.log.read_text()
