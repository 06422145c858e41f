"""Ports chosen for servers that start a while later."""

from __future__ import annotations

import socket

import pytest

from aurelius_hub.errors import CannotStart
from aurelius_hub.ports import NEVER_HANDED_OUT, choose_ports, find_free_ports, is_free, list_ports
from aurelius_hub.settings import HubSettings


def test_chosen_ports_are_free_and_never_the_near_end_of_a_connection() -> None:
    ports = find_free_ports(50)
    assert len(set(ports)) == 50
    assert all(is_free(port) for port in ports)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getsockname()[1] not in NEVER_HANDED_OUT


def test_a_port_in_use_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", find_free_ports(1)[0])) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr("aurelius_hub.ports.NEVER_HANDED_OUT", range(taken, taken + 1))
        with pytest.raises(CannotStart, match="no free port"):
            find_free_ports(1)


def test_only_ports_that_are_0_are_replaced() -> None:
    chosen = list_ports(choose_ports(HubSettings(port=0, hub_port=5)))
    assert chosen["hub_port"] == 5
    assert chosen["port"] in NEVER_HANDED_OUT
    assert "dicom_port" not in chosen, "it stays shut unless somebody asks the intake for it"
