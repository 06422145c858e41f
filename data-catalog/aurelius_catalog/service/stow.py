"""STOW-RS (PS3.18 section 10.5): results that people derived from images they may see, sent back to their study."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydicom import FileDataset
from starlette.requests import ClientDisconnect

from aurelius_catalog.errors import AureliusError
from aurelius_catalog.hosting.free_space import has_room
from aurelius_catalog.hosting.multipart_reader import PartReader
from aurelius_catalog.hosting.stow_responses import (
    JSON_TYPE,
    StoreOutcome,
    check_media_type,
    choose_status,
    describe_outcomes,
)
from aurelius_catalog.local.derived_objects import (
    FAILED,
    NOT_ALLOWED,
    SEGMENTATIONS,
    ResultRefused,
    read_result,
    require_author,
)
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.service.address import Root
from aurelius_catalog.service.stores import Opened
from aurelius_catalog.service.targets import list_study
from aurelius_catalog.settings import CatalogSettings

router = APIRouter()

BLOCK_BYTES = 1 << 20
ARRIVING = ".arriving-"
#: No request takes longer: an older folder was left by a process that was killed.
LONGEST_REQUEST_S = 3600
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {'multipart/related; type="application/dicom"': {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("/studies", response_class=Response, openapi_extra=_BODY)
async def store_results(request: Request, store: Opened, root: Root) -> Response:
    """STOW-RS: store segmentations, structure sets, reports, secondary captures, parametric maps, presentation states.

    Each object joins the study it names, if the person may see that; others of the request are taken all the same.
    """
    return await _take(request, store, root, None)


@router.post("/studies/{study}", response_class=Response, openapi_extra=_BODY)
async def store_study_results(request: Request, store: Opened, root: Root, study: str) -> Response:
    """STOW-RS: store results in one study; see `store_results`."""
    await run_in_threadpool(list_study, store, study)
    return await _take(request, store, root, study)


def clear_arrivals(settings: CatalogSettings) -> None:
    """Remove the files of requests whose process was killed."""
    for folder in settings.files.glob(f"{ARRIVING}*"):
        with suppress(OSError):  # another process of the service may be quicker
            if folder.stat().st_mtime < time.time() - LONGEST_REQUEST_S:
                shutil.rmtree(folder)


async def _take(request: Request, store: LocalStore, root: str, study: str | None) -> Response:
    require_author(store.person)
    check_media_type(request.headers.get("content-type", ""))
    folder = store.settings.files
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=ARRIVING) as arriving:
        reader = PartReader(request.headers["content-type"], Path(arriving))
        try:
            received = await _receive(request, store, reader)
        except ClientDisconnect:
            raise HTTPException(400, "The request broke off; nothing of it was taken. Send it again.") from None
        finally:
            reader.discard()
        outcomes = await run_in_threadpool(_store, store, received, study, root)
    url = f"{root}/studies/{study}" if study else ""
    refused = bool(outcomes) and all(outcome.failure == NOT_ALLOWED for outcome in outcomes)
    status = 403 if refused else choose_status(outcomes)
    return JSONResponse(describe_outcomes(outcomes, url), status, media_type=JSON_TYPE)


async def _receive(request: Request, store: LocalStore, reader: PartReader) -> list[Path]:
    """Write the parts of a body to disk as they arrive."""
    received: list[Path] = []
    block = bytearray()
    async for chunk in request.stream():
        block += chunk
        if len(block) >= BLOCK_BYTES:
            received += await run_in_threadpool(_write, store, reader, bytes(block))
            block.clear()
    received += await run_in_threadpool(_write, store, reader, bytes(block))
    if not reader.is_whole:
        raise HTTPException(400, "The body ends before its last boundary; nothing of it was taken. Send it again.")
    return received


def _write(store: LocalStore, reader: PartReader, block: bytes) -> list[Path]:
    if not has_room(store.settings, len(block)):
        raise HTTPException(503, "There is too little free disk; nothing of this request was taken.")
    return reader.feed(block)


def _store(store: LocalStore, received: list[Path], study: str | None, root: str) -> list[StoreOutcome]:
    outcomes: list[StoreOutcome] = []
    objects: list[tuple[FileDataset, Path]] = []
    for path in received:
        try:
            objects.append((read_result(path), path))
        except ResultRefused as error:
            outcomes.append(StoreOutcome(failure=error.reason, comment=str(error)))
    # Segmentations first: other objects of the request may refer to them.
    for dataset, path in sorted(objects, key=lambda pair: pair[0].SOPClassUID not in SEGMENTATIONS):
        outcomes.append(_store_one(store, dataset, path, study, root))
    return outcomes


def _store_one(store: LocalStore, dataset: FileDataset, path: Path, study: str | None, root: str) -> StoreOutcome:
    named = str(dataset.SOPClassUID), str(dataset.SOPInstanceUID)
    try:
        store.add_result(dataset, path, study)
    except ResultRefused as error:
        return StoreOutcome(*named, error.reason, str(error))
    except AureliusError as error:
        return StoreOutcome(*named, FAILED, str(error))
    place = f"studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
    return StoreOutcome(*named, url=f"{root}/{place}/instances/{dataset.SOPInstanceUID}")
