"""One worker process: its start, and the messages it sends."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
from typing import Any

from aurelius_annotation.server.settings import AnnotationSettings


class WorkerLost(Exception):
    """The worker's end of the line is closed, or it does not answer."""


async def spawn_worker(settings: AnnotationSettings, theirs: socket.socket) -> asyncio.subprocess.Process:
    """Start a worker that speaks over ``theirs``; this process's copy of it is closed.

    Raises
    ------
    OSError
        If it cannot be started.
    """
    scratch = settings.folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True, mode=0o700)
    arguments = {
        "--app": settings.app,
        "--models": settings.models_folder,
        "--scratch": scratch,
        "--channel": theirs.fileno(),
    }
    # The worker needs no secret of the hub, only the mark by which the house finds its processes again.
    secret = ("JUPYTERHUB_", "AURELIUS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(secret) or name == "AURELIUS_RUN"}
    with theirs:
        return await asyncio.create_subprocess_exec(
            settings.annotation_python,
            "-m",
            "aurelius_annotation.worker",
            *(str(part) for pair in arguments.items() for part in pair),
            pass_fds=[theirs.fileno()],
            stdin=asyncio.subprocess.DEVNULL,
            env={**kept, "HOME": str(scratch), "MPLCONFIGDIR": str(scratch)},  # MONAI's parts write below HOME
        )


async def read_message(reader: asyncio.StreamReader, seconds: float) -> dict[str, Any]:
    """Return the next thing the worker says.

    Raises
    ------
    WorkerLost
        If it says nothing for so long, or ends.
    """
    try:
        line = await asyncio.wait_for(reader.readline(), seconds)
    except TimeoutError as error:
        raise WorkerLost(f"no answer within {seconds:.0f} s") from error
    except (ConnectionError, ValueError) as error:
        raise WorkerLost("its answer could not be read") from error
    if not line.endswith(b"\n"):
        raise WorkerLost("it ended in the middle of a task")
    message: dict[str, Any] = json.loads(line)
    return message
