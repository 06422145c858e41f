"""The catalog's own JSON interface: the methods of the `Store` protocol, one route each."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Form, Path, UploadFile
from fastapi.responses import FileResponse, Response
from pydantic import Json, StringConstraints

from aurelius_catalog.records import (
    AnnotationRecord,
    DecisionAction,
    DecisionRecord,
    InstanceRecord,
    NewPrediction,
    PredictionRecord,
    Record,
    Segment,
    SeriesRecord,
    WorklistRow,
)
from aurelius_catalog.remote.labelmap_encoding import unpack_labelmap
from aurelius_catalog.service.stores import Opened
from aurelius_catalog.store import LabelMap

router = APIRouter()

#: Text a database can hold: PostgreSQL knows no NUL character.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]


class WhoAmI(Record):
    """The person behind a token."""

    name: str
    groups: list[str]


class NewAnnotation(Record):
    """The record that accompanies a label map."""

    segments: tuple[Segment, ...]
    origin: Annotated[str, StringConstraints(pattern=r"^[a-z-]{1,16}$")]
    comment: Text = ""


class NewDecision(Record):
    """A person's decision on a prediction."""

    action: DecisionAction
    comment: Text = ""


@router.get("/whoami")
def read_whoami(store: Opened) -> WhoAmI:
    """Return the name and the hub's groups of the person behind the token."""
    return WhoAmI(name=store.person.name, groups=sorted(store.person.groups))


@router.get("/series/{uid}")
def read_series(store: Opened, uid: Text) -> SeriesRecord:
    """Return one series."""
    return store.get_series(uid)


@router.get("/series/{uid}/instances")
def list_instances(store: Opened, uid: Text) -> list[InstanceRecord]:
    """Return the instances of a series in slice order."""
    return store.list_instances(uid)


@router.get("/instances/{uid}/file")
def read_file(store: Opened, uid: Text) -> Response:
    """Return a file as stored: DICOM Part 10, a slide, a NIfTI volume."""
    path, media_type = store.find_file(uid)
    return FileResponse(path, media_type=media_type)


@router.get("/annotations")
def list_annotations(store: Opened, SeriesInstanceUID: Text | None = None) -> list[AnnotationRecord]:
    """Return label versions, of one series or of all."""
    return store.list_annotations(SeriesInstanceUID)


@router.post("/series/{uid}/annotations")
def add_annotation(
    store: Opened, uid: Text, record: Annotated[Json[NewAnnotation], Form()], labelmap: Annotated[UploadFile, File()]
) -> AnnotationRecord:
    """Store a label map (see `aurelius_catalog.remote.labelmap_encoding`) as a new version."""
    voxels = _read_labelmap(store, uid, labelmap)
    return store.add_annotation(uid, voxels, record.segments, origin=record.origin, comment=record.comment)


@router.get("/predictions")
def list_predictions(store: Opened, SeriesInstanceUID: Text | None = None) -> list[PredictionRecord]:
    """Return what models found, in one series or in all."""
    return store.list_predictions(SeriesInstanceUID)


@router.post("/series/{uid}/predictions")
def add_prediction(
    store: Opened,
    uid: Text,
    record: Annotated[Json[NewPrediction], Form()],
    labelmap: Annotated[UploadFile | None, File()] = None,
) -> PredictionRecord:
    """Store a model's result, with the label map of its finding where there is one."""
    return store.add_prediction(uid, record, _read_labelmap(store, uid, labelmap) if labelmap else None)


@router.get("/worklist")
def list_worklist(store: Opened) -> list[WorklistRow]:
    """Return the predictions, those that most need review first."""
    return store.list_worklist()


@router.post("/predictions/{prediction_id}/decisions")
def add_decision(
    store: Opened, prediction_id: Annotated[int, Path(ge=0, lt=2**31)], decision: NewDecision
) -> DecisionRecord:
    """Store the person's decision on a prediction."""
    return store.add_decision(prediction_id, decision.action, decision.comment)


def _read_labelmap(store: Opened, uid: str, upload: UploadFile) -> LabelMap:
    series = store.get_series(uid)
    return unpack_labelmap(upload.file.read(), (series.Rows or 0) * (series.Columns or 0) * series.n_frames)
