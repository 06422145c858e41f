"""The pool of workers, one per device: it starts, watches and restarts a worker, and hands it one task at a time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from aurelius_annotation.errors import TaskFailed, WorkerUnavailable
from aurelius_annotation.server.fair_queue import FairQueue, Job, JobOutcome
from aurelius_annotation.server.settings import AnnotationSettings
from aurelius_annotation.server.worker_process import WorkerLost, read_message, spawn_worker

LOG = logging.getLogger(__name__)

#: Seconds one task may take before the worker is taken for hung and replaced.
TASK_S = 300.0
#: Seconds the worker may take to load its app.
START_S = 300.0
#: Seconds between two starts of a worker that keeps dying: first, and at most.
BACKOFF_S = (0.5, 30.0)
#: Longest line a worker may send, in bytes.
LINE_BYTES = 1 << 24


class WorkerState(StrEnum):
    """Where the worker is in its life."""

    STARTING = "starting"
    READY = "ready"
    MISSING = "missing"
    STOPPED = "stopped"


class WorkerPool:
    """One worker for one device.

    Parameters
    ----------
    settings
        Which Python, app, weights and folders the worker gets.
    """

    def __init__(self, settings: AnnotationSettings) -> None:
        self.settings = settings
        self.state = WorkerState.STARTING
        self.info: dict[str, Any] = {}
        self._queue: FairQueue | None = None
        self._runner: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to keep a worker running; returns at once."""
        self._queue = FairQueue()
        self._runner = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        """End the worker, and every job with it."""
        self.state = WorkerState.STOPPED
        if self._runner is not None:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner
        self._fail_waiting()

    async def run(self, task: Mapping[str, Any], *, person: str = "", key: str | None = None) -> JobOutcome:
        """Run a task when its turn comes; cancelling the wait drops it.

        Raises
        ------
        WorkerUnavailable
            If there is no worker that could, or it ended in the middle.
        TaskFailed
            If the app could not do it.
        Superseded
            If a newer job replaced it.
        """
        if self.state is not WorkerState.READY or self._queue is None:
            raise WorkerUnavailable(self.explain())
        job = Job(task, person, key)
        self._queue.add(job)
        return await job.outcome

    def explain(self) -> str:
        """Say in one sentence what the worker is doing, and what to do about it."""
        if self.state is WorkerState.MISSING:
            return "The annotation environment is not installed, so no model can run. The remedy is `make setup`."
        if self.state is WorkerState.STARTING:
            return "The models are still loading; this takes up to a minute after a start. Try again in a moment."
        return "The models are ready." if self.state is WorkerState.READY else "The server is stopping."

    def _fail_waiting(self) -> None:
        if self._queue is not None:
            self._queue.fail_all(WorkerUnavailable(self.explain()))

    async def _keep_running(self) -> None:
        wait_s = BACKOFF_S[0]
        while True:
            if not self.settings.annotation_python.exists():
                self.state = WorkerState.MISSING
                LOG.error("There is no %s: no model can run until `make setup`.", self.settings.annotation_python)
                self._fail_waiting()
                await asyncio.sleep(BACKOFF_S[1])
                continue
            self.state = WorkerState.STARTING
            served = False
            try:
                served = await self._run_once()
            except Exception:  # whatever it is, the next worker may do better, and the server must go on
                LOG.exception("The annotation worker could not be run.")
            wait_s = BACKOFF_S[0] if served else min(wait_s * 2, BACKOFF_S[1])
            LOG.error("The annotation worker ended; it is started again in %.1f s.", wait_s)
            await asyncio.sleep(wait_s)

    async def _run_once(self) -> bool:
        """Start a worker and serve jobs until it ends; returns whether it ever became ready."""
        ours, theirs = socket.socketpair()
        process = await spawn_worker(self.settings, theirs)
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=LINE_BYTES)
        try:
            message = await read_message(reader, START_S)
            self.info = message["ready"]
            self.state = WorkerState.READY
            await self._serve(reader, writer, process)
        except WorkerLost as loss:
            LOG.error("The annotation worker was lost: %s", loss)
        finally:
            ready = self.state is WorkerState.READY
            if self.state is not WorkerState.STOPPED:
                self.state = WorkerState.STARTING
            writer.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return ready

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, process: asyncio.subprocess.Process
    ) -> None:
        assert self._queue is not None  # noqa: S101 - start() made it
        ended = asyncio.ensure_future(process.wait())
        try:
            while True:
                taking = asyncio.ensure_future(self._queue.take())
                await asyncio.wait({taking, ended}, return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    taking.cancel()
                    raise WorkerLost("it ended by itself")
                await self._give(taking.result(), reader, writer)
        finally:
            ended.cancel()

    async def _give(self, job: Job, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(json.dumps({"task": dict(job.task)}).encode() + b"\n")
            message = await read_message(reader, TASK_S)
        except (WorkerLost, asyncio.CancelledError):
            job.fail(WorkerUnavailable("The worker ended in the middle of this task. Try again in a moment."))
            raise
        if "error" in message:
            job.fail(TaskFailed(f"The model could not do this: {message['error']}"))
        elif job.outcome.done():  # its requester has stopped waiting
            Path(message["file"]).unlink(missing_ok=True)
        else:
            job.outcome.set_result(JobOutcome(Path(message["file"]), message["params"]))
