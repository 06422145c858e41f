"""The GPUs of this machine, and the lease that a kernel holds on one.

A lease is a lock on a file (flock(2)). The kernel process inherits it, so it ends with whoever could still
use the GPU, however that process ends, and nothing is ever left to clean up.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pynvml

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
    """Return the names CUDA knows this machine's GPUs by: the MIG parts of one that is divided, else the GPU.

    ``AURELIUS_GPUS`` (names, separated by commas; empty for none) wins over what the driver reports.
    """
    named = os.environ.get("AURELIUS_GPUS")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver, or one that does not answer
        return []
    try:
        gpus = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        return [pynvml.nvmlDeviceGetUUID(device) for gpu in gpus for device in _list_parts(gpu) or [gpu]]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _list_parts(gpu: Any) -> list[Any]:
    """Return the MIG devices of a GPU; none where it is not divided, or cannot be."""
    parts = []
    for number in range(_count_parts(gpu)):
        with suppress(pynvml.NVMLError_NotFound):  # numbers need not follow each other
            parts.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, number))
    return parts


def _count_parts(gpu: Any) -> int:
    try:
        divided = pynvml.nvmlDeviceGetMigMode(gpu)[0] == pynvml.NVML_DEVICE_MIG_ENABLE
        return pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu) if divided else 0
    except pynvml.NVMLError_NotSupported:
        return 0


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
