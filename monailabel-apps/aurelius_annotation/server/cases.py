"""The annotator's cases: the next one, their images, and the labels that exist."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, Response

from aurelius_annotation.errors import NotOffered
from aurelius_annotation.server.dependencies import AnnotationContext, Annotator, ContextDependency, Viewer
from aurelius_annotation.server.images import CachedImage, write_nrrd
from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import InvalidRequest, NotFound
from aurelius_catalog.hosting.login import current_person
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import AnnotationRecord, PredictionRecord, SeriesRecord
from aurelius_catalog.series import Series

router = APIRouter()

#: Minutes a case stays with the person who got it, from their last Next Sample.
LEASE_MINUTES = 240.0


@router.post("/activelearning/{strategy}")
def give_next(strategy: str, context: ContextDependency, person: Annotator) -> dict[str, Any]:
    """Lease the next case to this person; an empty answer means that no case is left."""
    if strategy not in ("first", "random"):
        raise NotFound("There is no such strategy: choose first or random.")
    store = context.open_store(person)
    record = store.lease_next(None, LEASE_MINUTES)
    if record is None:
        return {}
    image = context.images.open(store, record)
    return {
        "id": context.tickets.make(person, record.SeriesInstanceUID),
        "name": image.name,
        # Slicer opens a file of this path if it has one, so it must be a path no machine has.
        "path": image.name,
        "checksum": f"SHA256:{image.sha256}",
        "PatientID": record.PatientID,
        "StudyDescription": record.StudyDescription or "",
        "SeriesDescription": record.SeriesDescription or "",
        "Modality": record.Modality,
    }


async def identify_downloader(request: Request, context: ContextDependency, image: str) -> tuple[Person, str]:
    """FastAPI dependency: who downloads which series, by login or, where the client sends none, by ticket."""
    if "authorization" in request.headers or request.headers.get("cookie"):
        person = await current_person(request)
        context.tickets.remember(person)
        return person, context.tickets.read(image, person)
    return context.tickets.redeem(image)


Download = Annotated[tuple[Person, str], Depends(identify_downloader)]


@router.api_route("/datastore/image", methods=["GET", "HEAD"])
def send_image(request: Request, context: ContextDependency, download: Download) -> Response:
    """Send a series as one NRRD file."""
    image = open_image(context, *download)
    headers = {"ETag": f'"{image.sha256}"', "Cache-Control": "private, no-cache"}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return FileResponse(image.path, filename=image.name, media_type="application/octet-stream", headers=headers)


@router.get("/datastore/")
def list_cases(context: ContextDependency, person: Viewer, output: str = "stats") -> dict[str, Any]:
    """List the person's cases and their labels, in the shape of MONAI Label's data store."""
    store = context.open_store(person)
    if output == "train":
        raise NotOffered("Training lists are not given out; freeze a dataset in a notebook instead.")
    if output != "all":
        return count_cases(store)
    annotations, predictions = store.list_annotations(), store.list_predictions()
    objects = {}
    for record in find_volumes(store):
        labels = describe_labels(record.SeriesInstanceUID, annotations, predictions)
        objects[context.tickets.make(person, record.SeriesInstanceUID)] = {
            "image": {"ext": ".nrrd", "info": {"PatientID": record.PatientID, "Modality": record.Modality}},
            "labels": labels,
        }
    return {
        "name": "Aurelius catalog",
        "description": f"Cases of {person.name}",
        "images_dir": ".",
        "labels_dir": "labels",
        "objects": objects,
    }


@router.get("/datastore/label")
def send_label(label: str, tag: str, context: ContextDependency, person: Viewer) -> Response:
    """Send one label of a series: ``final`` (the newest drawn), ``original`` (the model's) or ``v<version>``."""
    uid = context.tickets.read(label, person)
    store = context.open_store(person)
    record = store.get_series(uid)
    segmentation = find_label(store, uid, tag)
    labels = Series(store, record).labelmap(segmentation)
    content = write_nrrd(labels.to_numpy(), np.array(labels.attrs["affine_lps"]))
    name = f"{context.images.open(store, record).path.stem}-{tag}.nrrd"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
    return Response(content, media_type="application/octet-stream", headers=headers)


def open_image(context: AnnotationContext, person: Person, SeriesInstanceUID: str) -> CachedImage:
    """Return the image of a series this person may see."""
    store = context.open_store(person)
    return context.images.open(store, store.get_series(SeriesInstanceUID))


def find_volumes(store: LocalStore) -> list[SeriesRecord]:
    """Return the visible series that can be annotated."""
    return [record for record in store.find_series(Modality=["CT", "MR"]) if record.n_frames > 1]


def count_cases(store: LocalStore) -> dict[str, Any]:
    """Count the person's cases, and those that have a label."""
    volumes = {record.SeriesInstanceUID for record in find_volumes(store)}
    drawn = {item.SeriesInstanceUID for item in store.list_annotations() if item.origin != "intake"}
    completed = len(volumes & drawn)
    return {"total": len(volumes), "completed": completed, "label_tags": {"final": completed}}


def describe_labels(
    SeriesInstanceUID: str, annotations: Sequence[AnnotationRecord], predictions: Sequence[PredictionRecord]
) -> dict[str, Any]:
    """Return the labels of a series by tag, with their names; lists are oldest first."""
    found: dict[str, PredictionRecord | AnnotationRecord] = {}
    for prediction in predictions:
        if prediction.SeriesInstanceUID == SeriesInstanceUID and prediction.SOPInstanceUID:
            found["original"] = prediction
    for annotation in annotations:
        if annotation.SeriesInstanceUID == SeriesInstanceUID:
            found[f"v{annotation.version}"] = annotation
            if annotation.origin != "intake":
                found["final"] = annotation
    return {
        tag: {
            "ext": ".nrrd",
            "info": {"params": {"label_names": {segment.label: segment.number for segment in item.segments}}},
        }
        for tag, item in found.items()
    }


def find_label(store: LocalStore, SeriesInstanceUID: str, tag: str) -> str:
    """Return the SOPInstanceUID of the SEG that a tag stands for.

    Raises
    ------
    InvalidRequest
        If it is no tag.
    NotFound
        If the series has no such label.
    """
    if re.fullmatch(r"final|original|v[0-9]{1,6}", tag) is None:
        raise InvalidRequest("A label's tag is final, original, or v and a version number.")
    if tag == "original":
        predictions = [item for item in store.list_predictions(SeriesInstanceUID) if item.SOPInstanceUID]
        if predictions:
            return str(predictions[-1].SOPInstanceUID)
    for annotation in reversed(store.list_annotations(SeriesInstanceUID)):
        if (tag == "final" and annotation.origin != "intake") or tag == f"v{annotation.version}":
            return annotation.SOPInstanceUID
    raise NotFound(f"This image has no label {tag}.")
