"""Secrets that are made once per home and kept in files only their owner can read."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def make_private_folder(path: Path) -> Path:
    """Create ``path`` with its parents and close it to everybody else."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` for its owner's eyes only: whole or not at all, also after a power cut.

    The same semantics as `aurelius_catalog.durable_files.write_durably`, written here because the hub imports no other
    package of the house.
    """
    draft = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name, too
    finally:
        os.close(folder)


def read_or_create(path: Path, make: Callable[[], str]) -> str:
    """Return the secret in ``path``; where there is none, store what ``make`` returns."""
    if not path.exists():
        make_private_folder(path.parent)
        write_private(path, make())
    return path.read_text().strip()
