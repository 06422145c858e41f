"""The key of the vault: from an environment variable, or from a file that only its owner may read."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aurelius_catalog.durable_files import sync_folder, write_durably
from aurelius_catalog.errors import KeyUnusable
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault.encryption import KEY_BYTES

#: Written before the digits. A file without it is the pseudonym secret of a house from before there was a vault.
PREFIX = "aurelius-vault-key:"


def find_key_file(settings: IntakeSettings) -> Path:
    """Return the place of the key file, whether or not it exists."""
    return settings.vault_key_file or settings.identified / "key"


def find_next_file(file: Path) -> Path:
    """Return the place where a rotation keeps the new key until the vault is sealed with it."""
    return file.with_name(f"{file.name}.next")


def list_keys(settings: IntakeSettings) -> list[bytes]:
    """Return the keys to try: the one in force, and that of a rotation that was cut off.

    Raises
    ------
    KeyUnusable
        If there is none, or one is damaged or may be read by others.
    """
    if given := settings.vault_key.get_secret_value():
        return [parse_key(given, "AURELIUS_VAULT_KEY")]
    file = find_key_file(settings)
    found = [read_key_file(path) for path in (file, find_next_file(file)) if path.exists()]
    if not found:
        raise KeyUnusable(
            f"The key of the vault is missing: set AURELIUS_VAULT_KEY, or restore the file {file.name} from your "
            "safe copy. `aurelius vault create` makes both where there never was a vault."
        )
    return found


def read_key_file(path: Path) -> bytes:
    """Read a key file.

    Raises
    ------
    KeyUnusable
        If it cannot be read, is no key, or may be read by others.
    """
    try:
        mode, text = path.stat().st_mode, path.read_text(errors="replace")
    except OSError as error:
        raise KeyUnusable(f"The key file {path.name} cannot be read: {error.strerror}.") from error
    if mode & 0o077:
        raise KeyUnusable(f"Others than its owner may read the key: chmod 600 {path}")
    return parse_key(text.strip().removeprefix(PREFIX), path.name)


def is_legacy(path: Path) -> bool:
    """Whether a file is a pseudonym secret from before there was a vault."""
    return path.exists() and not path.read_text(errors="replace").startswith(PREFIX)


def parse_key(text: str, where: str) -> bytes:
    """Turn 64 hexadecimal digits into a key.

    Raises
    ------
    KeyUnusable
        If it is anything else; the text itself is not repeated.
    """
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyUnusable(f"{where} does not hold a key: it takes 64 hexadecimal digits. Restore your safe copy.")
    return key


def write_key_file(path: Path, key: bytes) -> None:
    """Write a key file for its owner's eyes only, whole and synced before it has its name."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_durably(path, f"{PREFIX}{key.hex()}\n".encode())


def adopt_next(file: Path) -> None:
    """Let the new key take the place of the old one; doing it again changes nothing."""
    fresh = find_next_file(file)
    if fresh.exists():
        fresh.replace(file)
        sync_folder(file.parent)


@contextmanager
def hold_key(settings: IntakeSettings) -> Iterator[None]:
    """Keep others from changing the key meanwhile; the system frees the lock when the process dies."""
    with (settings.identified / "vault.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
