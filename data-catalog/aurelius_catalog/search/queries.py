"""The queries of a search: a page of results, a count, facets, or everything as one table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, RowMapping, Select, func, null, select

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.index import reads
from aurelius_catalog.index.schema import instances, scopes, series, studies
from aurelius_catalog.index.visibility import list_scopes
from aurelius_catalog.records import InstanceRecord, SeriesRecord, StudyRecord
from aurelius_catalog.search.arrow_table import read_everything
from aurelius_catalog.search.conditions import match_numbers
from aurelius_catalog.search.idc import count_idc, count_idc_values, read_idc
from aurelius_catalog.search.keywords import INSTANCES, SERIES, find_column
from aurelius_catalog.search.planner import make_plan
from aurelius_catalog.search.search_filter import SearchFilter, read_filter

Keywords = Mapping[str, object]
_OF_STUDY = [*StudyRecord.model_fields, "scope", "Modality", "n_instances"]
_LARGEST = 2**31


def find_page(
    connection: Connection, person: Person, keywords: Keywords, limit: int | None, offset: int = 0
) -> list[SeriesRecord]:
    """Return visible series that match every keyword, in the order they arrived; all of them if limit is None.

    Raises
    ------
    InvalidRequest
        For an unknown keyword, a value that it cannot have, or a negative limit or offset.
    """
    if "source" in keywords:
        raise InvalidRequest("The images of a public archive are not in this house: read them as a table, with df.")
    search_filter = read_filter(connection, person, keywords)
    statement = reads.select_series().order_by(series.c.id)
    if limit is None and not offset:
        return reads.read_series(connection, statement.where(*search_filter.expressions))
    plan = make_plan(connection, search_filter, None if limit is None else offset + limit)
    chosen = plan.narrow(select(series.c.id)).order_by(plan.order)
    for reach in plan.reaches:
        within = chosen if reach is None else chosen.where(series.c.id <= reach)
        numbers = connection.execute(_cut(within, limit, offset)).scalars().all()
        if len(numbers) == limit:
            break
    return reads.read_series(connection, statement.where(match_numbers(series.c.id, numbers, connection.dialect.name)))


def count_series(connection: Connection, person: Person, keywords: Keywords, archive: Path | None = None) -> int:
    """Return how many visible series match; ``archive`` is the file of the public index.

    Raises
    ------
    InvalidRequest
        For an unknown keyword, or a value that it cannot have.
    """
    if _asks_archive(keywords):
        return count_idc(archive, keywords)
    search_filter = read_filter(connection, person, keywords)
    plan = make_plan(connection, search_filter, None)
    statement = plan.narrow(select(func.count(series.c.id)))
    return connection.execute(statement).scalar_one()


def count_values(
    connection: Connection, person: Person, keywords: Keywords, keyword: str, archive: Path | None = None
) -> dict[Any, int]:
    """Return how many visible series that match have which value of an attribute, the most frequent first.

    Raises
    ------
    InvalidRequest
        For an unknown keyword, or a value that it cannot have.
    """
    if _asks_archive(keywords):
        counted = list(count_idc_values(archive, keywords, keyword).items())
    else:
        column = find_column(keyword, SERIES)
        search_filter = read_filter(connection, person, keywords)
        plan = make_plan(connection, search_filter, None)
        # SQLite would go through the index of the values, and look up the row of every series there is.
        value = func.coalesce(column, null()) if search_filter.conditions else column
        statement = plan.narrow(select(value, func.count())).group_by(value)
        counted = [(value, count) for value, count in connection.execute(statement)]
    return dict(sorted(counted, key=lambda pair: (-pair[1], str(pair[0]))))


def find_studies(
    connection: Connection, person: Person, keywords: Keywords, limit: int | None, offset: int = 0
) -> list[StudyRecord]:
    """Return visible studies with at least one series that matches, with counts over all of their series.

    Raises
    ------
    InvalidRequest
        For an unknown keyword, a value that it cannot have, or a negative limit or offset.
    """
    search_filter = read_filter(connection, person, keywords)
    uids = _list_studies(connection, search_filter, limit, offset)
    statement = select(
        *[series.c[name] for name in _OF_STUDY if name in series.c], studies.c.site, studies.c.flags
    ).join(studies, studies.c.StudyInstanceUID == series.c.StudyInstanceUID)
    by_study: dict[str, list[RowMapping]] = {uid: [] for uid in uids}
    for row in connection.execute(statement.where(series.c.StudyInstanceUID.in_(uids))).mappings():
        by_study[row["StudyInstanceUID"]].append(row)
    known = list_scopes(connection, scopes.c.id.in_({rows[0]["scope"] for rows in by_study.values()}))
    return [_describe_study(rows, known[rows[0]["scope"]].projects) for rows in by_study.values()]


def find_instances(
    connection: Connection, person: Person, keywords: Keywords, limit: int | None, offset: int = 0
) -> list[tuple[InstanceRecord, SeriesRecord]]:
    """Return visible instances that match, each with its series; its own attributes go before those of its series.

    Raises
    ------
    InvalidRequest
        For an unknown keyword, a value that it cannot have, or a negative limit or offset.
    """
    search_filter = read_filter(connection, person, keywords, INSTANCES)
    statement = select(*reads.INSTANCE_COLUMNS).join(
        series, series.c.SeriesInstanceUID == instances.c.SeriesInstanceUID
    )
    order = series.c.id, instances.c.InstanceNumber, instances.c.SOPInstanceUID
    statement = _cut(statement.where(*search_filter.expressions).order_by(*order), limit, offset)
    found = [InstanceRecord(**row) for row in connection.execute(statement).mappings()]
    uids = {each.SeriesInstanceUID for each in found}
    statement = reads.select_series().where(series.c.SeriesInstanceUID.in_(uids))
    parents = {record.SeriesInstanceUID: record for record in reads.read_series(connection, statement)}
    return [(each, parents[each.SeriesInstanceUID]) for each in found]


def read_table(connection: Connection, person: Person, keywords: Keywords, archive: Path | None = None) -> pa.Table:
    """Return everything that matches as an Arrow table, one column per field of a `SeriesRecord`.

    Of a public archive it is what the archive says, and ``in_house``: whether this person finds the series here.

    Raises
    ------
    InvalidRequest
        For an unknown keyword, or a value that it cannot have.
    """
    if not _asks_archive(keywords):
        return read_everything(connection, read_filter(connection, person, keywords))
    found = read_idc(archive, keywords)
    uids = found.column("SeriesInstanceUID").to_pylist()
    here: set[str] = set()
    portions = [uids[start : start + 500] for start in range(0, len(uids), 500)]
    # For very many it is quicker to read once everything that this person may see.
    asked = [{"SeriesInstanceUID": portion} for portion in portions] if len(portions) < 40 else [{}]
    for keywords_asked in asked:
        visible = read_filter(connection, person, keywords_asked)
        here.update(connection.execute(select(series.c.SeriesInstanceUID).where(*visible.expressions)).scalars())
    return found.append_column("in_house", pa.array([uid in here for uid in uids], pa.bool_()))


def _asks_archive(keywords: Keywords) -> bool:
    """Whether the public archive is searched instead of this house."""
    if keywords.get("source", "idc") != "idc":
        raise InvalidRequest("source takes 'idc': the index of a public archive. Leave it away for this house.")
    return "source" in keywords


def _describe_study(rows: list[RowMapping], projects: tuple[str, ...]) -> StudyRecord:
    own = {name: rows[0][name] for name in StudyRecord.model_fields if name in rows[0]}
    counts = {
        "ModalitiesInStudy": tuple(sorted({row["Modality"] for row in rows})),
        "NumberOfStudyRelatedSeries": len(rows),
        "NumberOfStudyRelatedInstances": sum(row["n_instances"] for row in rows),
        "size_bytes": sum(row["size_bytes"] for row in rows),
        "received_at": max(row["received_at"] for row in rows),
    }
    return StudyRecord(**{**own, **counts, "projects": projects})


def _list_studies(connection: Connection, search_filter: SearchFilter, limit: int | None, offset: int) -> list[str]:
    """Read matching series until enough studies are seen."""
    wanted = None if limit is None else offset + limit
    plan = make_plan(connection, search_filter, wanted)
    statement = plan.narrow(select(series.c.StudyInstanceUID)).order_by(plan.order)
    seen: dict[str, None] = {}
    with connection.execution_options(stream_results=True).execute(_cut(statement, None, 0)) as result:
        for uid in result.scalars():
            if len(seen) == wanted:
                break
            seen[uid] = None
    return list(seen)[offset:]


def _cut(statement: Select[Any], limit: int | None, offset: int) -> Select[Any]:
    if offset < 0 or (limit is not None and limit < 0):
        raise InvalidRequest("limit and offset are whole numbers from 0.")
    statement = statement.offset(min(offset, _LARGEST)) if offset else statement
    return statement if limit is None else statement.limit(min(limit, _LARGEST))
