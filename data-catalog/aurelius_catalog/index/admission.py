"""Admission of a de-identified study: files first, synced to disk, then every row in one short transaction."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydicom import Dataset
from sqlalchemy import Connection, exists, func, insert, select, update

from aurelius_catalog.access.projects import Rules, match_projects
from aurelius_catalog.dicom.segments import read_segments
from aurelius_catalog.durable_files import sync_file_system
from aurelius_catalog.index.database import insert_row
from aurelius_catalog.index.deidentified import DeidentifiedFile, DeidentifiedStudy
from aurelius_catalog.index.result_names import write_result_names
from aurelius_catalog.index.rows import TextCache, describe_instance, describe_series, describe_study
from aurelius_catalog.index.schema import annotation_versions, instances, predictions, scopes, series, studies
from aurelius_catalog.index.series_attributes import OF_STUDY, join_words
from aurelius_catalog.index.visibility import assign_scope, list_scopes
from aurelius_deidentify.media_types import find_suffix


def list_known(connection: Connection, SOPInstanceUIDs: Collection[str]) -> set[str]:
    """Return which of these instances the index holds."""
    statement = select(instances.c.SOPInstanceUID).where(instances.c.SOPInstanceUID.in_(SOPInstanceUIDs))
    return set(connection.execute(statement).scalars())


def place_files(files: Sequence[DeidentifiedFile], folder: Path) -> dict[str, str]:
    """Move files to their place and sync them; needs no hold on the index.

    Returns
    -------
    dict
        SOPInstanceUID to path below ``folder``. Until the index names them the files are not visible.
    """
    places = {}
    made: set[str] = set()
    for file in files:
        parent = f"{file.StudyInstanceUID}/{file.SeriesInstanceUID}"
        if parent not in made:
            (folder / parent).mkdir(parents=True, exist_ok=True)
            made.add(parent)
        places[file.SOPInstanceUID] = place = f"{parent}/{file.SOPInstanceUID}{find_suffix(file.media_type)}"
        os.replace(file.path, f"{folder}/{place}")
    sync_file_system(folder)
    return places


def index_study(connection: Connection, study: DeidentifiedStudy, places: dict[str, str], rules: Rules) -> bool:
    """Write the rows of a study whose files are in their places; returns whether anything was new.

    Instances that the index already holds are left as they are; new ones of a series that was visible already make
    a new revision of it.
    """
    known = list_known(connection, [file.SOPInstanceUID for file in study.files])
    groups: dict[str, list[DeidentifiedFile]] = defaultdict(list)
    for file in study.files:
        if file.SOPInstanceUID not in known:
            groups[file.SeriesInstanceUID].append(file)
    if not groups:
        return False
    _add_study_row(connection, study)
    for uid, files in groups.items():
        _add_series(connection, uid, files, places)
    _assign_projects(connection, study, rules)
    return True


def _add_study_row(connection: Connection, study: DeidentifiedStudy) -> None:
    this = studies.c.StudyInstanceUID == study.StudyInstanceUID
    present = connection.execute(select(studies.c.flags).where(this)).first()
    if present is None:
        values = {**describe_study(study.files[0]), "site": study.site, "flags": sorted(study.flags)}
        connection.execute(insert(studies).values(values))
    elif not study.flags <= set(present.flags):
        connection.execute(update(studies).where(this).values(flags=sorted(study.flags.union(present.flags))))


def _add_series(connection: Connection, uid: str, files: list[DeidentifiedFile], places: dict[str, str]) -> None:
    values = describe_series(files)
    this = series.c.SeriesInstanceUID == uid
    revision = connection.execute(select(series.c.revision).where(this)).scalar()
    if revision is None:
        of_study = select(*[studies.c[name] for name in OF_STUDY]).where(
            studies.c.StudyInstanceUID == values["StudyInstanceUID"]
        )
        values |= connection.execute(of_study).mappings().one()
        newest = connection.execute(select(func.max(series.c.id))).scalar() or 0
        facts = {"id": newest + 1, "words": join_words(values), "received_at": datetime.now(UTC), "revision": 1}
        connection.execute(insert(series).values({**values, **facts}))
    else:
        grown = {name: series.c[name] + values[name] for name in ("n_instances", "n_frames", "size_bytes")}
        connection.execute(update(series).where(this).values({**grown, "revision": revision + 1}))
    memory = TextCache()
    rows = [
        {**describe_instance(file, places[file.SOPInstanceUID], memory), "revision": (revision or 0) + 1}
        for file in files
    ]
    connection.execute(insert(instances), rows)


def _assign_projects(connection: Connection, study: DeidentifiedStudy, rules: Rules) -> None:
    this = study.StudyInstanceUID
    rows = connection.execute(select(series).where(series.c.StudyInstanceUID == this)).mappings()
    wanted = match_projects(rules, [dict(row) for row in rows]) | study.projects
    present = select(studies.c.site, studies.c.scope).where(studies.c.StudyInstanceUID == this)
    site, scope = connection.execute(present).one()
    for known in list_scopes(connection, scopes.c.id == scope).values():
        wanted |= set(known.projects)
    assign_scope(connection, this, site, wanted)


def link_segmentations(connection: Connection, StudyInstanceUID: str, author: str) -> None:
    """Turn every SEG of a study that nobody knows yet, and whose series is here, into that series' next label.

    A SEG may arrive before the images it was drawn on, so the whole study is looked at, not only what is new.
    """
    statement = (
        select(instances.c.SOPInstanceUID, instances.c.header)
        .join(series, series.c.SeriesInstanceUID == instances.c.SeriesInstanceUID)
        .where(
            series.c.StudyInstanceUID == StudyInstanceUID,
            series.c.Modality == "SEG",
            ~exists().where(annotation_versions.c.SOPInstanceUID == instances.c.SOPInstanceUID),
            ~exists().where(predictions.c.SOPInstanceUID == instances.c.SOPInstanceUID),
        )
        .order_by(instances.c.SOPInstanceUID)
    )
    for uid, header in connection.execute(statement).all():
        dataset = Dataset.from_json(header)
        source = find_segmented_series(connection, dataset)
        if source is not None:
            add_version(connection, source, author, "intake", uid, list_segments(dataset), None)


def list_segments(dataset: Dataset) -> list[dict[str, Any]]:
    """Return what the segments of a SEG mean (PS3.3 section C.8.20.2)."""
    return [{"number": segment.number, "label": segment.label} for segment in read_segments(dataset)]


def find_segmented_series(connection: Connection, dataset: Dataset) -> str | None:
    """Return the UID of the visible series a SEG was drawn on (PS3.3 C.12.4), if the index holds it."""
    for reference in dataset.get("ReferencedSeriesSequence", []):
        uid = str(reference.SeriesInstanceUID)
        if connection.execute(select(series.c.SeriesInstanceUID).where(series.c.SeriesInstanceUID == uid)).first():
            return uid
    return None


def add_version(
    connection: Connection,
    SeriesInstanceUID: str,
    author: str,
    origin: str,
    SOPInstanceUID: str,
    segments: list[dict[str, Any]],
    comment: str | None,
) -> int:
    """Append a label version to a series; returns the new row's id."""
    newest = select(func.max(annotation_versions.c.version)).where(
        annotation_versions.c.SeriesInstanceUID == SeriesInstanceUID
    )
    values = {
        "SeriesInstanceUID": SeriesInstanceUID,
        "version": (connection.execute(newest).scalar() or 0) + 1,
        "author": author,
        "origin": origin,
        "SOPInstanceUID": SOPInstanceUID,
        "segments": segments,
        "comment": comment,
        "created_at": datetime.now(UTC),
    }
    number = insert_row(connection, annotation_versions, values)
    write_result_names(connection, [SeriesInstanceUID])
    return number
