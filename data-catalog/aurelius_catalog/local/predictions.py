"""Predictions of models, and what people decide about them."""

from __future__ import annotations

from sqlalchemy import update

from aurelius_catalog.access.person import Action
from aurelius_catalog.index import annotations as versions
from aurelius_catalog.index import reads
from aurelius_catalog.index.audit_log import record_event
from aurelius_catalog.index.database import writing
from aurelius_catalog.index.schema import predictions
from aurelius_catalog.local.admission import LocalAdmission
from aurelius_catalog.local.context import LocalContext
from aurelius_catalog.local.search import LocalSearch
from aurelius_catalog.local.segmentations import SegmentationFiles
from aurelius_catalog.records import (
    DecisionAction,
    DecisionRecord,
    NewPrediction,
    PredictionRecord,
    WorklistRow,
)
from aurelius_catalog.store import LabelMap


class LocalPredictions:
    """What of the `Store` protocol keeps predictions and decisions."""

    def __init__(
        self, context: LocalContext, search: LocalSearch, admission: LocalAdmission, files: SegmentationFiles
    ) -> None:
        self._context = context
        self._search = search
        self._admission = admission
        self._files = files

    def list_predictions(self, SeriesInstanceUID: str | None = None) -> list[PredictionRecord]:
        """Return what models found; see `Store.list_predictions`."""
        if SeriesInstanceUID is not None:
            self._search.get_series(SeriesInstanceUID)
        with self._context.engine.begin() as connection:
            return versions.list_predictions(connection, self._context.person, SeriesInstanceUID)

    def add_prediction(
        self, SeriesInstanceUID: str, prediction: NewPrediction, labelmap: LabelMap | None
    ) -> PredictionRecord:
        """Store a model's result; see `Store.add_prediction`."""
        self._context.person.require(Action.PREDICT)
        record = self._search.get_series(SeriesInstanceUID)
        study = None
        if labelmap is not None and labelmap.any():
            algorithm = (prediction.model, prediction.model_hash[:16])
            study = self._files.write_label(
                record, labelmap, prediction.segments, author=prediction.model, algorithm=algorithm
            )
        places = self._admission.place_study(study) if study else {}
        with writing(self._context.engine) as connection:
            if study:
                self._admission.index_placed(connection, study, places)
            uid = study.files[0].SOPInstanceUID if study else None
            number = versions.add_prediction(connection, SeriesInstanceUID, prediction, uid)
            record_event(connection, self._context.person, "predict", SeriesInstanceUID, {"model": prediction.model})
            return versions.get_prediction(connection, number)

    def list_worklist(self) -> list[WorklistRow]:
        """Return the visible predictions in the order they want attention; see `Store.list_worklist`."""
        with self._context.engine.begin() as connection:
            return versions.list_worklist(connection, self._context.person)

    def add_decision(self, prediction_id: int, action: DecisionAction, comment: str) -> DecisionRecord:
        """Store this person's word on a prediction; see `Store.add_decision`."""
        self._context.person.require(Action.DECIDE)
        action = DecisionAction(action)
        with writing(self._context.engine) as connection:
            prediction = versions.get_prediction(connection, prediction_id)
            reads.get_series(connection, self._context.person, prediction.SeriesInstanceUID)
            decision = versions.add_decision(connection, prediction_id, self._context.person.name, action, comment)
            reviewed = update(predictions).where(predictions.c.id == prediction_id).values(requires_review=False)
            connection.execute(reviewed)
            record_event(
                connection, self._context.person, action, prediction.SeriesInstanceUID, {"prediction": prediction_id}
            )
            return decision
