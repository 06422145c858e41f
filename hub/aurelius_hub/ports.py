"""Ports: which are asked for, which are free."""

from __future__ import annotations

import socket

from aurelius_hub.settings import HubSettings

#: Ports that stay shut unless somebody asks for them.
OPTIONAL = frozenset({"dicom_port"})


def list_ports(settings: HubSettings) -> dict[str, int]:
    """Return every port setting by its name; 0 means that a free one is to be chosen (or none)."""
    return {name: getattr(settings, name) for name in type(settings).model_fields if name.endswith("port")}


def choose_ports(settings: HubSettings) -> HubSettings:
    """Return ``settings`` with every port that is 0 replaced by a free one."""
    names = [name for name, port in list_ports(settings).items() if not port and name not in OPTIONAL]
    holders = [socket.socket() for _ in names]
    try:
        # All are held at once, so that no port is chosen twice.
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        ports = {name: holder.getsockname()[1] for name, holder in zip(names, holders, strict=True)}
    finally:
        for holder in holders:
            holder.close()
    return settings.model_copy(update=ports)


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of this machine."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are only winding down is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
