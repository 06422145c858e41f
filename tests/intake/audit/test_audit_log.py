"""The audit log can only grow, shows what was done to it, and ends in an orderly way; on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, insert, select, text
from sqlalchemy.exc import DatabaseError
from typer.testing import CliRunner

from aurelius_catalog.access.person import Person
from aurelius_catalog.durable_files import write_durably
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.index.audit_log import GENESIS, append_event, hash_event
from aurelius_catalog.index.database import open_engine, writing
from aurelius_catalog.index.schema import audit_checkpoints, audit_events, audit_heads
from aurelius_intake.audit.export import check_file, export_log, prune_log
from aurelius_intake.audit.signatures import insert_mark, make_mark, read_outside_head, sign_head
from aurelius_intake.audit.verification import Finding, check_log
from aurelius_intake.commands.audit import app
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import Vault, create_vault
from support.houses import DATABASES, find_server, make_settings

STELLA = Person.of("stella", ["role-steward"])


@dataclass(frozen=True)
class Log:
    """An audit log of a dozen records, the eighth of them signed."""

    settings: IntakeSettings
    engine: Engine
    vault: Vault

    def check(self, connection: Connection | None = None) -> Finding:
        with nullcontext(connection) if connection else self.engine.begin() as opened:
            return check_log(opened, self.vault.public_key, read_outside_head(self.settings))

    def faults(self, connection: Connection | None = None) -> list[tuple[int, str]]:
        return [(fault.event_id, fault.kind) for fault in self.check(connection).faults]

    def append(self, count: int) -> None:
        for number in range(count):
            append_event(self.engine, STELLA, "open series", f"2.25.{number}", {"n": number, "text": "größer"})

    @contextmanager
    def going_around(self, *statements: str, stay: bool = False) -> Iterator[Connection]:
        """Do what the triggers forbid, as somebody with the database's own password could; then take it back."""
        with writing(self.engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL session_replication_role = replica"))
            else:
                triggers = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars()
                for name in triggers.all():
                    connection.execute(text(f"DROP TRIGGER {name}"))
            for statement in statements:
                connection.execute(text(statement))
            yield connection
            if not stay:
                connection.rollback()

    def go_around(self, *statements: str) -> None:
        with self.going_around(*statements, stay=True):
            pass


@pytest.fixture(scope="module", params=DATABASES)
def server(request: pytest.FixtureRequest) -> str:
    return find_server(request.param)


def make_log(server: str, home: Path) -> Log:
    settings = make_settings(home, server)
    log = Log(settings, open_engine(settings), create_vault(settings))
    log.append(8)
    sign_head(log.engine, log.vault)
    log.append(4)
    return log


@pytest.fixture(scope="module")
def log(server: str, tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Make a log that no test changes."""
    return make_log(server, tmp_path_factory.mktemp("house"))


@pytest.fixture
def own_log(server: str, tmp_path: Path) -> Log:
    return make_log(server, tmp_path)


@pytest.mark.parametrize("table", ["audit_events", "audit_heads"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id + 100", "DELETE FROM {}", "REPLACE", "TRUNCATE {}"])
def test_the_database_itself_refuses_to_change_or_remove_records(log: Log, table: str, statement: str) -> None:
    sqlite = log.engine.dialect.name == "sqlite"
    if statement == "REPLACE":  # each has its own way to overwrite a row by inserting it
        statement = "INSERT OR REPLACE INTO {} SELECT * FROM {} WHERE id = 1"
        if not sqlite:
            statement = "INSERT INTO {} SELECT * FROM {} ON CONFLICT (id) DO UPDATE SET hash = 'x'"
    if sqlite:
        statement = statement.replace("TRUNCATE {}", "DELETE FROM {} WHERE id = 1")
    with pytest.raises(DatabaseError, match="neither changed nor removed"), log.engine.begin() as connection:
        connection.execute(text(statement.replace("{}", table)))
    assert log.faults() == []
    assert log.check().events == 12


def test_a_whole_log_is_found_whole(log: Log) -> None:
    finding = log.check()
    assert (finding.events, finding.signed_to, finding.pruned_to, finding.faults) == (12, 8, 0, [])


def swap(first: int, second: int) -> list[str]:
    moves = [(first, -1), (second, first), (-1, second)]
    return [f"UPDATE audit_events SET id = {new} WHERE id = {old}" for old, new in moves]  # noqa: S608


@pytest.mark.parametrize(
    ("statements", "faults"),
    [
        (["UPDATE audit_events SET person = 'mallory' WHERE id = 3"], [(3, "edited")]),
        (["UPDATE audit_events SET detail = '{}' WHERE id = 12"], [(12, "edited")]),
        (["DELETE FROM audit_events WHERE id = 1"], [(2, "missing")]),
        (["DELETE FROM audit_events WHERE id IN (4, 5)"], [(6, "missing")]),
        (swap(9, 10), [(9, "moved"), (10, "moved"), (11, "moved")]),
        (["DELETE FROM audit_events WHERE id > 6"], [(8, "cut off")]),
        (["DELETE FROM audit_events WHERE id > 6", "DELETE FROM audit_heads"], [(8, "cut off")]),
        (["DELETE FROM audit_events", "DELETE FROM audit_heads"], [(8, "cut off")]),
    ],
)
def test_tampering_around_the_triggers_is_found_and_named(
    log: Log, statements: list[str], faults: list[tuple[int, str]]
) -> None:
    with log.going_around(*statements) as connection:
        assert log.faults(connection) == faults
    assert log.faults() == []


def test_a_chain_forged_anew_from_its_middle_does_not_meet_its_signature(log: Log) -> None:
    with log.engine.begin() as connection:
        rows = [dict(row) for row in connection.execute(select(audit_events).order_by(audit_events.c.id)).mappings()]
    previous = rows[3]["hash"]
    with log.going_around("DELETE FROM audit_events WHERE id >= 5") as connection:
        for row in rows[4:]:
            event = {**row, "person": "mallory", "previous_hash": previous}
            previous = event["hash"] = hash_event(event)
            connection.execute(insert(audit_events).values(event))
        assert log.faults(connection) == [(8, "rewritten")]


def test_a_head_signed_by_another_is_no_head(log: Log, tmp_path: Path) -> None:
    stranger = create_vault(IntakeSettings(home=tmp_path))
    with log.going_around() as connection:
        newest = connection.execute(select(audit_events).order_by(audit_events.c.id.desc())).mappings().first()
        assert newest is not None
        insert_mark(connection, audit_heads, make_mark(stranger, "head", newest["id"], newest["hash"]))
        assert log.faults(connection) == [(12, "forged")]


def test_a_log_whose_signed_end_was_cut_off_is_not_signed_again(own_log: Log) -> None:
    assert sign_head(own_log.engine, own_log.vault) is not None
    assert sign_head(own_log.engine, own_log.vault) is None, "nothing happened since"
    assert own_log.check().signed_to == 12
    own_log.go_around("DELETE FROM audit_events WHERE id > 10")
    own_log.append(5)
    assert sign_head(own_log.engine, own_log.vault) is None
    assert [number for number, _ in own_log.faults()] == [12]


# -- exports ---------------------------------------------------------------------------------------


def test_an_export_can_be_checked_by_itself(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with log.engine.begin() as connection:
        write_durably(path, lambda file: export_log(connection, log.vault, file))
    assert path.stat().st_mode & 0o777 == 0o600
    lines = path.read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["begin", *["event"] * 12, "end"]
    assert check_file(path, log.vault.public_key).faults == []
    edits: dict[str, list[str]] = {
        "edited": [line.replace("stella", "mallory") if number == 4 else line for number, line in enumerate(lines)],
        "missing": lines[:5] + lines[6:],
        "moved": [*lines[:5], lines[6], lines[5], *lines[7:]],
        "forged": [*lines[:-2], lines[-1]],
    }
    for kind, content in edits.items():
        path.write_text("\n".join(content) + "\n")
        found = check_file(path, log.vault.public_key).faults
        assert {kind, "forged"} <= {fault.kind for fault in found}, kind
    path.write_text("\n".join(lines[:-1]))
    with pytest.raises(InvalidRequest, match="no whole export"):
        check_file(path, log.vault.public_key)


def test_an_export_of_a_period_holds_that_period(log: Log, tmp_path: Path) -> None:
    with log.engine.begin() as connection:
        moments = connection.execute(select(audit_events.c.at).order_by(audit_events.c.id)).scalars().all()
        whole = [
            export_text(connection, log, since, until)
            for since, until in [(moments[3], moments[9]), (moments[11], None)]
        ]
        later = datetime.now(UTC) + timedelta(days=1)
        assert export_text(connection, log, later, None) == []
    assert [event["id"] for event in whole[0]] == [4, 5, 6, 7, 8, 9]
    assert [event["id"] for event in whole[1]] == [12]


def export_text(
    connection: Connection, log: Log, since: datetime | None, until: datetime | None
) -> list[dict[str, object]]:
    file = BytesIO()
    export_log(connection, log.vault, file, since, until)
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    return [line for line in lines if line["kind"] == "event"]


# -- retention -------------------------------------------------------------------------------------


@pytest.fixture
def old_log(server: str, tmp_path: Path) -> Log:
    """Make a log whose first five records are eight years old."""
    settings = make_settings(tmp_path, server)
    log = Log(settings, open_engine(settings), create_vault(settings))
    previous = GENESIS
    with writing(log.engine) as connection:
        for number in range(5):
            at = datetime.now(UTC) - timedelta(days=8 * 365.25 - number)
            event = {
                "at": at,
                "person": "olga",
                "action": "open",
                "object": "x",
                "detail": {},
                "previous_hash": previous,
            }
            previous = hash_event(event)
            connection.execute(insert(audit_events).values({**event, "hash": previous}))
    sign_head(log.engine, log.vault)
    log.append(6)
    return log


def test_old_records_go_to_a_file_and_a_signed_checkpoint_stays(old_log: Log) -> None:
    path = prune_log(old_log.engine, old_log.vault, old_log.settings, STELLA)
    assert path is not None
    exported = check_file(path, old_log.vault.public_key)
    assert (exported.events, exported.faults) == (5, [])
    finding = old_log.check()
    assert (finding.events, finding.pruned_to, finding.faults) == (7, 5, []), "six and the pruning itself"
    old_log.append(1)
    sign_head(old_log.engine, old_log.vault)
    assert old_log.check().signed_to == 13
    assert old_log.faults() == []
    assert prune_log(old_log.engine, old_log.vault, old_log.settings, STELLA) is None
    old_log.go_around("DELETE FROM audit_events WHERE id = 6")
    assert old_log.faults() == [(7, "missing")]


def test_a_checkpoint_nobody_signed_hides_nothing(log: Log) -> None:
    with writing(log.engine) as connection:
        known = connection.execute(select(audit_events.c.hash).where(audit_events.c.id == 7)).scalar_one()
        forged = replace(make_mark(log.vault, "checkpoint", 7, known), signature="00" * 64)
        insert_mark(connection, audit_checkpoints, forged)
        connection.execute(text("DELETE FROM audit_events WHERE id <= 7"))
        assert log.faults(connection) == [(7, "forged")]
        connection.rollback()


def test_everything_may_be_old(old_log: Log) -> None:
    settings = old_log.settings.model_copy(update={"audit_years": 1e-12})
    assert prune_log(old_log.engine, old_log.vault, settings, STELLA) is not None
    old_log.append(1)
    finding = old_log.check()
    assert (finding.events, finding.pruned_to, finding.faults) == (2, 11, [])


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def call(own_log: Log, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    monkeypatch.setenv("AURELIUS_HOME", str(own_log.settings.home))
    monkeypatch.setenv("AURELIUS_DATABASE_URL", own_log.settings.database_url)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments))
        return result.exit_code, result.output

    return run


def test_the_command_says_whole_or_what_is_wrong(
    own_log: Log, call: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    assert call("verify") == (0, "WHOLE: 12 records read; signed up to record 8.\n")
    path = tmp_path / "out.jsonl"
    assert call("export", "--from", "2020-01-01", "--output", str(path))[0] == 0
    assert call("verify", "--file", str(path))[0] == 0
    assert call("export", "--to", "2020-01-01")[1].count('"kind": "event"') == 0
    assert call("prune")[1] == "No record is older than 7 years.\n"
    own_log.go_around("UPDATE audit_events SET object = 'y' WHERE id = 5")
    code, said = call("verify")
    assert code == 1
    assert "record 5 was found edited" in said
    assert "1 faults" in said
