"""Writing files whole, hashing them, and keeping secrets out of them."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from aurelius_catalog.durable_files import sync_folder

SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|CRYPT_KEY|API_KEY|DATABASE_URL")
REMOVED = "[removed]"


def write_file(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all; only its owner may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", encoding="utf-8", delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)
    sync_folder(path.parent)


def hash_bytes(content: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def list_secrets(environment: Mapping[str, str]) -> list[str]:
    """Return the values in an environment that no stored file may hold, longest first.

    Of a database's address the password counts too, as a driver's error may repeat it alone.
    """
    found = set()
    for name, value in environment.items():
        if SECRET_NAME.search(name):
            password = urlsplit(value).password if name.endswith("_URL") else None
            found |= {value, password or value}
    return sorted((value for value in found if len(value) >= 8), key=len, reverse=True)


def redact_text(text: str, secrets: list[str]) -> str:
    """Replace every secret value in ``text``."""
    for secret in secrets:
        text = text.replace(secret, REMOVED)
    return text
