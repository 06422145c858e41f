"""The processes of one start: run, waited for until they answer, and ended without a rest."""

from __future__ import annotations

import fcntl
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import httpx
import psutil

from aurelius_hub.environment import pass_basics, pass_settings
from aurelius_hub.errors import CannotStart, StepFailed
from aurelius_hub.secretfile import make_private_folder
from aurelius_hub.settings import HubSettings

LOCK_S = 40.0
POLL_S = 0.1


class ProcessGroup:
    """Everything one start of the house has running, and the guard that ends it.

    Use as a context manager. Leaving it, or dying in it, stops every process.

    Parameters
    ----------
    settings
        With all ports chosen; ``run`` is filled in here.
    """

    def __init__(self, settings: HubSettings) -> None:
        self.settings = settings.model_copy(update={"run": secrets.token_hex(8)})
        self.environment = pass_basics() | pass_settings(os.environ) | self.settings.to_environment()
        #: For the hub, which hands them on, and for steps that work in the identified zone.
        self.zone_environment = self.environment | pass_settings(os.environ, zone=True, index=True)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Take the home for this run and start the guard."""
        make_private_folder(self.settings.hub_state)
        make_private_folder(self.settings.logs)
        lock = take_lock(self.settings.hub_state / "lock")
        try:
            # The guard holds the lock too: the home is free again only when nothing runs any more.
            self._guard = subprocess.Popen(
                [self.settings.python, "-m", "aurelius_hub.guard", self.settings.run],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=pass_basics(),
                start_new_session=True,
                pass_fds=[lock],
            )
        finally:
            os.close(lock)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the guard and wait until it has ended everything."""
        if self._guard and self._guard.stdin:
            with suppress(BrokenPipeError):
                self._guard.stdin.close()
            self._guard.wait()
        for process in self.processes.values():
            process.wait()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start a long-running process that logs to ``logs/<name>.log``."""
        with open_log(self.settings.logs / f"{name}.log") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment | dict(environment or {}),
                cwd=self.settings.state,
                start_new_session=True,
                umask=0o077,
            )
        self.processes[name] = process
        if self._guard and self._guard.stdin:
            self._guard.stdin.write(f"{process.pid}\n".encode())
            self._guard.stdin.flush()

    def perform(
        self, name: str, command: Sequence[str], report: Callable[[str], None], *, in_zone: bool = False
    ) -> str:
        """Run a command to its end, handing each line it prints to ``report``; return what it printed.

        ``in_zone`` says whether it works in the identified zone.

        Raises
        ------
        StepFailed
            If it ends with an error; the message ends with the last line it printed.
        """
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.zone_environment if in_zone else self.environment,
            cwd=self.settings.state,
            start_new_session=True,
            text=True,
            umask=0o077,
        )
        lines = []
        with process, open_log(self.settings.logs / f"{name}.log") as log:
            try:
                for line in process.stdout or ():
                    log.write(line.encode())
                    if line.strip():
                        lines.append(line.rstrip())
                        report(lines[-1])
            except BaseException:
                # Leaving this block waits for the process, which nobody wants any more.
                process.terminate()
                raise
        if process.returncode:
            last = lines[-1] if lines else f"it printed nothing and ended with {process.returncode}"
            raise StepFailed(f"{name} failed: {last} (more in {self.settings.logs / f'{name}.log'})")
        return "\n".join(lines)

    def check_alive(self) -> None:
        """Raise if a process that should run has ended.

        Raises
        ------
        StepFailed
            Naming the process and its log.
        """
        for name, process in self.processes.items():
            if process.poll() is not None:
                log = self.settings.logs / f"{name}.log"
                raise StepFailed(f"The {name} has stopped with status {process.returncode}. Why is in {log}.")

    def wait_answer(self, name: str, url: str, seconds: float) -> None:
        """Wait until ``url`` answers 200.

        Raises
        ------
        StepFailed
            If it does not within ``seconds``, or a process ends meanwhile.
        """
        deadline = time.monotonic() + seconds
        while not answers(url):
            self.check_alive()
            if time.monotonic() > deadline:
                log = self.settings.logs / f"{name}.log"
                raise StepFailed(f"{name} does not answer after {seconds:.0f} s. Why may be in {log}.")
            time.sleep(POLL_S)


def answers(url: str) -> bool:
    """Whether a GET of ``url`` gives 200."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def open_log(path: Path) -> BinaryIO:
    """Open a log to append to, readable by its owner only."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab", buffering=0)


def take_lock(path: Path) -> int:
    """Lock the home for this run and return the descriptor that holds the lock.

    The guard of a run that was killed keeps the lock until the last process is gone, so this waits for it.

    Raises
    ------
    CannotStart
        If another run is there to stay.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 20, 0).decode() or "0"
            if psutil.pid_exists(int(owner)) or time.monotonic() > deadline:
                os.close(descriptor)
                raise CannotStart(
                    f"Aurelius already runs on {path.parent.parent} (process {owner}).",
                    "Stop it first, or choose another folder with AURELIUS_HOME.",
                ) from None
            time.sleep(POLL_S)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            return descriptor
