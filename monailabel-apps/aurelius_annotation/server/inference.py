"""Inference: a model run on a case, for the person who waits for it."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from aurelius_annotation.errors import UnknownModel, WorkerUnavailable
from aurelius_annotation.server.dependencies import AnnotationContext, Annotator, ContextDependency
from aurelius_annotation.server.fair_queue import JobOutcome
from aurelius_annotation.server.images import write_nrrd
from aurelius_annotation.server.saving import parse_params, read_fitting, read_upload
from aurelius_annotation.server.worker_pool import WorkerState
from aurelius_catalog.access.person import Person
from aurelius_catalog.durable_files import write_durably
from aurelius_catalog.errors import InvalidLabel, InvalidRequest

router = APIRouter()

#: Forms a result may be asked for in; anything else is answered as the first.
RESULT_SUFFIXES = (".nrrd", ".nii.gz", ".nii")
#: Seconds between two looks whether the client is still there.
PATIENCE_S = 0.5


@router.post("/infer/{model}")
async def infer(
    request: Request,
    model: str,
    image: str,
    context: ContextDependency,
    person: Annotator,
    params: Annotated[str, Form()] = "{}",
    label: Annotated[UploadFile | None, File()] = None,
    output: str = "",
) -> Response:
    """Run a model on an image and send back its label map and what it says about it."""
    if context.pool.state is not WorkerState.READY:
        raise WorkerUnavailable(context.pool.explain())
    task, uid = await run_in_threadpool(_prepare_task, context, person, model, image, parse_params(params), label)
    try:
        outcome = await _wait_for(request, context, task, person, f"{model} {uid}")
    finally:
        if "label" in task:
            Path(task["label"]).unlink(missing_ok=True)
    content = await run_in_threadpool(_take_file, outcome)
    name = f"{re.sub(r'[^A-Za-z0-9]', '-', model)}-{secrets.token_hex(6)}{task['result_extension']}"
    if output == "json":
        return JSONResponse(outcome.params)
    if output == "image":
        return Response(content, media_type="application/octet-stream")
    return answer_multipart(outcome.params, name, content)


def answer_multipart(params: Mapping[str, Any], filename: str, content: bytes) -> Response:
    """Answer in two parts, ``params`` and ``image``.

    Slicer reads the bytes of the connection as they come: the length must be known, and nothing chunked or packed.
    """
    boundary = f"aurelius-{secrets.token_hex(16)}"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="params"\r\nContent-Type: application/json\r\n\r\n'
        f"{json.dumps(params)}\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return Response(body, media_type=f"multipart/form-data; boundary={boundary}")


def choose_options(config: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a request that a model may be given: its own settings, strokes and names.

    Everything else is dropped, above all what would name files or other models.

    Raises
    ------
    InvalidRequest
        If a setting has another type than the model's own value, or is not among its choices.
    """
    chosen: dict[str, Any] = {}
    for name, own in config.items():
        value = options.get(name, own)
        value = value[0] if isinstance(value, list) and value else value
        choices = own if isinstance(own, list) else None
        if choices is not None and value not in choices:
            raise InvalidRequest(f"`{name}` must be one of {', '.join(map(str, choices))}.")
        if choices is None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InvalidRequest(f"`{name}` must be a number.")
        chosen[name] = value if choices is not None else type(own)(value)
    roi = options.get("roi") or []
    if not isinstance(roi, list) or len(roi) not in (0, 6) or not all(isinstance(at, int | float) for at in roi):
        raise InvalidRequest("`roi` must be six voxel indices, or empty.")
    if roi:
        chosen["roi"] = [int(at) for at in roi]
    names = options.get("label_info") or []
    if not isinstance(names, list) or not all(isinstance(item, dict) for item in names):
        raise InvalidRequest("`label_info` must be a list of objects.")
    chosen["label_info"] = [
        {"name": str(item.get("name")), "id": item["id"]} for item in names if isinstance(item.get("id"), int)
    ]
    return chosen


def _prepare_task(
    context: AnnotationContext,
    person: Person,
    model: str,
    image_id: str,
    options: Mapping[str, Any],
    label: UploadFile | None,
) -> tuple[dict[str, Any], str]:
    known = context.pool.info["models"]
    if model not in known:
        raise UnknownModel(f"There is no such model: choose one of {', '.join(known)}.")
    uid = context.tickets.read(image_id, person)
    store = context.open_store(person)
    record = store.get_series(uid)
    image = context.images.open(store, record)
    suffix = options.get("result_extension")
    task = {
        **choose_options(known[model]["config"], options),
        "model": model,
        "image": str(image.path),
        "modality": record.Modality,
        "result_extension": suffix if suffix in RESULT_SUFFIXES else RESULT_SUFFIXES[0],
        "result_dtype": "uint8",
        "result_compress": True,
    }
    if known[model]["type"] == "scribbles":
        if label is None:
            raise InvalidLabel("This model works from strokes: draw some with the scribbles tools first.")
        # The worker gets strokes on the image's own grid, written by us, never a client's file.
        _, strokes = read_fitting(read_upload(label, image), label.filename or "", image)
        path = context.strokes / f"{secrets.token_hex(8)}.nrrd"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, write_nrrd(strokes, image.affine_lps))
        task["label"] = str(path)
    return task, uid


async def _wait_for(
    request: Request, context: AnnotationContext, task: Mapping[str, Any], person: Person, key: str
) -> JobOutcome:
    waiting = asyncio.ensure_future(context.pool.run(task, person=person.name, key=key))
    try:
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=PATIENCE_S)
            if not waiting.done() and await request.is_disconnected():
                raise WorkerUnavailable("The client has disconnected.")
        return waiting.result()
    finally:
        if not waiting.done():
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting


def _take_file(outcome: JobOutcome) -> bytes:
    content = outcome.file.read_bytes()
    outcome.file.unlink()
    return content
