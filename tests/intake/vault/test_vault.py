"""The vault: sealed, opened by its key and by nothing else, rotated without loss, opened to two stewards only."""

from __future__ import annotations

import csv
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import InvalidRequest, KeyUnusable, NotFound, PermissionDenied
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.schema import audit_events
from aurelius_deidentify.header.pseudonyms import PseudonymKey
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import Vault, create_vault, key_file, open_vault, rotate_key, verify_signature
from aurelius_intake.vault.reidentification import EVERYBODY, Reidentifications, ReidentificationState

STELLA, SIMON, SARA = (Person.of(name, ["role-steward"]) for name in ("stella", "simon", "sara"))
RHEA = Person.of("rhea", ["role-researcher", "project-lung"])
NAME, NUMBER = "Wagner^Ottilie", "PID-774411"
OLD_UIDS = {"1.2.840.9.1": "2.25.91", "1.2.840.9.2": "2.25.92"}


@pytest.fixture
def settings(tmp_path: Path) -> IntakeSettings:
    return IntakeSettings(home=tmp_path)


@pytest.fixture
def vault(settings: IntakeSettings) -> Vault:
    return remember(create_vault(settings))


def remember(vault: Vault, **changes: Any) -> Vault:
    values: dict[str, Any] = {
        "site": "north",
        "PatientID": NUMBER,
        "PatientName": NAME,
        "pseudonym": "AUR-ONE",
        "StudyInstanceUID": "2.25.1",
        "uids": OLD_UIDS,
        "evidence": {"Wagner", "Ottilie", NUMBER},
    }
    vault.remember(**{**values, **changes})
    return vault


def read_sealed(settings: IntakeSettings) -> bytes:
    folder = settings.identified
    return b"".join(path.read_bytes() for path in sorted(folder.glob("vault.sqlite*")))


# -- keeping ---------------------------------------------------------------------------------------


def test_it_gives_back_what_it_was_given(settings: IntakeSettings, vault: Vault) -> None:
    remember(vault)
    remember(vault, uids={"1.2.840.9.3": "2.25.93"}, evidence={"20240102"}, PatientName="Berg^Ottilie")
    other = open_vault(settings)
    assert other.recall_evidence("2.25.1") == {"Wagner", "Ottilie", NUMBER, "20240102"}
    assert other.recall_uids("AUR-ONE") == {**OLD_UIDS, "1.2.840.9.3": "2.25.93"}
    identity = other.recall_identity("AUR-ONE")
    assert (identity.site, identity.PatientID, identity.PatientNames) == ("north", NUMBER, ("Berg^Ottilie", NAME))
    assert NUMBER not in repr(identity)
    with pytest.raises(NotFound):
        other.recall_evidence("2.25.404")
    other.forget("AUR-ONE")
    assert not vault.knows("AUR-ONE")
    assert vault.recall_uids("AUR-ONE") == {}


def test_nothing_identifying_and_no_secret_is_in_its_files(settings: IntakeSettings, vault: Vault) -> None:
    stored = read_sealed(settings)
    for value in ("Wagner", "Ottilie", NUMBER, "1.2.840.9.1"):
        assert value.encode() not in stored
    for secret in (vault.pseudonyms.secret, key_file.list_keys(settings)[0]):
        assert secret not in stored
        assert secret.hex().encode() not in stored
    for path in settings.identified.glob("vault.sqlite*"):
        assert path.stat().st_mode & 0o077 == 0
    assert settings.identified.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("tampering", ["move", "edit"])
def test_a_value_moved_to_another_row_or_edited_does_not_open(
    settings: IntakeSettings, vault: Vault, tampering: str
) -> None:
    remember(vault, pseudonym="AUR-TWO", StudyInstanceUID="2.25.2", PatientID="8", PatientName="Other^One")
    with closing(sqlite3.connect(settings.identified / "vault.sqlite")) as connection, connection:
        sealed = connection.execute("SELECT sealed FROM patients WHERE pseudonym = 'AUR-TWO'").fetchone()[0]
        value = sealed if tampering == "move" else sealed[:-1] + bytes([sealed[-1] ^ 1])
        target = "AUR-ONE" if tampering == "move" else "AUR-TWO"
        connection.execute("UPDATE patients SET sealed = ? WHERE pseudonym = ?", (value, target))
    with pytest.raises(KeyUnusable, match="changed or moved"):
        vault.recall_identity(target)


def test_it_signs_and_anybody_can_check(vault: Vault) -> None:
    signature = vault.sign(b"a certificate")
    assert verify_signature(vault.public_key, b"a certificate", signature)
    assert not verify_signature(vault.public_key, b"a certificatf", signature)
    assert not verify_signature(vault.public_key, b"a certificate", "no signature")
    assert not verify_signature("00" * 32, b"a certificate", signature)


# -- the key ---------------------------------------------------------------------------------------


def test_without_a_usable_key_it_says_what_to_do(settings: IntakeSettings) -> None:
    with pytest.raises(KeyUnusable, match="aurelius vault create"):
        open_vault(settings)
    create_vault(settings)
    with pytest.raises(InvalidRequest, match="a vault already"):
        create_vault(settings)
    key = settings.identified / "key"
    whole = key.read_text()
    key.chmod(0o640)
    with pytest.raises(KeyUnusable, match="chmod 600"):
        open_vault(settings)
    key.chmod(0o600)
    for text in ("no key", "ab" * 31, "ab" * 32):
        key.write_text(text)
        with pytest.raises(KeyUnusable, match="safe copy") as refused:
            open_vault(settings)
        assert text not in str(refused.value)
    key.unlink()
    with pytest.raises(KeyUnusable, match="AURELIUS_VAULT_KEY"):
        open_vault(settings)
    key.write_text(whole)
    key.chmod(0o600)
    open_vault(settings)


def test_the_key_may_be_in_the_environment(settings: IntakeSettings, tmp_path: Path) -> None:
    outside = settings.model_copy(update={"vault_key": type(settings.vault_key)("5c" * 32)})
    vault = remember(create_vault(outside))
    assert not (settings.identified / "key").exists()
    assert "5c5c" not in repr(outside)
    with pytest.raises(InvalidRequest, match="--to"):
        rotate_key(outside)
    fresh = rotate_key(outside, tmp_path / "new-key")
    with pytest.raises(KeyUnusable):
        open_vault(outside)
    again = settings.model_copy(update={"vault_key_file": fresh})
    assert open_vault(again).pseudonyms == vault.pseudonyms


def test_the_key_of_a_house_without_a_vault_is_taken_over_as_both(settings: IntakeSettings) -> None:
    settings.identified.mkdir()
    old = settings.identified / "key"
    old.write_text("7d" * 32 + "\n")
    old.chmod(0o600)
    vault = create_vault(settings)
    expected = PseudonymKey(bytes.fromhex("7d" * 32))
    assert vault.pseudonyms.name_patient("north", "1") == expected.name_patient("north", "1")
    rotate_key(settings)
    assert "7d" * 32 not in old.read_text()
    assert open_vault(settings).pseudonyms == expected


def test_a_lost_vault_is_not_made_anew_once_objects_were_taken(settings: IntakeSettings, vault: Vault) -> None:
    with closing(sqlite3.connect(settings.identified / "intake.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO items DEFAULT VALUES")
    for path in settings.identified.glob("vault.sqlite*"):
        path.unlink()
    with pytest.raises(KeyUnusable, match="second pseudonym"):
        create_vault(settings)


def test_rotation_seals_everything_anew_and_open_vaults_follow(settings: IntakeSettings, vault: Vault) -> None:
    before, running = key_file.list_keys(settings)[0], open_vault(settings)
    name = vault.pseudonyms.name_patient("north", NUMBER)
    rotate_key(settings)
    [after] = key_file.list_keys(settings)
    assert after != before
    assert running.recall_evidence("2.25.1") >= {"Wagner"}, "a process that held the old key reads the new one"
    remember(running, StudyInstanceUID="2.25.7")
    assert open_vault(settings).recall_uids("AUR-ONE") == OLD_UIDS
    assert open_vault(settings).pseudonyms.name_patient("north", NUMBER) == name
    key_file.write_key_file(settings.identified / "key", before)
    with pytest.raises(KeyUnusable, match="does not open with this key"):
        open_vault(settings)


MOMENTS = ["aurelius_intake.vault.key_file.write_key_file", "aurelius_intake.vault.vault.Vault.rotate"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", [*MOMENTS, "aurelius_intake.vault.key_file.adopt_next"])
def test_a_rotation_cut_off_at_any_step_leaves_a_vault_that_opens(
    settings: IntakeSettings, vault: Vault, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    class Died(BaseException):
        pass

    owner: Any = Vault if step.endswith(".rotate") else key_file
    real: Callable[..., Any] = getattr(owner, step.rsplit(".", 1)[1])

    def die(*arguments: Any) -> None:
        if after:
            real(*arguments)
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(owner, step.rsplit(".", 1)[1], die)
        with pytest.raises(Died):
            rotate_key(settings)
    again = open_vault(settings)
    assert again.recall_identity("AUR-ONE").PatientID == NUMBER
    assert len(key_file.list_keys(settings)) == 1, "only one key is left"
    rotate_key(settings)
    assert open_vault(settings).recall_uids("AUR-ONE") == OLD_UIDS


def test_an_interrupted_rotation_changes_nothing(
    settings: IntakeSettings, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullError(Exception):
        pass

    from aurelius_intake.vault.encryption import Cipher

    sealed = 0

    def seal(self: Cipher, value: bytes, place: str) -> bytes:
        nonlocal sealed
        sealed += 1
        if sealed > 3:
            raise FullError
        return b"half"

    with monkeypatch.context() as failing:
        failing.setattr(Cipher, "seal", seal)
        with pytest.raises(FullError):
            rotate_key(settings)
    assert open_vault(settings).recall_uids("AUR-ONE") == OLD_UIDS


def test_processes_may_write_while_the_key_rotates(settings: IntakeSettings, vault: Vault) -> None:
    def write(part: int) -> None:
        mine = open_vault(settings)
        for number in range(10):
            remember(mine, StudyInstanceUID=f"2.25.{part}.{number}", uids={f"1.{part}.{number}": f"2.{part}.{number}"})

    writers = [threading.Thread(target=write, args=(part,)) for part in (1, 2)]
    for writer in writers:
        writer.start()
    for _ in range(3):
        rotate_key(settings)
    for writer in writers:
        writer.join()
    assert len(open_vault(settings).recall_uids("AUR-ONE")) == 20 + len(OLD_UIDS)


# -- two stewards ----------------------------------------------------------------------------------


@pytest.fixture
def desk(settings: IntakeSettings, vault: Vault) -> Reidentifications:
    return Reidentifications(settings, vault, open_engine(settings))


def list_actions(desk: Reidentifications) -> list[tuple[str, str]]:
    with desk.engine.begin() as connection:
        rows = connection.execute(select(audit_events).order_by(audit_events.c.id)).mappings().all()
    assert NUMBER not in str(rows)
    assert "Wagner" not in str(rows)
    return [(row["person"], row["action"]) for row in rows]


def test_one_asks_another_agrees_the_first_is_told_once(desk: Reidentifications) -> None:
    number = desk.ask(STELLA, "AUR-ONE", "incidental finding, call the ward").id
    with pytest.raises(InvalidRequest, match="another steward must approve"):
        desk.open(STELLA, number)
    assert desk.approve(SIMON, number).approved_by == "simon"
    assert desk.open(STELLA, number).PatientID == NUMBER
    with pytest.raises(InvalidRequest, match="it is opened"):
        desk.open(STELLA, number)
    assert [request.state for request in desk.list_requests(SARA)] == [ReidentificationState.OPENED]
    assert list_actions(desk) == [
        ("stella", "ask to open"),
        ("stella", "refused opening"),
        ("simon", "approve opening"),
        ("stella", "open pseudonym"),
        ("stella", "refused opening"),
    ]


def test_nobody_approves_their_own_request(desk: Reidentifications) -> None:
    number = desk.ask(STELLA, "AUR-ONE", "recontact").id
    with pytest.raises(PermissionDenied, match="another steward"):
        desk.approve(STELLA, number)
    assert list_actions(desk)[-1] == ("stella", "refused opening")


def test_only_the_one_who_asked_is_told(desk: Reidentifications) -> None:
    number = desk.ask(STELLA, "AUR-ONE", "recontact").id
    desk.approve(SIMON, number)
    for person in (SIMON, SARA):
        with pytest.raises(PermissionDenied, match="who asked only"):
            desk.open(person, number)
    with pytest.raises(InvalidRequest, match="approved already"):
        desk.approve(SARA, number)
    assert desk.open(STELLA, number).PatientID == NUMBER


def test_it_takes_stewards(desk: Reidentifications) -> None:
    number = desk.ask(STELLA, "AUR-ONE", "recontact").id
    refused: list[Callable[[], object]] = [
        lambda: desk.ask(RHEA, "AUR-ONE", "curiosity"),
        lambda: desk.approve(RHEA, number),
        lambda: desk.open(RHEA, number),
        lambda: desk.export(RHEA, number),
        lambda: desk.list_requests(RHEA),
    ]
    for attempt in refused:
        with pytest.raises(PermissionDenied, match="rhea may not steward"):
            attempt()
    assert list_actions(desk)[1:] == [("rhea", "refused opening")] * 5


def test_a_request_lives_for_its_time_only(desk: Reidentifications) -> None:
    desk.settings = desk.settings.model_copy(update={"approval_hours": 0.4 / 3600})
    late, later = desk.ask(STELLA, "AUR-ONE", "recontact").id, desk.ask(STELLA, "AUR-ONE", "recontact").id
    desk.approve(SIMON, later)
    while any(request.state is not ReidentificationState.EXPIRED for request in desk.list_requests(SARA)):
        pass
    with pytest.raises(InvalidRequest, match="expired"):
        desk.approve(SIMON, late)
    with pytest.raises(InvalidRequest, match="expired"):
        desk.open(STELLA, later)


@pytest.mark.parametrize("reason", ["", "  ", "call Ottilie", "about pid-774411.", "WAGNER, again"])
def test_a_reason_is_needed_and_does_not_name_the_patient(desk: Reidentifications, reason: str) -> None:
    with pytest.raises(InvalidRequest):
        desk.ask(STELLA, "AUR-ONE", reason)
    assert desk.list_requests(STELLA) == []


def test_unknown_patients_and_requests_are_not_found(desk: Reidentifications) -> None:
    with pytest.raises(NotFound):
        desk.ask(STELLA, "AUR-NOBODY", "recontact")
    for number in (7, -1):
        with pytest.raises(NotFound):
            desk.approve(STELLA, number)


def test_an_approval_cannot_be_written_into_the_file(settings: IntakeSettings, desk: Reidentifications) -> None:
    first, second = (desk.ask(STELLA, "AUR-ONE", "recontact").id for _ in range(2))
    desk.approve(SIMON, first)
    with closing(sqlite3.connect(settings.identified / "vault.sqlite")) as connection, connection:
        approved = connection.execute("SELECT sealed FROM requests WHERE id = ?", (first,)).fetchone()[0]
        connection.execute("UPDATE requests SET sealed = ? WHERE id = ?", (approved, second))
    with pytest.raises(KeyUnusable):
        desk.open(STELLA, second)


def test_what_cannot_be_recorded_is_not_told(desk: Reidentifications, monkeypatch: pytest.MonkeyPatch) -> None:
    number = desk.ask(STELLA, "AUR-ONE", "recontact").id
    desk.approve(SIMON, number)

    def fail(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as failing:
        failing.setattr("aurelius_intake.vault.reidentification.append_event", fail)
        with pytest.raises(OSError, match="No space"):
            desk.open(STELLA, number)
    assert desk.open(STELLA, number).PatientID == NUMBER, "it was not used up"


def test_the_maps_of_all_take_two_stewards_too(desk: Reidentifications, vault: Vault) -> None:
    remember(vault, pseudonym="AUR-TWO", StudyInstanceUID="2.25.2", PatientID='8,"x"', PatientName="Other^One")
    number = desk.ask(STELLA, EVERYBODY, "quality audit of the ethics board").id
    with pytest.raises(InvalidRequest):
        desk.export(STELLA, number)
    desk.approve(SIMON, number)
    with pytest.raises(InvalidRequest, match="maps of all"):
        desk.open(STELLA, number)
    folder = desk.export(STELLA, number)
    assert folder.is_relative_to(desk.settings.identified)
    maps = {path.name: list(csv.reader(path.open(newline=""))) for path in folder.iterdir()}
    assert maps == {
        "patid_mapping.csv": [["id_old", "id_new"], [NUMBER, "AUR-ONE"], ['8,"x"', "AUR-TWO"]],
        "uid_mapping.csv": [["id_old", "id_new"], *map(list, OLD_UIDS.items())],
    }
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    with pytest.raises(InvalidRequest, match="opened"):
        desk.export(STELLA, number)
    assert list_actions(desk)[-2:] == [("stella", "export maps"), ("stella", "refused opening")]
