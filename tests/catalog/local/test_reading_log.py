"""Reading is allowed and recorded once an hour for each person and series, before the first byte."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import NotFound, PermissionDenied
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.schema import audit_events
from aurelius_catalog.local.reading_log import ReadingLog
from aurelius_catalog.local.store import LocalStore
from support.cohort import Cohort, make_cohort
from support.servers_catalog import PEOPLE

RHEA = Person.of("rhea", PEOPLE["rhea"])
BRAM = Person.of("bram", PEOPLE["bram"])


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return make_cohort(tmp_path)


@pytest.fixture
def engine(cohort: Cohort) -> Engine:
    return open_engine(cohort.settings)


def count_records(engine: Engine, action: str) -> Counter[tuple[str, str]]:
    statement = select(audit_events.c.person, audit_events.c.object).where(audit_events.c.action == action)
    with engine.begin() as connection:
        return Counter((person, uid) for person, uid in connection.execute(statement))


def test_one_record_for_each_person_series_and_hour(cohort: Cohort, engine: Engine) -> None:
    clock = [datetime(2026, 3, 1, 9, 59, tzinfo=UTC)]
    openings = ReadingLog(lambda: clock[0])
    stella = Person.of("stella", PEOPLE["stella"])
    for _ in range(3):
        for person, uid in ((RHEA, cohort.north_chest), (RHEA, cohort.south_chest), (stella, cohort.north_chest)):
            openings.note_reading(engine, person, uid)
    assert set(count_records(engine, "read series").values()) == {1}
    assert len(count_records(engine, "read series")) == 3
    clock[0] = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
    openings.note_reading(engine, RHEA, cohort.north_chest)
    assert count_records(engine, "read series")["rhea", cohort.north_chest] == 2


def test_many_threads_that_begin_at_once_leave_one_record(cohort: Cohort, engine: Engine) -> None:
    openings = ReadingLog()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: openings.note_reading(engine, RHEA, cohort.north_chest), range(64)))
    assert count_records(engine, "read series") == {("rhea", cohort.north_chest): 1}


def test_an_opening_counts_its_instances_and_covers_the_frames_of_the_hour(cohort: Cohort, engine: Engine) -> None:
    store = LocalStore(cohort.settings, RHEA)
    instances = store.list_instances(cohort.north_chest)
    for instance in instances:
        store.read_frame(instance, 0)
    assert not count_records(engine, "read series")
    with engine.begin() as connection:
        opened = select(audit_events.c.detail).where(audit_events.c.action == "open series")
        assert connection.execute(opened).scalars().all() == [{"instances": 12}]


def test_frames_of_a_series_that_was_not_opened_are_recorded_before_they_leave(cohort: Cohort, engine: Engine) -> None:
    instance = LocalStore(cohort.settings, RHEA).list_instances(cohort.north_chest)[0]
    nora = LocalStore(cohort.settings, Person.of("nora", PEOPLE["nora"]))
    nora.read_frame(instance, 0)
    assert count_records(engine, "read series") == {("nora", cohort.north_chest): 1}


def test_what_a_person_may_not_read_is_refused_and_leaves_no_record(cohort: Cohort, engine: Engine) -> None:
    openings = ReadingLog()
    with pytest.raises(PermissionDenied):
        openings.note_reading(engine, BRAM, cohort.north_chest)
    with pytest.raises(NotFound):
        openings.note_reading(engine, BRAM, "2.25.1")
    assert not count_records(engine, "read series")


def test_rights_that_were_taken_away_end_within_seconds(
    cohort: Cohort, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [0.0]
    monkeypatch.setattr("aurelius_catalog.local.reading_log.time.monotonic", lambda: moment[0])
    openings = ReadingLog()
    moment[0] = 100.0
    openings.note_reading(engine, RHEA, cohort.north_chest)
    with pytest.raises(PermissionDenied):  # the hub says of another group: another person to the cache
        openings.note_reading(engine, Person.of("rhea", ["role-researcher"]), cohort.north_chest)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM scope_projects")
    openings.note_reading(engine, RHEA, cohort.north_chest)
    moment[0] = 105.1
    with pytest.raises(PermissionDenied):
        openings.note_reading(engine, RHEA, cohort.north_chest)


def test_what_was_noted_a_moment_ago_is_known_without_the_index(
    cohort: Cohort, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment, clock = [100.0], [datetime(2026, 3, 1, 9, 59, tzinfo=UTC)]
    monkeypatch.setattr("aurelius_catalog.local.reading_log.time.monotonic", lambda: moment[0])
    openings = ReadingLog(lambda: clock[0])
    assert not openings.is_noted(engine, RHEA, cohort.north_chest)
    openings.note_reading(engine, RHEA, cohort.north_chest)
    assert openings.is_noted(engine, RHEA, cohort.north_chest)
    assert not openings.is_noted(engine, RHEA, cohort.south_chest)
    assert not openings.is_noted(engine, Person.of("rhea", ["role-researcher"]), cohort.north_chest)
    clock[0] = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)  # the record of this hour is not there yet
    assert not openings.is_noted(engine, RHEA, cohort.north_chest)
    openings.note_reading(engine, RHEA, cohort.north_chest)
    moment[0] = 105.1
    assert not openings.is_noted(engine, RHEA, cohort.north_chest)
