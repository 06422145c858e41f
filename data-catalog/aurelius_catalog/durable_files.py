"""Durable files: whole or not there at all, also after a power cut. Every environment imports it: no library is needed.

What is written goes to a temporary file beside its place, is synced, and takes its name in one step; the folder is
synced last. Whenever the process dies, the name stands for the old content or for the new one.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

#: For the owner's eyes only.
PRIVATE = 0o600
#: For everybody whom the process's umask does not keep out.
SHARED = 0o666
#: Ends a temporary name, so that none is taken for a finished file.
UNFINISHED = ".part"
#: How much of a name ends the temporary one where a writer goes by the suffix: a name has 255 bytes at most.
KEPT_CHARACTERS = 32


def write_durably(path: Path, content: bytes | Callable[[BinaryIO], object], *, mode: int = PRIVATE) -> None:
    """Write a file that survives a power cut; what has the name already is replaced.

    Parameters
    ----------
    path
        Its place, in a folder that exists.
    content
        What to write, or a function that writes it into the open file it is given.
    mode
        Permissions, less those the process's umask takes away.

    Raises
    ------
    OSError
        If it cannot be written; what was there before is still there, and nothing else.
    """
    with _open_draft(path, mode) as draft:
        _write(draft, content)
        sync_file(draft)
        os.replace(draft, path)
    sync_folder(path.parent)


def create_durably(path: Path, content: bytes | Callable[[BinaryIO], object], *, mode: int = PRIVATE) -> None:
    """Do as `write_durably` does, where the name is free: of several processes, one succeeds.

    Raises
    ------
    FileExistsError
        If there is a file of this name; it is left as it is.
    OSError
        If it cannot be written.
    """
    with _open_draft(path, mode) as draft:
        _write(draft, content)
        sync_file(draft)
        os.link(draft, path)
    sync_folder(path.parent)


@contextmanager
def replace_durably(path: Path, *, mode: int = PRIVATE) -> Iterator[Path]:
    """Give a temporary path to write to, for writers that take no open file; it takes its name when the block ends.

    Parameters
    ----------
    path, mode
        As of `write_durably`. The temporary path has the same suffix.

    Raises
    ------
    OSError
        If it cannot be written; an error in the block leaves what was there before, and nothing else.
    """
    with _open_draft(path, mode, path.name[-KEPT_CHARACTERS:]) as draft:
        yield draft
        sync_file(draft)
        os.replace(draft, path)
    sync_folder(path.parent)


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


@contextmanager
def _open_draft(path: Path, mode: int, ending: str = UNFINISHED) -> Iterator[Path]:
    """Make an empty file beside a place, and remove it if it is still there in the end."""
    draft = path.with_name(f".{secrets.token_hex(8)}{ending}")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _write(draft: Path, content: bytes | Callable[[BinaryIO], object]) -> None:
    with draft.open("wb") as file:
        if callable(content):
            content(file)
        else:
            file.write(content)
