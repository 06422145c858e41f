"""The worker ends with its server, however the server ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from support.servers_annotation import ANNOTATION_PYTHON
from support.servers_catalog import wait_until

PARENT = """
import asyncio
from aurelius_annotation.server.worker_pool import WorkerPool
from aurelius_annotation.server.settings import AnnotationSettings

async def main():
    await WorkerPool(AnnotationSettings()).start()
    await asyncio.sleep(120)

asyncio.run(main())
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_never_outlives_its_server(annotation_python: Path, tmp_path: Path, end: signal.Signals) -> None:
    environment = {**os.environ, "AURELIUS_HOME": str(tmp_path), "AURELIUS_ANNOTATION_PYTHON": str(ANNOTATION_PYTHON)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], env=environment)
    try:
        process = psutil.Process(parent.pid)
        wait_until(lambda: process.children(), "the worker", seconds=30, process=parent)
        [worker] = process.children()
        command = " ".join(worker.cmdline())
        assert "JUPYTERHUB" not in " ".join(worker.environ())
    finally:
        parent.send_signal(end)
        parent.wait(10)
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, f"end of {command}", 30)
