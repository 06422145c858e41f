"""The commands of stewards and operators, with persons proven by a real hub."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.schema import audit_events
from aurelius_hub.ports import find_free_ports
from aurelius_intake.commands import vault as vault_command
from aurelius_intake.commands import withdraw
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import create_vault, open_vault
from aurelius_intake.withdrawal.withdrawal import is_withdrawn
from support.servers_catalog import PEOPLE, REPOSITORY, Hub, managed_service, temp_hub

APPS = {"vault": vault_command.app, "withdraw": withdraw.app}
SERVICE = REPOSITORY / "tests/support/steward_service.py"
STEWARDS = {**PEOPLE, "simon": ["role-steward"]}
NAME, NUMBER = "Wagner^Ottilie", "PID-774411"


@dataclass(frozen=True)
class House:
    hub: Hub
    settings: IntakeSettings
    pseudonym: str

    def call(self, command: str, *arguments: str, person: str = "", said: str = "") -> tuple[int, str]:
        """Run a command as a person with a token of theirs; without a person, as the operator."""
        environment = {"AURELIUS_HOME": str(self.settings.home), "AURELIUS_PUBLIC_URL": self.hub.url}
        if person:
            environment = {"AURELIUS_TOKEN": self.hub.make_token(person, "intake"), "AURELIUS_PUBLIC_URL": self.hub.url}
        result = CliRunner().invoke(APPS[command], arguments, input=said, env=environment)
        return result.exit_code, result.output

    def vault(self, *arguments: str, person: str) -> tuple[int, str]:
        return self.call("vault", *arguments, person=person)

    def list_actions(self) -> list[tuple[str, str]]:
        with open_engine(self.settings).begin() as connection:
            events = connection.execute(select(audit_events).order_by(audit_events.c.id)).mappings().all()
        assert NUMBER not in str(events)
        return [(event["person"], event["action"]) for event in events]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = IntakeSettings(home=tmp_path_factory.mktemp("house"))
    vault = create_vault(settings)
    pseudonym = vault.pseudonyms.name_patient("north", NUMBER)
    patient = {"site": "north", "PatientID": NUMBER, "PatientName": NAME, "pseudonym": pseudonym}
    vault.remember(**patient, StudyInstanceUID="2.25.1", uids={"1.2.3": "2.25.3"}, evidence=[NUMBER])
    environment = {"AURELIUS_HOME": str(settings.home)}
    service = managed_service("intake", [sys.executable, str(SERVICE)], environment, find_free_ports(1)[0])
    with temp_hub(tmp_path_factory.mktemp("hub"), [service], people=STEWARDS) as hub:
        yield House(hub, settings, pseudonym)


def test_two_stewards_open_a_pseudonym(house: House) -> None:
    code, said = house.vault("ask", house.pseudonym, "--reason", "incidental finding", person="stella")
    assert code == 0, said
    number = said.split()[1].strip(":")
    assert "another steward" in house.vault("open", number, person="stella")[1]
    for person, complaint in (("stella", "It takes two"), ("rhea", "rhea may not steward")):
        code, said = house.vault("approve", number, person=person)
        assert (code, complaint in said) == (1, True), said
    assert "stella may open request" in house.vault("approve", number, person="simon")[1]
    assert "who asked only" in house.vault("open", number, person="simon")[1]
    assert house.vault("open", number, person="stella") == (
        0,
        f"site: north\nPatientID: {NUMBER}\nPatientName: {NAME}\n",
    )
    assert "it is opened" in house.vault("open", number, person="stella")[1]
    listed = house.vault("list", person="simon")[1]
    assert f"{number}  opened" in listed
    assert "approved by simon" in listed
    actions = house.list_actions()
    assert [action for _, action in actions if action != "refused opening"] == [
        "ask to open",
        "approve opening",
        "open pseudonym",
    ]
    assert {person for person, action in actions if action == "refused opening"} == {"stella", "simon", "rhea"}


def test_the_maps_stay_in_the_identified_zone(house: House) -> None:
    number = house.vault("ask", "*", "--reason", "yearly audit", person="simon")[1].split()[1].strip(":")
    house.vault("approve", number, person="stella")
    code, said = house.vault("export", number, person="simon")
    assert (code, f"identified/exports/{number}" in said) == (0, True), said
    assert NUMBER not in said
    folder = house.settings.identified / "exports" / number
    assert list(csv.reader((folder / "patid_mapping.csv").open())) == [["id_old", "id_new"], [NUMBER, house.pseudonym]]
    assert list(csv.reader((folder / "uid_mapping.csv").open())) == [["id_old", "id_new"], ["1.2.3", "2.25.3"]]


def test_who_says_nothing_of_themselves_is_told_how(house: House) -> None:
    command = [sys.executable, "-m", "aurelius_intake.commands.vault", "list"]
    done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "AURELIUS_TOKEN" in done.stderr) == (1, True)
    answer = httpx.get(f"{house.hub.url}/services/intake/vault/requests", headers={"Authorization": "token none"})
    assert answer.status_code == 401


def test_a_patient_is_withdrawn_by_the_hospitals_number_from_standard_input(house: House) -> None:
    arguments = ["withdraw", "--site", "north", "--reason", "consent was taken back"]
    code, said = house.call(*arguments, person="rhea", said="4711\ny\n")
    assert (code, "rhea may not steward" in said) == (1, True), said
    assert house.call(*arguments, person="stella", said="4711\nn\n")[0] == 1
    code, said = house.call(*arguments, "--yes", person="stella", said="4711\n")
    pseudonym = open_vault(house.settings).pseudonyms.name_patient("north", "4711")
    assert (code, f"Withdrew {pseudonym}" in said) == (0, True), said
    assert "4711" not in said
    with open_engine(house.settings).begin() as connection:
        assert is_withdrawn(connection, pseudonym)
    code, said = house.call("withdraw", "AUR-NOBODY", "--reason", "x", "--yes", person="stella")
    assert (code, "There is no patient" in said) == (1, True), said


def test_the_operator_makes_a_vault_and_gives_it_another_key(tmp_path: Path, house: House) -> None:
    fresh = House(house.hub, IntakeSettings(home=tmp_path), "")
    code, said = fresh.call("vault", "rotate")
    assert (code, "aurelius vault create" in said) == (1, True), said
    code, said = fresh.call("vault", "create")
    assert code == 0, said
    key = tmp_path / "identified" / "key"
    before = key.read_text()
    assert before.split(":")[1].strip() not in said
    assert "a vault already" in fresh.call("vault", "create")[1]
    assert fresh.call("vault", "rotate")[0] == 0
    assert key.read_text() != before
    assert [action for _, action in fresh.list_actions()] == ["create vault", "rotate vault key"]
    assert all(person.endswith(" (operator)") for person, _ in fresh.list_actions())
