"""Making the vault of a house, opening it, and giving it another key."""

from __future__ import annotations

import os
import secrets as random
import sqlite3
from contextlib import closing
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, select

from aurelius_catalog.errors import InvalidRequest, KeyUnusable
from aurelius_intake.database import migrate, open_database, writing
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import key_file
from aurelius_intake.vault.encryption import KEY_BYTES, Cipher
from aurelius_intake.vault.tables import metadata, name_place, secrets
from aurelius_intake.vault.vault import CHECK, Vault, is_opened_by, write_notice


def find_vault(settings: IntakeSettings) -> Path:
    """Return the place of the vault, whether or not it exists."""
    return settings.identified / "vault.sqlite"


def open_vault(settings: IntakeSettings) -> Vault:
    """Open the vault of the house.

    Raises
    ------
    KeyUnusable
        If there is no vault, or no key that opens it, or others may read the key; the message says what to do.
    """
    file = find_vault(settings)
    if not file.exists():
        raise KeyUnusable("There is no vault yet: `aurelius vault create` makes it, and its key.")
    vault = Vault(file, lambda: key_file.list_keys(settings))
    if not settings.vault_key.get_secret_value():
        _finish_rotation(settings, vault)
    return vault


def create_vault(settings: IntakeSettings) -> Vault:
    """Make the vault of a house, and its key where none is given.

    The secret of a house from before there was a vault (a bare ``identified/key``) becomes the vault's pseudonym
    secret, so that its patients keep their pseudonyms.

    Raises
    ------
    InvalidRequest
        If there is a vault already.
    KeyUnusable
        If objects were taken with a vault that is gone, or the key is not usable.
    """
    file = find_vault(settings)
    settings.identified.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.identified.chmod(0o700)
    old = settings.identified / "key"
    inherited = key_file.read_key_file(old) if key_file.is_legacy(old) else None
    if file.exists():
        raise InvalidRequest("There is a vault already. `aurelius vault rotate` gives it another key.")
    if inherited is None and _has_taken(settings.identified / "intake.sqlite"):
        raise KeyUnusable(
            "Objects were taken with a vault that is gone. Restore vault.sqlite and its key from your safe copy: "
            "a new vault would give every patient a second pseudonym."
        )
    if not settings.vault_key.get_secret_value() and not key_file.find_key_file(settings).exists():
        key_file.write_key_file(key_file.find_key_file(settings), random.token_bytes(KEY_BYTES))
    _write_vault(file, key_file.list_keys(settings)[0], inherited or random.token_bytes(KEY_BYTES))
    return open_vault(settings)


def rotate_key(settings: IntakeSettings, target: Path | None = None) -> Path:
    """Give the vault a new key, and keep it in the key file, or in ``target`` where the key is in the environment.

    Whatever moment the process dies at, a key that opens the vault is in one of the files.

    Returns
    -------
    Path
        The file the new key is in.

    Raises
    ------
    InvalidRequest
        If the key is in the environment and no target is given, or the target exists.
    KeyUnusable
        If the vault does not open.
    """
    given = bool(settings.vault_key.get_secret_value())
    if given and target is None:
        raise InvalidRequest("The key is in AURELIUS_VAULT_KEY: say by --to which file the new one is written to.")
    if target is not None and (not given or target.exists()):
        raise InvalidRequest("--to names a file that does not exist yet, and only where the key is in the environment.")
    vault, key = open_vault(settings), random.token_bytes(KEY_BYTES)
    with key_file.hold_key(settings):
        file = target or key_file.find_key_file(settings)
        key_file.write_key_file(target or key_file.find_next_file(file), key)
        vault.rotate(key)
        key_file.adopt_next(file)
    return file


def read_notice(settings: IntakeSettings, name: str) -> str | None:
    """Return a value the vault keeps in the clear; None if there is no vault or no such value."""
    file = find_vault(settings)
    if not file.exists():
        return None
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        row = connection.execute("SELECT value FROM notices WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else None


def _finish_rotation(settings: IntakeSettings, vault: Vault) -> None:
    """Put the key of a rotation that was cut off in its place, or drop it if the vault never came to use it."""
    file = key_file.find_key_file(settings)
    fresh = key_file.find_next_file(file)
    if not fresh.exists():
        return
    with key_file.hold_key(settings):
        if not fresh.exists():
            return
        with vault.begin() as connection:
            sealed = connection.execute(select(secrets.c.sealed).where(secrets.c.name == "check")).scalar_one()
        if is_opened_by(Cipher(key_file.read_key_file(fresh)), sealed):
            key_file.adopt_next(file)
        else:
            fresh.unlink()


def _write_vault(file: Path, key: bytes, secret: bytes) -> None:
    """Write a vault aside and link it to its name: whoever sees it sees it whole, and none is ever replaced."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    signer, cipher, engine = Ed25519PrivateKey.generate(), Cipher(key), open_database(draft)
    content = {"check": CHECK, "pseudonyms": secret, "signing": signer.private_bytes_raw()}
    try:
        with writing(engine) as connection:
            migrate(connection, "vault", metadata)
            for name, value in content.items():
                sealed = cipher.seal(value, name_place(secrets, name))
                connection.execute(insert(secrets).values(name=name, sealed=sealed))
            write_notice(connection, "public_key", signer.public_key().public_bytes_raw().hex())
        engine.dispose()  # the last to leave writes the journal into the file
        os.link(draft, file)
    except FileExistsError:
        raise InvalidRequest("There is a vault already. `aurelius vault rotate` gives it another key.") from None
    finally:
        draft.unlink()


def _has_taken(database: Path) -> bool:
    if not database.exists():
        return False
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute("SELECT 1 FROM items LIMIT 1").fetchone() is not None
        except sqlite3.OperationalError:  # the file was made, its table was not
            return False
