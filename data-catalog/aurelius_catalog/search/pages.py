"""Answers of the index: a page, a count, facets, or everything as one table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Select, func, select

from aurelius_catalog import index
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.model import InstanceRecord, SeriesRecord, StudyRecord
from aurelius_catalog.person import Person
from aurelius_catalog.schema import instances, series
from aurelius_catalog.search.idc import read_idc
from aurelius_catalog.search.keywords import INSTANCES, SERIES, find_column
from aurelius_catalog.search.question import Question, read_question
from aurelius_catalog.search.tables import read_everything

Keywords = Mapping[str, object]
_LARGEST = 2**31


def find_page(
    connection: Connection, person: Person, keywords: Keywords, limit: int | None, offset: int = 0
) -> list[SeriesRecord]:
    """Return visible series that match every keyword, in the order they arrived; all of them if limit is None."""
    if "source" in keywords:
        raise InvalidRequest("The images of a public archive are not in this house: read them as a table, with df.")
    question = read_question(connection, person, keywords)
    statement = index.select_series().order_by(series.c.id)
    if limit is None and not offset:
        return index.to_series(connection, list(connection.execute(statement.where(*question.conditions)).mappings()))
    numbers = list(connection.execute(_cut(_select_ids(question), limit, offset)).scalars())
    rows = connection.execute(statement.where(series.c.id.in_(numbers))).mappings()
    return index.to_series(connection, list(rows))


def count_series(connection: Connection, person: Person, keywords: Keywords, archive: Path | None = None) -> int:
    """Return how many visible series match; ``archive`` is the file of the public index."""
    if "source" in keywords:
        return len(_read_archive(archive, keywords))
    question = read_question(connection, person, keywords)
    return connection.execute(select(func.count()).select_from(series).where(*question.conditions)).scalar_one()


def count_values(
    connection: Connection, person: Person, keywords: Keywords, keyword: str, archive: Path | None = None
) -> dict[Any, int]:
    """Return how many visible series that match have which value of an attribute, the most frequent first."""
    if "source" in keywords:
        table = _read_archive(archive, keywords)
        if keyword not in table.column_names:
            raise InvalidRequest(f"{keyword} is no column of the public index: {', '.join(table.column_names)}.")
        counted = [(each["values"].as_py(), each["counts"].as_py()) for each in pc.value_counts(table.column(keyword))]
    else:
        column = find_column(keyword, SERIES)
        question = read_question(connection, person, keywords)
        statement = select(column, func.count()).select_from(series).where(*question.conditions).group_by(column)
        counted = [(value, count) for value, count in connection.execute(statement)]
    return dict(sorted(counted, key=lambda pair: (-pair[1], str(pair[0]))))


def find_studies(
    connection: Connection, person: Person, keywords: Keywords, limit: int | None, offset: int = 0
) -> list[StudyRecord]:
    """Return visible studies with at least one series that matches, with counts over all of their series."""
    question = read_question(connection, person, keywords)
    found = select(series.c.StudyInstanceUID).where(*question.conditions).group_by(series.c.StudyInstanceUID)
    uids = list(connection.execute(_cut(found.order_by(func.min(series.c.id)), limit, offset)).scalars())
    statement = index.select_series().where(series.c.StudyInstanceUID.in_(uids)).order_by(series.c.id)
    by_study: dict[str, list[SeriesRecord]] = {uid: [] for uid in uids}
    for record in index.to_series(connection, list(connection.execute(statement).mappings())):
        by_study[record.StudyInstanceUID].append(record)
    return [StudyRecord.of(records) for records in by_study.values()]


def find_instances(
    connection: Connection, person: Person, keywords: Keywords, limit: int | None, offset: int = 0
) -> list[tuple[InstanceRecord, SeriesRecord]]:
    """Return visible instances that match, each with its series; what an instance says goes before its series."""
    question = read_question(connection, person, keywords, INSTANCES)
    statement = select(*index.INSTANCE_COLUMNS).join(
        series, series.c.SeriesInstanceUID == instances.c.SeriesInstanceUID
    )
    order = series.c.id, instances.c.InstanceNumber, instances.c.SOPInstanceUID
    statement = _cut(statement.where(*question.conditions).order_by(*order), limit, offset)
    found = [InstanceRecord(**row) for row in connection.execute(statement).mappings()]
    uids = {each.SeriesInstanceUID for each in found}
    rows = connection.execute(index.select_series().where(series.c.SeriesInstanceUID.in_(uids))).mappings()
    parents = {record.SeriesInstanceUID: record for record in index.to_series(connection, list(rows))}
    return [(each, parents[each.SeriesInstanceUID]) for each in found]


def read_table(connection: Connection, person: Person, keywords: Keywords, archive: Path | None = None) -> pa.Table:
    """Return everything that matches as an Arrow table, one column per field of a `SeriesRecord`.

    Of a public archive it is what the archive says, and ``in_house``: whether this person finds the series here.
    """
    if "source" not in keywords:
        return read_everything(connection, read_question(connection, person, keywords))
    found = _read_archive(archive, keywords)
    uids = found.column("SeriesInstanceUID").to_pylist()
    here: set[str] = set()
    for start in range(0, len(uids), 500):
        visible = read_question(connection, person, {"SeriesInstanceUID": uids[start : start + 500]})
        here.update(connection.execute(select(series.c.SeriesInstanceUID).where(*visible.conditions)).scalars())
    return found.append_column("in_house", pa.array([uid in here for uid in uids], pa.bool_()))


def _read_archive(archive: Path | None, keywords: Keywords) -> pa.Table:
    if keywords["source"] != "idc":
        raise InvalidRequest("source takes 'idc': the index of a public archive. Leave it away for this house.")
    return read_idc(archive, keywords)


def _select_ids(question: Question) -> Select[Any]:
    return select(series.c.id).where(*question.conditions).order_by(series.c.id)


def _cut(statement: Select[Any], limit: int | None, offset: int) -> Select[Any]:
    if offset < 0 or (limit is not None and limit < 0):
        raise InvalidRequest("limit and offset are whole numbers from 0.")
    statement = statement.offset(min(offset, _LARGEST)) if offset else statement
    return statement if limit is None else statement.limit(min(limit, _LARGEST))
