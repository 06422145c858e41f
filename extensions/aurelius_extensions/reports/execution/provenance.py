"""The provenance of a run: the packages, code and device it was computed with."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import pynvml

from aurelius_extensions.reports.records import Environment

REPOSITORY = Path(__file__).resolve().parents[4]


def read_environment(repository: Path = REPOSITORY) -> Environment:
    """Describe the environment of this process, which is the one its kernels get."""
    packages = list_packages()
    lock = repository / "requirements" / "main.txt"
    commit = _ask_git(repository, "rev-parse", "HEAD")
    changes = _ask_git(repository, "status", "--porcelain", "--untracked-files=no")
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        device=describe_device(),
        packages=packages,
        packages_sha256=hashlib.sha256(json.dumps(packages, sort_keys=True).encode()).hexdigest(),
        lock_sha256=hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None,
        commit=commit,
        modified=None if changes is None else bool(changes),
    )


def list_packages() -> dict[str, str]:
    """Return every installed distribution with its version, by name."""
    found = {dist.metadata["Name"].lower(): dist.version for dist in metadata.distributions() if dist.metadata["Name"]}
    return dict(sorted(found.items()))


def describe_device() -> str:
    """Name the GPUs with their driver, or the processor's architecture where there is none."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver, or one that does not answer
        return f"cpu {platform.machine()}"
    try:
        gpus = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        driver = pynvml.nvmlSystemGetDriverVersion()
        return "; ".join(f"{pynvml.nvmlDeviceGetName(gpu)}, {driver}" for gpu in gpus) or f"cpu {platform.machine()}"
    except pynvml.NVMLError:
        return f"cpu {platform.machine()}"
    finally:
        pynvml.nvmlShutdown()


def _ask_git(repository: Path, *words: str) -> str | None:
    return _ask("git", "-C", str(repository), *words) if (repository / ".git").exists() else None


def _ask(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
