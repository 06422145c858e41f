"""Ports: which are asked for, which are free."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

from aurelius_hub.errors import CannotStart
from aurelius_hub.settings import HubSettings

#: Ports that no system hands to an outgoing connection: Linux begins at 32768, others at 49152 (RFC 6335).
NEVER_HANDED_OUT = range(20_000, 32_768)


def list_ports(settings: HubSettings) -> dict[str, int]:
    """Return every port setting by its name; 0 means that a free one is to be chosen."""
    return {name: getattr(settings, name) for name in type(settings).model_fields if name.endswith("port")}


def choose_ports(settings: HubSettings) -> HubSettings:
    """Return ``settings`` with every port that is 0 replaced by a free one."""
    names = [name for name, port in list_ports(settings).items() if not port]
    return settings.model_copy(update=dict(zip(names, find_free_ports(len(names)), strict=True)))


def find_free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody uses, all different.

    Keycloak starts for half a minute before the hub takes its ports. A port that the system would choose may have
    become the near end of somebody's connection by then; those below are nobody's until a server asks for them.

    Raises
    ------
    CannotStart
        If there are not so many.
    """
    found: list[int] = []
    with ExitStack() as holders:  # all are held at once, so that no port is chosen twice
        for port in random.sample(NEVER_HANDED_OUT, len(NEVER_HANDED_OUT)):
            if len(found) == count:
                break
            try:
                holders.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    if len(found) < count:
        raise CannotStart("This machine has no free port left.", "End what listens on so many of them.")
    return found


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
