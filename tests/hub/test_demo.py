"""Whatever ends the demo, nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from aurelius_hub.guard import find_processes, is_alive
from support.servers_hub import login, new_session, poll, running_demo, start_kernel, start_notebook


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, marks=pytest.mark.soak, id="SIGKILL"),
        pytest.param(signal.SIGTERM, marks=pytest.mark.soak, id="SIGTERM"),
        pytest.param(signal.SIGINT, id="SIGINT"),
    ],
)
def test_nothing_stays_behind(tmp_path: Path, number: signal.Signals) -> None:
    with running_demo(tmp_path, stubs=True) as demo:
        with new_session(demo.address) as session:
            login(session, demo.address, "rhea", demo.passwords["rhea"])
            start_notebook(session, "rhea")
            start_kernel(session, demo.address, "rhea")
        commands = [" ".join(process.cmdline()) for process in find_processes(demo.run)]
        for part in ("aurelius_hub.app", "configurable-http-proxy", "aurelius_hub.issuer", "singleuser", "ipykernel"):
            assert [command for command in commands if part in command], f"no {part} among {commands}"
        demo.process.send_signal(number)
        demo.process.wait(timeout=60)
        assert poll(lambda: not find_processes(demo.run), 60), find_processes(demo.run)
    if number != signal.SIGKILL:
        assert demo.process.returncode == 0
        assert "Stopped." in (tmp_path / "demo.log").read_text()


def test_a_stop_in_the_middle_of_a_long_step_is_heard(tmp_path: Path) -> None:
    forever = tmp_path / "python"
    forever.write_text("#!/bin/sh\necho making chests\nexec sleep 600\n")
    forever.chmod(0o700)
    command = [sys.executable, "-m", "aurelius_hub.cli", "demo", "--port", "0", "--home", str(tmp_path / "home")]
    environment = os.environ | {"AURELIUS_ANNOTATION_PYTHON": str(forever)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout
        assert "Training" in process.stdout.readline()
        sleeper = psutil.Process(process.pid)
        assert poll(lambda: any(child.name() == "sleep" for child in sleeper.children()))
        [sleep] = [child for child in sleeper.children() if child.name() == "sleep"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert not is_alive(sleep)
    finally:
        process.kill()
        process.wait()


def test_one_home_holds_one_house(tmp_path: Path) -> None:
    with running_demo(tmp_path, stubs=True) as demo:
        outcome = run_command("demo", "--port", "0", "--home", str(tmp_path))
        expect_one_line(outcome, "already runs", str(demo.process.pid), "AURELIUS_HOME")


@pytest.mark.soak
def test_a_second_start_waits_for_the_first_to_be_gone_and_keeps_the_state(tmp_path: Path) -> None:
    with running_demo(tmp_path, stubs=True) as first:
        first.process.kill()
    with running_demo(tmp_path, stubs=True) as second:
        assert second.passwords == first.passwords
        assert second.run != first.run
        assert not find_processes(first.run)


@pytest.mark.soak
def test_a_service_that_dies_is_started_again(tmp_path: Path) -> None:
    with running_demo(tmp_path, stubs=True) as demo:
        [catalog, *_] = [p for p in find_processes(demo.run) if p.environ().get("JUPYTERHUB_SERVICE_NAME") == "catalog"]
        catalog.kill()

        def is_back() -> bool:
            found = [p for p in find_processes(demo.run) if is_catalog(p)]
            return any(process.pid != catalog.pid for process in found)

        assert poll(is_back, 90)


def is_catalog(process: psutil.Process) -> bool:
    try:
        return process.environ().get("JUPYTERHUB_SERVICE_NAME") == "catalog"
    except psutil.Error:
        return False


def run_command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aurelius_hub.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=60)


def expect_one_line(outcome: subprocess.CompletedProcess[str], *words: str) -> None:
    assert outcome.returncode == 1
    assert "Traceback" not in outcome.stderr
    assert len(outcome.stderr.strip().splitlines()) == 1, outcome.stderr
    for word in words:
        assert word in outcome.stderr


def test_a_taken_port_is_said_with_the_remedy(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        expect_one_line(run_command("demo", "--port", port, "--home", str(tmp_path)), f"Port {port} is taken", "--port")


def test_a_folder_that_cannot_be_written_is_said_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = run_command("demo", "--port", "0", "--home", str(tmp_path / "file" / "home"))
    expect_one_line(outcome, "cannot be written", "AURELIUS_HOME")


def test_a_missing_environment_is_said_with_the_remedy(tmp_path: Path) -> None:
    outcome = run_command("demo", "--port", "0", "--home", str(tmp_path), AURELIUS_ANNOTATION_PYTHON="/nowhere/python")
    expect_one_line(outcome, "annotation environment is missing", "make setup")


def test_production_needs_an_issuer(tmp_path: Path) -> None:
    expect_one_line(run_command("hub", AURELIUS_HOME=str(tmp_path)), "AURELIUS_ISSUER_URL")
