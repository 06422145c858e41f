"""Sealing values: AES-256-GCM, a random nonce each time, and the place of a value bound into its seal."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12  # NIST SP 800-38D section 8.2: 96 bits


class DecryptionFailed(Exception):
    """A sealed value was sealed with another key, was changed, or belongs to another place."""


class Cipher:
    """Seals and opens values with one key.

    Parameters
    ----------
    key
        32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, value: bytes, place: str) -> bytes:
        """Return nonce and ciphertext; ``place`` is authenticated, so the value opens nowhere else."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Return the value.

        Raises
        ------
        DecryptionFailed
            If key, content or place are not those it was sealed with.
        """
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError) as error:
            raise DecryptionFailed(place) from error


def verify_signature(public_key: str, data: bytes, signature: str) -> bool:
    """Whether ``signature`` over ``data`` was made with the private half of ``public_key`` (Ed25519, both hex)."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), data)
    except (InvalidSignature, ValueError):
        return False
    return True
