"""Label versions, predictions and decisions in the index."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, exists, select

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import InvalidRequest, NotFound
from aurelius_catalog.index.database import insert_row
from aurelius_catalog.index.reads import read_series, select_series
from aurelius_catalog.index.result_names import write_result_names
from aurelius_catalog.index.schema import (
    annotation_versions,
    decisions,
    leases,
    predictions,
    series,
    studies,
)
from aurelius_catalog.index.visibility import is_visible
from aurelius_catalog.records import (
    AnnotationRecord,
    DecisionAction,
    DecisionRecord,
    LeaseRecord,
    NewPrediction,
    PredictionRecord,
    WorklistRow,
)


def list_annotations(connection: Connection, person: Person, SeriesInstanceUID: str | None) -> list[AnnotationRecord]:
    """Return the visible label versions, oldest first."""
    rows = connection.execute(_of_visible(annotation_versions, person, SeriesInstanceUID)).mappings()
    return [AnnotationRecord(**row) for row in rows]


def get_annotation(connection: Connection, number: int) -> AnnotationRecord:
    """Return one label version by its id."""
    row = connection.execute(select(annotation_versions).where(annotation_versions.c.id == number)).mappings().one()
    return AnnotationRecord(**row)


def select_unlabelled(person: Person) -> Select[Any]:
    """Return the statement for the volumes nobody drew on and nobody else holds, the person's own lease first."""
    this = series.c.SeriesInstanceUID
    drawn = exists().where(annotation_versions.c.SeriesInstanceUID == this, annotation_versions.c.origin != "intake")
    taken = exists().where(leases.c.SeriesInstanceUID == this, leases.c.person != person.name)
    mine = exists().where(leases.c.SeriesInstanceUID == this, leases.c.person == person.name)
    volume = series.c.Modality.in_(["CT", "MR"]) & (series.c.n_frames > 1)
    statement = select_series().where(is_visible(person), volume, ~drawn, ~taken)
    return statement.order_by(mine.desc(), series.c.received_at, this)


def list_leases(connection: Connection, person: Person) -> list[LeaseRecord]:
    """Return the leases of visible series that have not run out."""
    statement = _of_visible(leases, person, None).where(leases.c.until > datetime.now(UTC))
    return [LeaseRecord(**row) for row in connection.execute(statement).mappings()]


def list_predictions(connection: Connection, person: Person, SeriesInstanceUID: str | None) -> list[PredictionRecord]:
    """Return the visible predictions, oldest first."""
    rows = connection.execute(_of_visible(predictions, person, SeriesInstanceUID)).mappings()
    return [PredictionRecord(**row) for row in rows]


def get_prediction(connection: Connection, number: int) -> PredictionRecord:
    """Return one prediction by its id.

    Raises
    ------
    NotFound
        If there is none.
    """
    row = connection.execute(select(predictions).where(predictions.c.id == number)).mappings().first()
    if row is None:
        raise NotFound(f"There is no prediction {number}.")
    return PredictionRecord(**row)


def add_prediction(
    connection: Connection, SeriesInstanceUID: str, prediction: NewPrediction, SOPInstanceUID: str | None
) -> int:
    """Insert a prediction that requires review; returns its id."""
    values = {
        **prediction.model_dump(mode="json"),
        "SeriesInstanceUID": SeriesInstanceUID,
        "SOPInstanceUID": SOPInstanceUID,
        "requires_review": True,
        "created_at": datetime.now(UTC),
    }
    number = insert_row(connection, predictions, values)
    write_result_names(connection, [SeriesInstanceUID])
    return number


def list_worklist(connection: Connection, person: Person) -> list[WorklistRow]:
    """Return the visible predictions with their series and newest decision: undecided and uncertain first."""
    found = list_predictions(connection, person, None)
    uids = {prediction.SeriesInstanceUID for prediction in found}
    statement = select_series().where(is_visible(person), series.c.SeriesInstanceUID.in_(uids))
    records = {record.SeriesInstanceUID: record for record in read_series(connection, statement)}
    newest = {
        row["prediction_id"]: DecisionRecord(**row) for row in connection.execute(_decisions_of(found)).mappings()
    }
    lines = [
        WorklistRow(prediction=item, series=records[item.SeriesInstanceUID], decision=newest.get(item.id))
        for item in found
    ]
    return sorted(lines, key=_urgency)


def _urgency(row: WorklistRow) -> tuple[bool, float, float]:
    prediction = row.prediction
    return not prediction.requires_review, -prediction.uncertainty, -prediction.created_at.timestamp()


def _decisions_of(found: Sequence[PredictionRecord]) -> Select[Any]:
    numbers = [prediction.id for prediction in found]
    return select(decisions).where(decisions.c.prediction_id.in_(numbers)).order_by(decisions.c.id)


def add_decision(
    connection: Connection, prediction_id: int, person: str, action: DecisionAction, comment: str
) -> DecisionRecord:
    """Insert a decision.

    Raises
    ------
    InvalidRequest
        If a finding is overridden without a reason.
    """
    if action is DecisionAction.OVERRIDE and not comment.strip():
        raise InvalidRequest("Say in a few words why the finding is overridden.")
    values: dict[str, Any] = {
        "prediction_id": prediction_id,
        "person": person,
        "action": str(action),
        "comment": comment.strip(),
        "created_at": datetime.now(UTC),
    }
    return DecisionRecord(id=insert_row(connection, decisions, values), **values)


def _of_visible(table: Any, person: Person, SeriesInstanceUID: str | None) -> Select[Any]:
    statement = (
        select(table)
        .join(series, series.c.SeriesInstanceUID == table.c.SeriesInstanceUID)
        .join(studies, studies.c.StudyInstanceUID == series.c.StudyInstanceUID)
        .where(is_visible(person))
        .order_by(*table.primary_key.columns)
    )
    return statement if SeriesInstanceUID is None else statement.where(table.c.SeriesInstanceUID == SeriesInstanceUID)
