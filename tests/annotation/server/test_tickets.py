from __future__ import annotations

from pathlib import Path

import pytest

from aurelius_annotation.server import tickets as module
from aurelius_annotation.server.tickets import Tickets
from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import NotFound, PermissionDenied

ANTON, RHEA = Person.of("anton", ["project-lung"]), Person.of("rhea", ["project-lung"])


@pytest.fixture
def tickets(tmp_path: Path) -> Tickets:
    made = Tickets(tmp_path / "key")
    made.remember(ANTON)
    made.remember(RHEA)
    return made


def test_a_ticket_opens_its_series_for_its_person_only(tickets: Tickets) -> None:
    ticket = tickets.make(ANTON, "1.2.3")
    assert tickets.redeem(ticket) == (ANTON, "1.2.3")
    assert tickets.read(ticket, ANTON) == "1.2.3"
    with pytest.raises(PermissionDenied, match="somebody else"):
        tickets.read(ticket, RHEA)


def test_a_ticket_does_not_open_another_series(tickets: Tickets) -> None:
    code = tickets.make(ANTON, "1.2.3").split("~")[1]
    with pytest.raises(PermissionDenied):
        tickets.redeem(f"1.2.4~{code}")


def test_without_a_code_a_login_is_needed(tickets: Tickets) -> None:
    assert tickets.read("1.2.3", ANTON) == "1.2.3"
    with pytest.raises(PermissionDenied):
        tickets.redeem("1.2.3")


@pytest.mark.parametrize("image", ["", "../etc/passwd", "/etc/passwd", "1.2.3~", "1.2.3~xyz", "1.2..3", "1.2.3/.."])
def test_other_ids_are_unknown(tickets: Tickets, image: str) -> None:
    with pytest.raises(NotFound):
        tickets.read(image, ANTON)


def test_a_ticket_ages(tickets: Tickets, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = tickets.make(ANTON, "1.2.3")
    today = module._today()
    monkeypatch.setattr(module, "_today", lambda: today + 1)
    assert tickets.redeem(ticket)[1] == "1.2.3"  # a session across midnight
    monkeypatch.setattr(module, "_today", lambda: today + 2)
    with pytest.raises(PermissionDenied, match="no longer"):
        tickets.redeem(ticket)
    assert tickets.read(ticket, ANTON) == "1.2.3"  # with a login an old id is still understood: work is not lost


def test_the_newest_rights_count(tickets: Tickets) -> None:
    ticket = tickets.make(ANTON, "1.2.3")
    tickets.remember(Person.of("anton", []))
    assert tickets.redeem(ticket)[0].projects == frozenset()


def test_ids_outlive_a_restart(tickets: Tickets, tmp_path: Path) -> None:
    ticket = tickets.make(ANTON, "1.2.3")
    again = Tickets(tmp_path / "key")
    assert again.read(ticket, ANTON) == "1.2.3"
    with pytest.raises(PermissionDenied):
        again.redeem(ticket)  # whose rights nobody knows yet
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
