"""The client of a steward's commands: it asks the intake's service with a token of the hub, which vouches for them."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import httpx

from aurelius_catalog.errors import InvalidRequest, Unreachable
from aurelius_catalog.remote.errors import read_refusal

#: Where the demo's house is reached.
DEFAULT_HUB = "http://127.0.0.1:8000"


def call_intake(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Call the intake's service as the person whose token is in ``AURELIUS_TOKEN`` or ``JUPYTERHUB_API_TOKEN``.

    Raises
    ------
    InvalidRequest
        If there is no token in the environment.
    Unreachable
        If the house does not answer.
    AureliusError
        Whatever the service refuses.
    """
    token = os.environ.get("AURELIUS_TOKEN") or os.environ.get("JUPYTERHUB_API_TOKEN")
    if not token:
        raise InvalidRequest(
            "Say who you are: put a token of yours into the environment variable AURELIUS_TOKEN. The hub makes one on "
            "its page 'Token'."
        )
    url = f"{find_house()}/services/intake/{path}"
    try:
        # Inside the house, always: a proxy set in the environment would carry identities out of it.
        answer = httpx.request(
            method, url, json=body, headers={"Authorization": f"token {token}"}, timeout=600, trust_env=False
        )
    except httpx.HTTPError as error:
        raise Unreachable(f"The house does not answer at {find_house()}: set AURELIUS_PUBLIC_URL.") from error
    if answer.is_error:
        raise read_refusal(answer)
    return answer.json()


def find_house() -> str:
    """Return the house's address: ``AURELIUS_PUBLIC_URL``, else where the catalog is reached, else the demo's."""
    if url := os.environ.get("AURELIUS_PUBLIC_URL"):
        return url.rstrip("/")
    if url := os.environ.get("AURELIUS_CATALOG_URL"):
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}{parts.path.split('/services/')[0].rstrip('/')}"
    return DEFAULT_HUB
