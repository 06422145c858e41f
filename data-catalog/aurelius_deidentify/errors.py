"""The base of every error of the house, and the errors of removing identifying values.

::

    AureliusError
    ├── NotFound           the index holds no such object
    ├── InvalidRequest     the request itself is malformed
    ├── NotDeidentifiable  an object cannot be de-identified with certainty
    ├── ProfileUnusable    a de-identification profile says something that is not understood
    └── KeyUnusable        the vault or its key is missing or not safe

`aurelius_catalog.errors` continues the tree.
"""

from __future__ import annotations


class AureliusError(Exception):
    """Base of every error that the house raises on purpose."""

    status_code = 500


class NotFound(AureliusError):
    """The index holds no such object."""

    status_code = 404


class InvalidRequest(AureliusError):
    """The request names an unknown attribute or an impossible value."""

    status_code = 400


class NotDeidentifiable(AureliusError):
    """An object cannot be de-identified with certainty; the message holds no value of the object."""

    status_code = 422


class ProfileUnusable(AureliusError):
    """A de-identification profile cannot be read, or says something that is not understood."""


class KeyUnusable(AureliusError):
    """The vault, or its key, is missing, damaged, or readable by others."""
