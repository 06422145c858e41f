"""Slides that are a folder to their reader, unpacked for as long as a process holds them, however it ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

PREFIX, LOCK = "aurelius-slide-", ".lock"


def unpack(archive: Path) -> tuple[Path, Callable[[], None]]:
    """Unpack a slide into the temporary folder, and remove there what killed processes left behind.

    A lock lies beside each unpacked slide; the system frees it when its holder dies.

    Returns
    -------
    folder : pathlib.Path
        What was unpacked, for this user only.
    remove : callable
        Removes it.
    """
    _remove_abandoned(Path(tempfile.gettempdir()))
    descriptor, name = tempfile.mkstemp(LOCK, PREFIX)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    folder, lock = Path(name.removesuffix(LOCK)), Path(name)

    def remove() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(descriptor)

    try:
        folder.mkdir(mode=0o700)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
    except BaseException:
        remove()
        raise
    return folder, remove


def _remove_abandoned(place: Path) -> None:
    for lock in place.glob(f"{PREFIX}*{LOCK}"):
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # gone meanwhile, or another user's
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)
        except BlockingIOError:  # the process that holds it is alive
            continue
        finally:
            os.close(descriptor)
