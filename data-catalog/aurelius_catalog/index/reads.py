"""Questions to the index, each answered only with what a person may see."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from sqlalchemy import JSON, Connection, Select, Text, cast, select

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import NotFound, PermissionDenied, Withdrawn
from aurelius_catalog.index.schema import instances, scopes, series, studies, tombstones
from aurelius_catalog.index.visibility import list_scopes
from aurelius_catalog.records import InstanceRecord, SeriesRecord

#: A column for each field of a `SeriesRecord`; the scope stands for site and projects until it is known which they are.
_SERIES_COLUMNS = [
    series.c[name] if name in series.c else studies.c.flags if name == "flags" else series.c.scope.label(name)
    for name in SeriesRecord.model_fields
]
INSTANCE_COLUMNS = [column for column in instances.columns if column.name not in ("header", "deidentification")]
_INSTANCE_NAMES = [column.name for column in INSTANCE_COLUMNS]
_JSON_NAMES = [column.name for column in INSTANCE_COLUMNS if isinstance(column.type, JSON)]
_INSTANCE_TEXTS = [
    cast(column, Text).label(column.name) if column.name in _JSON_NAMES else column for column in INSTANCE_COLUMNS
]
_INSTANCES = TypeAdapter(list[InstanceRecord])


@cache
def select_series() -> Select[Any]:
    """Return the statement that `read_series` makes records of; ``site`` and ``projects`` hold the scope."""
    return select(*_SERIES_COLUMNS).join(studies, series.c.StudyInstanceUID == studies.c.StudyInstanceUID)


def get_series(connection: Connection, person: Person, SeriesInstanceUID: str) -> SeriesRecord:
    """Return one series.

    Raises
    ------
    NotFound
        If the index holds no such series.
    Withdrawn
        If it did, until its patient was withdrawn.
    PermissionDenied
        If it does, but not for this person.
    """
    records = read_series(connection, select_series().where(series.c.SeriesInstanceUID == SeriesInstanceUID))
    if not records:
        _refuse_withdrawn(connection, "series", SeriesInstanceUID)
        raise NotFound(f"There is no series {SeriesInstanceUID} in this catalog. Check the UID for typing errors.")
    if not person.may_see(records[0].site, records[0].projects):
        raise PermissionDenied(
            f"{person.name} may not open series {SeriesInstanceUID}: it is in none of your projects or sites. "
            "A data steward can tell you who to ask for access."
        )
    return records[0]


def _refuse_withdrawn(connection: Connection, kind: str, uid: str) -> None:
    stone = select(tombstones.c.withdrawn_at).where(tombstones.c.kind == kind, tombstones.c.uid == uid)
    if at := connection.execute(stone).scalar():
        raise Withdrawn(f"The {kind} {uid} is gone: its patient was withdrawn on {at:%Y-%m-%d}.")


def read_series(connection: Connection, statement: Select[Any]) -> list[SeriesRecord]:
    """Return the records of a statement made by `select_series`, with the sites and projects of their studies."""
    result = connection.execute(statement)
    names = tuple(result.keys())
    found = [dict(zip(names, row, strict=True)) for row in result.all()]
    known = list_scopes(connection, scopes.c.id.in_({values["site"] for values in found})) if found else {}
    for values in found:
        scope = known[values["site"]]
        values |= {"site": scope.site, "projects": scope.projects, "flags": tuple(values["flags"])}
    return [SeriesRecord.trust(values) for values in found]


def list_instances(connection: Connection, SeriesInstanceUID: str) -> list[InstanceRecord]:
    """Return the instances of a series in slice order."""
    statement = select(*_INSTANCE_TEXTS).where(instances.c.SeriesInstanceUID == SeriesInstanceUID)
    rows = connection.execute(statement).all()
    if not rows:
        return []
    columns = dict(zip(_INSTANCE_NAMES, zip(*rows, strict=True), strict=True))
    for name in _JSON_NAMES:  # one text for all rows: quicker than a text for each
        columns[name] = json.loads(f"[{','.join(text or 'null' for text in columns[name])}]")
    listed = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return sort_slices(_INSTANCES.validate_python(listed))


def find_study_of(connection: Connection, SeriesInstanceUID: str) -> str:
    """Return the StudyInstanceUID of a series; empty if the index holds no such series."""
    statement = select(series.c.StudyInstanceUID).where(series.c.SeriesInstanceUID == SeriesInstanceUID)
    return str(connection.execute(statement).scalar() or "")


def list_headers(connection: Connection, SeriesInstanceUID: str, SOPInstanceUID: str | None = None) -> dict[str, str]:
    """Return the headers of a series' instances, or of one, as the DICOM JSON text the index keeps; by their UIDs."""
    statement = select(instances.c.SOPInstanceUID, cast(instances.c.header, Text))
    statement = statement.where(instances.c.SeriesInstanceUID == SeriesInstanceUID)
    if SOPInstanceUID is not None:
        statement = statement.where(instances.c.SOPInstanceUID == SOPInstanceUID)
    return dict(connection.execute(statement).all())


def get_instance(connection: Connection, SOPInstanceUID: str) -> InstanceRecord:
    """Return one instance.

    Raises
    ------
    NotFound
        If the index holds no such instance.
    Withdrawn
        If it did, until its patient was withdrawn.
    """
    statement = select(*INSTANCE_COLUMNS).where(instances.c.SOPInstanceUID == SOPInstanceUID)
    row = connection.execute(statement).mappings().first()
    if row is None:
        _refuse_withdrawn(connection, "instance", SOPInstanceUID)
        raise NotFound(f"There is no instance {SOPInstanceUID} in this catalog. Check the UID for typing errors.")
    return InstanceRecord(**row)


def sort_slices(records: list[InstanceRecord]) -> list[InstanceRecord]:
    """Order instances along the slice normal (PS3.3 C.7.6.2.1.1), or by InstanceNumber where that is unknown."""
    if len({record.ImageOrientationPatient for record in records}) == 1 and all(
        record.ImageOrientationPatient and record.ImagePositionPatient for record in records
    ):
        orientation = np.array(records[0].ImageOrientationPatient)
        positions = np.array([record.ImagePositionPatient for record in records])
        depths = positions @ np.cross(orientation[:3], orientation[3:])
        return [records[number] for number in np.argsort(depths, kind="stable")]
    return sorted(records, key=lambda record: (record.InstanceNumber or 0, record.SOPInstanceUID))
