"""A withdrawal in the index: rows go, tombstones and marks on frozen datasets stay, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Delete, Select, Update, delete, func, insert, literal, select, update

from aurelius_catalog.index.result_names import note_remarks
from aurelius_catalog.index.schema import (
    Moment,
    annotation_versions,
    dataset_series,
    decisions,
    instances,
    leases,
    predictions,
    series,
    studies,
    tombstones,
)
from aurelius_catalog.index.tombstones import is_withdrawn
from aurelius_catalog.search.full_text import forget_words


@dataclass(frozen=True)
class Tombstone:
    """Whom to withdraw, and what to write on the tombstones."""

    pseudonym: str
    person: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class DeletedRows:
    """How many rows went; of the datasets, how many were marked."""

    studies: int
    series: int
    instances: int
    labels: int
    predictions: int
    datasets: int


def bury_rows(connection: Connection, burial: Tombstone) -> DeletedRows:
    """Remove every row of a patient and leave tombstones; doing it again changes nothing."""
    study = select(studies.c.StudyInstanceUID).where(studies.c.PatientID == burial.pseudonym)
    serie = select(series.c.SeriesInstanceUID).where(series.c.StudyInstanceUID.in_(study))
    instance = select(instances.c.SOPInstanceUID).where(instances.c.SeriesInstanceUID.in_(serie))
    for kind, uids in (("study", study), ("series", serie), ("instance", instance)):
        _raise_stones(connection, burial, kind, uids)
    if not is_withdrawn(connection, burial.pseudonym):
        _raise_stones(connection, burial, "patient", select(literal(burial.pseudonym)))
    mine = dataset_series.c.SeriesInstanceUID.in_(serie) & dataset_series.c.withdrawn_at.is_(None)
    held = select(func.count(dataset_series.c.dataset_id.distinct())).where(mine)
    marked = connection.execute(held).scalar_one()
    connection.execute(update(dataset_series).where(mine).values(withdrawn_at=burial.at))
    drawn = select(predictions.c.id).where(predictions.c.SeriesInstanceUID.in_(serie))
    _run(connection, delete(decisions).where(decisions.c.prediction_id.in_(drawn)))
    _run(connection, delete(leases).where(leases.c.SeriesInstanceUID.in_(serie)))
    of_mine = predictions.c.SeriesInstanceUID.in_(serie)
    n_predictions = _run(connection, delete(predictions).where(of_mine))
    labels = annotation_versions.c.SeriesInstanceUID.in_(serie) | annotation_versions.c.SOPInstanceUID.in_(instance)
    drawn_on = connection.execute(select(annotation_versions.c.SeriesInstanceUID).where(labels)).scalars().all()
    n_labels = _run(connection, delete(annotation_versions).where(labels))
    note_remarks(connection, set(drawn_on))
    n_instances = _run(connection, delete(instances).where(instances.c.SeriesInstanceUID.in_(serie)))
    n_series = _run(connection, delete(series).where(series.c.StudyInstanceUID.in_(study)))
    forget_words(connection)
    n_studies = _run(connection, delete(studies).where(studies.c.PatientID == burial.pseudonym))
    return DeletedRows(n_studies, n_series, n_instances, n_labels, n_predictions, marked)


def list_buried(connection: Connection, pseudonym: str) -> dict[str, set[str]]:
    """Return the new UIDs of what a patient had, by kind: ``study``, ``series``, ``instance``."""
    buried: dict[str, set[str]] = defaultdict(set)
    rows = connection.execute(select(tombstones.c.kind, tombstones.c.uid).where(tombstones.c.PatientID == pseudonym))
    for kind, uid in rows:
        buried[kind].add(uid)
    return buried


def _raise_stones(connection: Connection, burial: Tombstone, kind: str, uids: Select[Any]) -> None:
    found = uids.subquery()
    told = [
        literal(kind),
        found.c[0],
        literal(burial.pseudonym),
        literal(burial.at, Moment()),
        literal(burial.person),
        literal(burial.reason),
    ]
    columns = ["kind", "uid", "PatientID", "withdrawn_at", "withdrawn_by", "reason"]
    connection.execute(insert(tombstones).from_select(columns, select(*told)))


def _run(connection: Connection, statement: Delete | Update) -> int:
    return connection.execute(statement).rowcount
