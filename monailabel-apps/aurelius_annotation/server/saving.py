"""Saved labels: each becomes a new version with its author, or is refused with the reason and kept aside."""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, File, Form, UploadFile

from aurelius_annotation.server.dependencies import AnnotationContext, Annotator, ContextDependency
from aurelius_annotation.server.images import CachedImage
from aurelius_annotation.server.label_grid import fit_to_grid, name_segments
from aurelius_annotation.server.uploaded_label import VOXEL_BYTES, UploadedLabel, find_suffix, read_label
from aurelius_catalog.access.person import Person
from aurelius_catalog.durable_files import write_durably
from aurelius_catalog.errors import InvalidLabel, InvalidRequest
from aurelius_catalog.records import AnnotationRecord

LOG = logging.getLogger(__name__)
router = APIRouter()

#: Bytes an upload may have on top of its voxels: headers, segment names and colours.
HEADER_BYTES = 1 << 20


@router.put("/datastore/label")
def save_label(
    image: str,
    context: ContextDependency,
    person: Annotator,
    label: Annotated[UploadFile, File()],
    params: Annotated[str, Form()] = "{}",
    tag: str = "",
) -> dict[str, Any]:
    """Save a label as the next version; nothing is ever overwritten, so ``tag`` has no say."""
    options = parse_params(params)
    uid = context.tickets.read(image, person)
    store = context.open_store(person)
    cached = context.images.open(store, store.get_series(uid))
    content = read_upload(label, cached)
    try:
        record = _add_version(context, person, uid, cached, content, label.filename or "", options)
    except Exception as error:
        reason = str(error) if isinstance(error, InvalidLabel) else "The catalog could not take it."
        kept = keep_aside(context.settings.folder / "rejected", content, person, uid, reason)
        if isinstance(error, InvalidLabel):
            raise InvalidLabel(f"{reason} Nothing is lost: the upload is kept as {kept}.") from error
        raise
    return {"image": image, "label": image, "tag": "final", "version": record.version, "author": record.author}


def parse_params(params: str) -> dict[str, Any]:
    """Read the ``params`` part of a request.

    Raises
    ------
    InvalidRequest
        If it is no JSON object.
    """
    try:
        options = json.loads(params or "{}")
    except ValueError as error:
        raise InvalidRequest("The part `params` is not JSON.") from error
    if not isinstance(options, dict):
        raise InvalidRequest("The part `params` must be a JSON object.")
    return options


def read_upload(upload: UploadFile, image: CachedImage) -> bytes:
    """Return an uploaded label, which cannot be larger than the image's voxels allow.

    Raises
    ------
    InvalidLabel
        If it is.
    """
    limit = int(np.prod(image.shape)) * VOXEL_BYTES + HEADER_BYTES
    content = upload.file.read(limit + 1)
    if len(content) > limit:
        raise InvalidLabel("The label is larger than the image it is for: it belongs to another one.")
    return content


def read_fitting(content: bytes, filename: str, image: CachedImage) -> tuple[UploadedLabel, np.ndarray[Any, Any]]:
    """Return an uploaded label and its (z, y, x) uint8 voxels on the image's grid.

    Raises
    ------
    InvalidLabel
        If it is no label, or of another image.
    """
    uploaded = read_label(content, find_suffix(filename), int(np.prod(image.shape)))
    return uploaded, fit_to_grid(uploaded, image.shape, image.affine_lps)


def keep_aside(folder: Path, content: bytes, person: Person, SeriesInstanceUID: str, reason: str) -> str:
    """Keep a refused upload with who sent it and why it was refused; returns the name it is kept under."""
    moment = datetime.now(UTC)
    author = re.sub(r"[^A-Za-z0-9_-]", "_", person.name)
    name = f"{moment:%Y%m%dT%H%M%S}-{author}-{secrets.token_hex(4)}"
    card = {
        "person": person.name,
        "at": moment.isoformat(),
        "SeriesInstanceUID": SeriesInstanceUID,
        "reason": reason,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_durably(folder / f"{name}.upload", content)
    write_durably(folder / f"{name}.json", json.dumps(card, indent=2).encode())
    LOG.warning("A label could not be saved and is kept as %s.", name)
    return name


def _add_version(
    context: AnnotationContext,
    person: Person,
    SeriesInstanceUID: str,
    image: CachedImage,
    content: bytes,
    filename: str,
    options: Mapping[str, Any],
) -> AnnotationRecord:
    uploaded, labelmap = read_fitting(content, filename, image)
    values = [int(value) for value in np.unique(labelmap) if value]
    known = [str(name) for name in context.pool.info.get("labels", [])]
    info = options.get("label_info") or []
    if not isinstance(info, list) or not all(isinstance(item, dict) for item in info):
        raise InvalidLabel("`label_info` must be a list of objects with a name and an index.")
    segments = name_segments(values, info, uploaded.names, known)
    if not segments:
        raise InvalidLabel("The label has no segment. Add one, even an empty one, to say what was looked for.")
    renumber = np.zeros(256, np.uint8)
    for value, segment in segments.items():
        renumber[value] = segment.number
    return context.open_store(person).add_annotation(
        SeriesInstanceUID,
        renumber[labelmap],
        list(segments.values()),
        origin="slicer",
        comment=str(options.get("comment") or ""),
    )
