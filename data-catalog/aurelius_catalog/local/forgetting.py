"""The end of a patient in the catalog: rows and files go, tombstones and marks on frozen datasets stay."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Delete, Select, Update, delete, func, insert, literal, select, update

from aurelius_catalog.durable_files import sync_folder
from aurelius_catalog.index.result_names import write_result_names
from aurelius_catalog.index.schema import (
    Moment,
    annotation_versions,
    dataset_objects,
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

#: The tables that hold something of a patient: `forget_rows` removes their rows.
FORGOTTEN = (studies, series, instances, annotation_versions, predictions, decisions, leases)
#: Those that go on naming a patient's objects by pseudonym and new UIDs: what was withdrawn is marked, not hidden.
KEPT = (tombstones, dataset_series, dataset_objects)


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


def forget_rows(connection: Connection, tombstone: Tombstone) -> DeletedRows:
    """Remove every row of a patient and leave tombstones; doing it again changes nothing."""
    study = select(studies.c.StudyInstanceUID).where(studies.c.PatientID == tombstone.pseudonym)
    of_study = select(series.c.SeriesInstanceUID).where(series.c.StudyInstanceUID.in_(study))
    instance = select(instances.c.SOPInstanceUID).where(instances.c.SeriesInstanceUID.in_(of_study))
    for kind, uids in (("study", study), ("series", of_study), ("instance", instance)):
        _add_tombstones(connection, tombstone, kind, uids)
    if not is_withdrawn(connection, tombstone.pseudonym):
        _add_tombstones(connection, tombstone, "patient", select(literal(tombstone.pseudonym)))
    mine = dataset_series.c.SeriesInstanceUID.in_(of_study) & dataset_series.c.withdrawn_at.is_(None)
    held = select(func.count(dataset_series.c.dataset_id.distinct())).where(mine)
    marked = connection.execute(held).scalar_one()
    connection.execute(update(dataset_series).where(mine).values(withdrawn_at=tombstone.at))
    drawn = select(predictions.c.id).where(predictions.c.SeriesInstanceUID.in_(of_study))
    _run(connection, delete(decisions).where(decisions.c.prediction_id.in_(drawn)))
    _run(connection, delete(leases).where(leases.c.SeriesInstanceUID.in_(of_study)))
    of_mine = predictions.c.SeriesInstanceUID.in_(of_study)
    n_predictions = _run(connection, delete(predictions).where(of_mine))
    labels = annotation_versions.c.SeriesInstanceUID.in_(of_study) | annotation_versions.c.SOPInstanceUID.in_(instance)
    drawn_on = connection.execute(select(annotation_versions.c.SeriesInstanceUID).where(labels)).scalars().all()
    n_labels = _run(connection, delete(annotation_versions).where(labels))
    write_result_names(connection, set(drawn_on))
    n_instances = _run(connection, delete(instances).where(instances.c.SeriesInstanceUID.in_(of_study)))
    n_series = _run(connection, delete(series).where(series.c.StudyInstanceUID.in_(study)))
    forget_words(connection)
    n_studies = _run(connection, delete(studies).where(studies.c.PatientID == tombstone.pseudonym))
    return DeletedRows(n_studies, n_series, n_instances, n_labels, n_predictions, marked)


def list_forgotten(connection: Connection, pseudonym: str) -> dict[str, set[str]]:
    """Return the new UIDs of what a patient had, by kind: ``study``, ``series``, ``instance``."""
    forgotten: dict[str, set[str]] = defaultdict(set)
    rows = connection.execute(select(tombstones.c.kind, tombstones.c.uid).where(tombstones.c.PatientID == pseudonym))
    for kind, uid in rows:
        forgotten[kind].add(uid)
    return forgotten


def forget_files(files: Path, StudyInstanceUIDs: Iterable[str]) -> None:
    """Remove the files of studies that the index no longer names.

    Parameters
    ----------
    files
        The catalog's folder.
    StudyInstanceUIDs
        The new ones.
    """
    for uid in StudyInstanceUIDs:
        if (files / uid).exists():
            shutil.rmtree(files / uid)
    if files.is_dir():
        sync_folder(files)


def _add_tombstones(connection: Connection, tombstone: Tombstone, kind: str, uids: Select[Any]) -> None:
    found = uids.subquery()
    row = [
        literal(kind),
        found.c[0],
        literal(tombstone.pseudonym),
        literal(tombstone.at, Moment()),
        literal(tombstone.person),
        literal(tombstone.reason),
    ]
    columns = ["kind", "uid", "PatientID", "withdrawn_at", "withdrawn_by", "reason"]
    connection.execute(insert(tombstones).from_select(columns, select(*row)))


def _run(connection: Connection, statement: Delete | Update) -> int:
    return connection.execute(statement).rowcount
