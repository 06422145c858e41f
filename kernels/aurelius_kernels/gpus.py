"""Which GPUs this machine has, and who holds which.

A lease is a lock on a file (flock(2)). The kernel process inherits it, so it ends with whoever could still
use the GPU, however that process ends, and nothing is ever left to clean up.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from aurelius_kernels.errors import NoGpuFree


@dataclass(frozen=True)
class Lease:
    """One GPU held: its name for ``CUDA_VISIBLE_DEVICES`` and the locked file."""

    device: str
    file: IO[bytes]

    def release(self) -> None:
        """Let go; the GPU is free once no process holds the file."""
        self.file.close()


def list_gpus() -> list[str]:
    """Return the names CUDA knows this machine's GPUs by, whole ones and MIG parts.

    ``AURELIUS_GPUS`` (names, separated by commas; empty for none) wins over what the driver reports.
    """
    named = os.environ.get("AURELIUS_GPUS")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=15, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_listing(listing)


def parse_listing(listing: str) -> list[str]:
    """Read ``nvidia-smi -L``: the MIG parts of a GPU that is divided, else the GPU."""
    gpus: list[list[str]] = []
    for kind, identifier in re.findall(r"\(UUID: ((?:GPU|MIG)-)([^)\s]+)\)", listing):
        if kind == "GPU-":
            gpus.append([kind + identifier])
        elif gpus:
            gpus[-1].append(kind + identifier)
    return [device for whole, *parts in gpus for device in parts or [whole]]


def lease_gpus(devices: Sequence[str], count: int, folder: Path) -> list[Lease]:
    """Lease ``count`` of ``devices``, all or none, without waiting.

    Parameters
    ----------
    devices
        What `list_gpus` found.
    count
        How many are wanted.
    folder
        Where the lock files are; every process of the machine must use the same.

    Raises
    ------
    NoGpuFree
        If fewer are free.
    """
    leases: list[Lease] = []
    for device in devices:
        if len(leases) == count:
            break
        file = _open_lock(folder, device)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            leases.append(Lease(device, file))
    if len(leases) < count:
        for lease in leases:
            lease.release()
        raise NoGpuFree(
            f"No GPU is free: {count} wanted, {len(leases)} of {len(devices)} free. Shut down a GPU kernel you no "
            "longer need (Running Terminals and Kernels), ask a colleague to, or choose the kernel without a GPU."
        )
    return leases


def _open_lock(folder: Path, device: str) -> IO[bytes]:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o1777)  # kernels of different system users share the leases
    path = folder / re.sub(r"[^\w.-]", "_", device)
    # Only to lock: reading is enough, and works on a file that another user made.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY | os.O_NOFOLLOW, 0o644))
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
