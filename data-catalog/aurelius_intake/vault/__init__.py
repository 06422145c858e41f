"""The vault: the way back from pseudonyms to people, sealed, and the secrets of the house, sealed with it."""

from __future__ import annotations

from aurelius_intake.vault.encryption import verify_signature
from aurelius_intake.vault.lifecycle import create_vault, find_vault, open_vault, read_notice, rotate_key
from aurelius_intake.vault.vault import Identity, Vault

__all__ = [
    "Identity",
    "Vault",
    "create_vault",
    "find_vault",
    "open_vault",
    "read_notice",
    "rotate_key",
    "verify_signature",
]
