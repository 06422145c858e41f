"""The address of the DICOMweb service, as responses name it."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Request

from aurelius_catalog.service.stores import read_settings

_PORT = re.compile(r":\d+$")
_USUAL_PORTS = {"http": 80, "https": 443}


async def spell_root(request: Request) -> str:
    """FastAPI dependency: the address of this DICOMweb service, such as ``https://…/dicomweb``.

    It is the public address of the house where one is set, whatever the request's headers say; else the address that
    the client used, through however many proxies.
    """
    settings, path = read_settings(), request.scope["path"]
    return (settings.public_url.rstrip("/") or _read_origin(request, settings.port)) + (
        path[: path.index("/dicomweb") + len("/dicomweb")]
    )


Root = Annotated[str, Depends(spell_root)]


def _read_origin(request: Request, proxy_port: int) -> str:
    """Return scheme, host and port that the client used; ``proxy_port`` is that of the house's own proxy."""
    # Each proxy appends its scheme; the first is the client's own.
    forwarded = request.headers.get("x-forwarded-proto", "").split(",")[0].strip()
    scheme = forwarded if forwarded in _USUAL_PORTS else request.scope["scheme"]
    host, route = request.headers.get("host", ""), request.headers.get("x-forwarded-for")
    if _PORT.search(host):
        return f"{scheme}://{host}"
    # dicomweb-client leaves the port out: it is ours, or that of the house's proxy if nothing stands in front of it.
    port = request.scope["server"][1] if route is None else 0 if "," in route else proxy_port
    return f"{scheme}://{host}:{port}" if port not in (None, 0, _USUAL_PORTS[scheme]) else f"{scheme}://{host}"
