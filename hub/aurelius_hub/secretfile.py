"""Secrets that are made once per home and kept in files only their owner can read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile


def make_private_folder(path: Path) -> Path:
    """Create ``path`` with its parents and close it to everybody else."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one step, readable by the owner only."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)


def read_or_create(path: Path, make: Callable[[], str]) -> str:
    """Return the secret in ``path``; where there is none, store what ``make`` returns."""
    if not path.exists():
        make_private_folder(path.parent)
        write_private(path, make())
    return path.read_text().strip()
