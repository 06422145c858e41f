"""How a de-identified study enters: files first, synced to disk, then every row in one transaction."""

from __future__ import annotations

import os
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydicom import Dataset
from sqlalchemy import Connection, exists, func, insert, select, update

from aurelius_catalog.database import insert_row
from aurelius_catalog.deidentified import DeidentifiedFile, DeidentifiedStudy
from aurelius_catalog.disk import sync_folder
from aurelius_catalog.header import describe_instance, describe_series, describe_study
from aurelius_catalog.projects import Rules, match_projects
from aurelius_catalog.schema import annotation_versions, instances, predictions, series, studies, study_projects


def place_files(study: DeidentifiedStudy, folder: Path) -> dict[str, str]:
    """Move the files of a study to their place and sync them.

    Returns
    -------
    dict
        SOPInstanceUID to path below ``folder``. Until the index names them the files are not visible.
    """
    places = {}
    for file in study.files:
        header = file.dataset
        place = Path(header.StudyInstanceUID) / header.SeriesInstanceUID / f"{header.SOPInstanceUID}.dcm"
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        with file.path.open("rb") as written:
            os.fsync(written.fileno())
        file.path.replace(target)
        places[str(header.SOPInstanceUID)] = str(place)
    for parent in {(folder / place).parent for place in places.values()}:
        sync_folder(parent)
    return places


def index_study(connection: Connection, study: DeidentifiedStudy, places: dict[str, str], rules: Rules) -> list[str]:
    """Write the rows of a study; returns the UIDs of the series that became visible or grew.

    Instances that the index already holds are left as they are.
    """
    _add_study_row(connection, study)
    groups: dict[str, list[DeidentifiedFile]] = defaultdict(list)
    for file in study.files:
        groups[str(file.dataset.SeriesInstanceUID)].append(file)
    changed = [uid for uid, files in groups.items() if _add_series(connection, uid, files, places)]
    _assign_projects(connection, study.StudyInstanceUID, rules)
    return changed


def _add_study_row(connection: Connection, study: DeidentifiedStudy) -> None:
    known = select(studies.c.StudyInstanceUID).where(studies.c.StudyInstanceUID == study.StudyInstanceUID)
    if connection.execute(known).first() is None:
        values = {**describe_study(study.files[0].dataset), "site": study.site}
        connection.execute(insert(studies).values(values))


def _add_series(connection: Connection, uid: str, files: list[DeidentifiedFile], places: dict[str, str]) -> bool:
    uids = [str(file.dataset.SOPInstanceUID) for file in files]
    known = set(
        connection.execute(select(instances.c.SOPInstanceUID).where(instances.c.SOPInstanceUID.in_(uids))).scalars()
    )
    new = [file for file in files if str(file.dataset.SOPInstanceUID) not in known]
    if not new:
        return False
    values = describe_series(new)
    present = connection.execute(select(series.c.SeriesInstanceUID).where(series.c.SeriesInstanceUID == uid)).first()
    if present is None:
        connection.execute(insert(series).values({**values, "received_at": datetime.now(UTC)}))
    else:
        grown = {name: series.c[name] + values[name] for name in ("n_instances", "n_frames", "size_bytes")}
        connection.execute(update(series).where(series.c.SeriesInstanceUID == uid).values(grown))
    connection.execute(
        insert(instances), [describe_instance(file, places[str(file.dataset.SOPInstanceUID)]) for file in new]
    )
    return True


def _assign_projects(connection: Connection, StudyInstanceUID: str, rules: Rules) -> None:
    rows = connection.execute(select(series).where(series.c.StudyInstanceUID == StudyInstanceUID)).mappings()
    wanted = match_projects(rules, [dict(row) for row in rows])
    present = select(study_projects.c.project).where(study_projects.c.StudyInstanceUID == StudyInstanceUID)
    for project in sorted(wanted - set(connection.execute(present).scalars())):
        connection.execute(insert(study_projects).values(StudyInstanceUID=StudyInstanceUID, project=project))


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
            segments = [
                {"number": int(item.SegmentNumber), "label": str(item.SegmentLabel)} for item in dataset.SegmentSequence
            ]
            add_version(connection, source, author, "intake", uid, segments, None)


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
    return insert_row(connection, annotation_versions, values)
