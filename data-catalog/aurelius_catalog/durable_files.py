"""What it takes for a file to survive a power cut."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, cast


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    sync_file(folder)


def write_private(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file for its owner's eyes only; it has its name once it is whole and synced, and else leaves nothing.

    Parameters
    ----------
    path
        Its place, in a folder that exists; what has the name already is replaced.
    write
        Writes the content into the file it is given.
    """
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:  # 0600
        try:
            write(cast(BinaryIO, file))
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
    sync_folder(path.parent)


def sync_file_system(folder: Path) -> None:
    """Make everything written to the file system of a folder survive a power cut: files, names and all.

    For many files this is one wait for the disk instead of one per file.

    Raises
    ------
    OSError
        If something could not be written.
    """
    if not sys.platform.startswith("linux"):
        os.sync()
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
    finally:
        os.close(handle)
