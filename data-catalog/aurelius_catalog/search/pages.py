"""Answers of the index, a page, a count or a table at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, Select, func, select

from aurelius_catalog import index
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.model import InstanceRecord, SeriesRecord, StudyRecord
from aurelius_catalog.person import Person
from aurelius_catalog.schema import instances, series
from aurelius_catalog.scopes import is_visible
from aurelius_catalog.search.conditions import match
from aurelius_catalog.search.keywords import INSTANCES, SERIES, SPECIAL, find_column
from aurelius_catalog.search.special import match_special

Keywords = Mapping[str, object]
_ORDER = (series.c.id,)
_LARGEST = 2**31


def read_conditions(
    connection: Connection, keywords: Keywords, columns: dict[str, ColumnElement[Any]] = SERIES
) -> list[ColumnElement[bool]]:
    """Turn keywords into conditions.

    Raises
    ------
    InvalidRequest
        For a keyword that nobody knows, or a value it cannot have.
    """
    dialect = connection.dialect.name
    return [
        match_special(keyword, value, dialect)
        if keyword in SPECIAL
        else match(find_column(keyword, columns), keyword, value, dialect)
        for keyword, value in keywords.items()
    ]


def find_page(
    connection: Connection, person: Person, keywords: Keywords, limit: int | None, offset: int = 0
) -> list[SeriesRecord]:
    """Return visible series that match every keyword, in the catalog's order; all of them if limit is None."""
    conditions = read_conditions(connection, keywords)
    statement = index.select_series().where(is_visible(person), *conditions).order_by(*_ORDER)
    rows = connection.execute(_cut(statement, limit, offset)).mappings()
    return index.to_series(connection, list(rows))


def count_series(connection: Connection, person: Person, keywords: Keywords) -> int:
    """Return how many visible series match."""
    statement = _join(select(func.count())).where(is_visible(person), *read_conditions(connection, keywords))
    return connection.execute(statement).scalar_one()


def count_values(connection: Connection, person: Person, keywords: Keywords, keyword: str) -> dict[Any, int]:
    """Return how many visible series that match have which value of an attribute, the most frequent first."""
    column = find_column(keyword, SERIES)
    statement = _join(select(column, func.count())).where(is_visible(person), *read_conditions(connection, keywords))
    rows = connection.execute(statement.group_by(column)).all()
    return {row[0]: row[1] for row in sorted(rows, key=lambda row: (-row[1], str(row[0])))}


def find_studies(
    connection: Connection, person: Person, keywords: Keywords, limit: int | None, offset: int = 0
) -> list[StudyRecord]:
    """Return visible studies with at least one series that matches, with counts over all of their series."""
    found = _join(select(series.c.StudyInstanceUID)).group_by(series.c.StudyInstanceUID)
    found = found.where(is_visible(person), *read_conditions(connection, keywords))
    found = found.order_by(func.min(series.c.id))
    uids = [row[0] for row in connection.execute(_cut(found, limit, offset))]
    statement = index.select_series().where(series.c.StudyInstanceUID.in_(uids)).order_by(*_ORDER)
    by_study: dict[str, list[SeriesRecord]] = {uid: [] for uid in uids}
    for record in index.to_series(connection, list(connection.execute(statement).mappings())):
        by_study[record.StudyInstanceUID].append(record)
    return [StudyRecord.of(records) for records in by_study.values()]


def find_instances(
    connection: Connection, person: Person, keywords: Keywords, limit: int | None, offset: int = 0
) -> list[tuple[InstanceRecord, SeriesRecord]]:
    """Return visible instances that match, each with its series; what an instance says goes before its series."""
    statement = select(*index.INSTANCE_COLUMNS).join(
        series, series.c.SeriesInstanceUID == instances.c.SeriesInstanceUID
    )
    statement = statement.where(is_visible(person), *read_conditions(connection, keywords, INSTANCES))
    statement = statement.order_by(*_ORDER, instances.c.InstanceNumber, instances.c.SOPInstanceUID)
    found = [InstanceRecord(**row) for row in connection.execute(_cut(statement, limit, offset)).mappings()]
    uids = {each.SeriesInstanceUID for each in found}
    rows = connection.execute(index.select_series().where(series.c.SeriesInstanceUID.in_(uids))).mappings()
    parents = {record.SeriesInstanceUID: record for record in index.to_series(connection, list(rows))}
    return [(each, parents[each.SeriesInstanceUID]) for each in found]


def read_table(connection: Connection, person: Person, keywords: Keywords) -> pa.Table:
    """Return everything that matches as an Arrow table, one column per field of a `SeriesRecord`."""
    records = find_page(connection, person, keywords, None)
    return pa.Table.from_pylist([record.model_dump() for record in records], schema=TABLE)


def _join(statement: Select[Any]) -> Select[Any]:
    return statement.select_from(series)


def _cut(statement: Select[Any], limit: int | None, offset: int) -> Select[Any]:
    if offset < 0 or (limit is not None and limit < 0):
        raise InvalidRequest("limit and offset are whole numbers from 0.")
    statement = statement.offset(min(offset, _LARGEST)) if offset else statement
    return statement if limit is None else statement.limit(min(limit, _LARGEST))


_TYPES = {"int": pa.int64(), "str": pa.string(), "float": pa.float64(), "datetime": pa.timestamp("us", tz="UTC")}


def _make_field(name: str, annotation: object) -> pa.Field:
    kind = str(getattr(annotation, "__name__", annotation)).split(" ")[0]
    return pa.field(name, pa.list_(pa.string()) if "tuple" in kind else _TYPES[kind])


#: What a table of series holds.
TABLE = pa.schema([_make_field(name, field.annotation) for name, field in SeriesRecord.model_fields.items()])
