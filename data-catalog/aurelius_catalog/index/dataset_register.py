"""The frozen datasets in the index: which files each one holds, by their hashes, and what they are called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    exists,
    insert,
    literal,
    not_,
    null,
    or_,
    select,
    true,
)

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import InvalidRequest, NotFound, PermissionDenied
from aurelius_catalog.index import reads
from aurelius_catalog.index.database import insert_row
from aurelius_catalog.index.dataset_hash import name_content
from aurelius_catalog.index.schema import (
    annotation_versions,
    dataset_names,
    dataset_objects,
    dataset_series,
    datasets,
    instances,
    series,
    studies,
)
from aurelius_catalog.index.visibility import is_visible
from aurelius_catalog.records import DatasetObject, DatasetRecord, SeriesRecord

#: UIDs in one statement: SQLite takes no more than 32766 values.
CHUNK = 500


def list_datasets(connection: Connection, person: Person) -> list[DatasetRecord]:
    """Return the datasets the person may open, newest first; one with two names is listed under both."""
    rows = connection.execute(_select_names().where(_may_open(person))).mappings()
    return [_with_series(connection, dict(row)) for row in rows]


def get_dataset(connection: Connection, person: Person, id_or_name: str) -> DatasetRecord:
    """Return one dataset; of several with a name, the newest, and by its id under its first name.

    Raises
    ------
    NotFound
        If there is none.
    PermissionDenied
        If it holds a series this person may not see.
    """
    row = connection.execute(_select_names().where(dataset_names.c.name == id_or_name)).mappings().first()
    if row is None:
        by_id = _select_names().where(datasets.c.id == id_or_name).order_by(None).order_by(dataset_names.c.id)
        row = connection.execute(by_id).mappings().first()
    if row is None:
        raise NotFound(f"There is no dataset {id_or_name!r}. `catalog.datasets()` lists those you may open.")
    allowed = select(datasets.c.id).join(dataset_names).where(datasets.c.id == row["id"], _may_open(person))
    if connection.execute(allowed).first() is None:
        raise PermissionDenied(f"{person.name} may not open dataset {id_or_name}: it holds series of other projects.")
    return _with_series(connection, dict(row))


def add_dataset(connection: Connection, person: Person, name: str, SeriesInstanceUIDs: Sequence[str]) -> DatasetRecord:
    """Freeze series, with every label version drawn on them so far, under a name.

    The same content is the same dataset: frozen again under another name, it gets that name as well.

    Raises
    ------
    InvalidRequest
        If there is no series, or no name.
    NotFound, PermissionDenied, Withdrawn
        If one of the series is not there for this person.
    """
    uids = sorted(set(SeriesInstanceUIDs))
    if not uids:
        raise InvalidRequest("A dataset needs at least one series: the search that made it found none.")
    if not name.strip():
        raise InvalidRequest("A dataset needs a name, such as lung-v1.")
    _require_visible(connection, person, uids)
    held = _Held(connection, uids)
    values = {"created_by": person.name, "created_at": datetime.now(UTC)}
    known = connection.execute(select(datasets.c.id).where(datasets.c.id == held.id)).first()
    if known is None:
        row = {**held.describe(), **values}
        connection.execute(insert(datasets).values(row))
        counts = ("n_instances", "n_frames", "size_bytes")
        for chunk in _split(uids):
            now = select(series.c.SeriesInstanceUID, *(series.c[name] for name in counts), literal(held.id))
            now = now.where(series.c.SeriesInstanceUID.in_(chunk))
            columns = ["SeriesInstanceUID", *counts, "dataset_id"]
            connection.execute(insert(dataset_series).from_select(columns, now))
        for statement in _select_objects(uids):
            columns = [column.name for column in dataset_objects.columns]
            rows = statement.add_columns(literal(held.id))
            connection.execute(insert(dataset_objects).from_select([*columns[1:], columns[0]], rows))
    this = and_(dataset_names.c.dataset_id == held.id, dataset_names.c.name == name)
    if connection.execute(select(dataset_names.c.id).where(this)).first() is None:
        insert_row(connection, dataset_names, {"dataset_id": held.id, "name": name, **values})
    return _with_series(connection, dict(connection.execute(_select_names().where(this)).mappings().one()))


def list_series(connection: Connection, person: Person, dataset_id: str) -> list[SeriesRecord]:
    """Return the series of a dataset that are not withdrawn, counted as they were when it was frozen."""
    rows = connection.execute(select(dataset_series).where(dataset_series.c.dataset_id == dataset_id)).mappings()
    then = {row["SeriesInstanceUID"]: row for row in rows if row["withdrawn_at"] is None}
    found: list[SeriesRecord] = []
    for chunk in _split(sorted(then)):
        statement = reads.select_series().where(series.c.SeriesInstanceUID.in_(chunk), is_visible(person))
        for record in reads.read_series(connection, statement):
            row = then[record.SeriesInstanceUID]
            counts = {name: row[name] for name in ("n_instances", "n_frames", "size_bytes")}
            found.append(record.model_copy(update=counts))
    return sorted(found, key=lambda record: (record.PatientID, record.StudyInstanceUID, record.SeriesInstanceUID))


def list_objects(
    connection: Connection, dataset_id: str, SeriesInstanceUID: str | None = None, role: str | None = None
) -> list[DatasetObject]:
    """Return what a dataset holds, by series and file; labels with their version and segments."""
    drawn = annotation_versions.c.SOPInstanceUID == dataset_objects.c.SOPInstanceUID
    labelled = annotation_versions.c.SeriesInstanceUID == dataset_objects.c.SeriesInstanceUID
    member = and_(
        dataset_series.c.dataset_id == dataset_objects.c.dataset_id,
        dataset_series.c.SeriesInstanceUID == dataset_objects.c.SeriesInstanceUID,
    )
    statement = (
        select(
            *[column for column in dataset_objects.columns if column.name != "dataset_id"],
            annotation_versions.c.version,
            annotation_versions.c.segments,
            dataset_series.c.withdrawn_at.is_not(None).label("withdrawn"),
        )
        .join(dataset_series, member)
        .outerjoin(annotation_versions, and_(dataset_objects.c.role == "label", drawn, labelled))
        .where(dataset_objects.c.dataset_id == dataset_id)
        .order_by(dataset_objects.c.SeriesInstanceUID, dataset_objects.c.role, dataset_objects.c.SOPInstanceUID)
    )
    if SeriesInstanceUID is not None:
        statement = statement.where(dataset_objects.c.SeriesInstanceUID == SeriesInstanceUID)
    if role is not None:
        statement = statement.where(dataset_objects.c.role == role)
    rows = connection.execute(statement).mappings()
    return [DatasetObject(**{**row, "segments": row["segments"] or ()}) for row in rows]


class _Held:
    """What the index holds of some series at this moment."""

    def __init__(self, connection: Connection, uids: Sequence[str]) -> None:
        self._files: dict[str, list[tuple[str, int]]] = {"image": [], "label": []}
        self.profiles: set[tuple[str, str]] = set()
        for statement in _select_objects(uids):
            for row in connection.execute(statement):
                self._files[row.role].append((row.sha256, row.size_bytes))
        profile = instances.c.deidentification["profile"].as_string()
        sha256 = instances.c.deidentification["sha256"].as_string()
        for chunk in _split(uids):
            statement = select(profile, sha256).distinct().where(instances.c.SeriesInstanceUID.in_(chunk))
            self.profiles |= {(name, digest or "") for name, digest in connection.execute(statement) if name}

    @property
    def id(self) -> str:
        images, labels = ([sha256 for sha256, _ in files] for files in self._files.values())
        return name_content(images, labels, self.profiles)

    def describe(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "profiles": sorted(map(list, self.profiles)),
            "n_instances": len(self._files["image"]),
            "n_labels": len(self._files["label"]),
            "size_bytes": sum(size for files in self._files.values() for _, size in files),
        }


def _select_objects(uids: Sequence[str]) -> Iterator[Select[Any]]:
    """Yield statements for the rows of `dataset_objects`, but for the id: the files of the series, and their labels."""
    columns = (instances.c.sha256, instances.c.size_bytes)
    drawn = annotation_versions.c.SOPInstanceUID == instances.c.SOPInstanceUID
    for chunk in _split(uids):
        yield select(
            instances.c.SeriesInstanceUID, instances.c.SOPInstanceUID, literal("image").label("role"), *columns
        ).where(instances.c.SeriesInstanceUID.in_(chunk))
        yield (
            select(
                annotation_versions.c.SeriesInstanceUID,
                annotation_versions.c.SOPInstanceUID,
                literal("label").label("role"),
                *columns,
            )
            .join(instances, drawn)
            .where(annotation_versions.c.SeriesInstanceUID.in_(chunk))
        )


def _select_names() -> Select[Any]:
    columns = (dataset_names.c.name, dataset_names.c.created_by, dataset_names.c.created_at)
    own = [column for column in datasets.columns if column.name not in ("created_by", "created_at")]
    statement = select(*own, *columns).join(dataset_names, dataset_names.c.dataset_id == datasets.c.id)
    return statement.order_by(dataset_names.c.created_at.desc(), dataset_names.c.id.desc())


def _may_open(person: Person) -> ColumnElement[bool]:
    """Return the condition that keeps the datasets whose every series the person may see."""
    if person.sees_everything:
        return true()
    here = and_(dataset_series.c.dataset_id == datasets.c.id, dataset_series.c.withdrawn_at.is_(None))
    foreign = (
        select(null())
        .select_from(dataset_series)
        .join(series, series.c.SeriesInstanceUID == dataset_series.c.SeriesInstanceUID)
        .join(studies, studies.c.StudyInstanceUID == series.c.StudyInstanceUID)
        .where(here, not_(is_visible(person)))
        .correlate(datasets)
    )
    # Of one whose every patient was withdrawn, nothing is left to tell by whose it was.
    return and_(not_(exists(foreign)), or_(exists().where(here), dataset_names.c.created_by == person.name))


def _require_visible(connection: Connection, person: Person, uids: Sequence[str]) -> None:
    for chunk in _split(uids):
        visible = (
            select(series.c.SeriesInstanceUID)
            .join(studies, studies.c.StudyInstanceUID == series.c.StudyInstanceUID)
            .where(series.c.SeriesInstanceUID.in_(chunk), is_visible(person))
        )
        for uid in sorted(set(chunk) - set(connection.execute(visible).scalars())):
            reads.get_series(connection, person, uid)  # which says why not


def _with_series(connection: Connection, row: dict[str, Any]) -> DatasetRecord:
    statement = select(dataset_series.c.SeriesInstanceUID, dataset_series.c.withdrawn_at)
    statement = statement.where(dataset_series.c.dataset_id == row["id"]).order_by(dataset_series.c.SeriesInstanceUID)
    held = connection.execute(statement).all()
    withdrawn = tuple(uid for uid, at in held if at is not None)
    return DatasetRecord(**row, SeriesInstanceUIDs=tuple(uid for uid, _ in held), withdrawn=withdrawn)


def _split(uids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (uids[start : start + CHUNK] for start in range(0, len(uids), CHUNK))
