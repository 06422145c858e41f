"""The process that executes a report: started, awaited, and ended with all its children."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from aurelius_extensions.reports.execution.execute import OUTCOME_FILE, ExecutionOutcome, Order
from aurelius_extensions.reports.settings import ReportSettings

#: What a report's process inherits. The hub's variables, its token among them, are not in it.
INHERITED = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"),
    *("VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
    *("AURELIUS_DATABASE_URL", "AURELIUS_MODELS", "AURELIUS_RUN"),
)
POLL_S = 0.1


class Interrupted(Exception):
    """The service is stopping; the run was ended for it."""


class Runner:
    """Executes reports one process each.

    Parameters
    ----------
    settings
        Where the catalog is.
    timeout_s
        Seconds after which a report is given up.
    """

    def __init__(self, settings: ReportSettings, timeout_s: float) -> None:
        self.settings = settings
        self.timeout_s = timeout_s

    def execute(self, folder: Path, order: Order, stopping: threading.Event) -> ExecutionOutcome | str:
        """Execute the report in ``folder``.

        Returns
        -------
        Outcome or str
            What the process left, or the reason why it left nothing.

        Raises
        ------
        Interrupted
            If ``stopping`` was set meanwhile. No process is left then.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", "aurelius_extensions.reports.execution.execute", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=self._list_environment(),
            cwd=folder,
            text=True,
            start_new_session=True,
        )
        try:
            ended = self._wait(process, order, stopping)
        finally:
            end_tree(process)
        if not ended:
            return f"It took longer than {self.timeout_s / 60:.3g} minutes and was stopped."
        if process.returncode != 0 or not (folder / OUTCOME_FILE).exists():
            return (
                f"The process that ran it broke off with exit code {process.returncode}; the service's log says more."
            )
        return ExecutionOutcome.model_validate_json((folder / OUTCOME_FILE).read_text("utf-8"))

    def _wait(self, process: subprocess.Popen[str], order: Order, stopping: threading.Event) -> bool:
        if process.stdin is None:
            raise RuntimeError("The process was started without a standard input.")
        try:
            process.stdin.write(order.model_dump_json() + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it died at once: the exit code tells
        until = time.monotonic() + self.timeout_s
        while process.poll() is None:
            if stopping.wait(POLL_S):
                raise Interrupted
            if time.monotonic() > until:
                return False
        return True

    def _list_environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in INHERITED}
        return kept | {"AURELIUS_HOME": str(self.settings.home.resolve())}


def end_tree(process: subprocess.Popen[str]) -> None:
    """End a process and everything it started; a kernel sits in a session of its own, so no signal to a group does."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    if process.poll() is None:
        process.kill()
    for child in family:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=10)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
