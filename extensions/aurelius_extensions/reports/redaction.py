"""The redaction of secrets: values of this process's environment that no stored file may hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|CRYPT_KEY|API_KEY|DATABASE_URL")
REMOVED = "[removed]"


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
