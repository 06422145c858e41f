"""What it takes for a file to survive a power cut."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
