"""Streams of frames for kernels: many frames in one response, byte for byte as they are stored.

What needs neither the index nor the disk is answered by the event loop itself: a change of threads would take longer
than the rest of a small response, and now and then ten times as long.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from pydantic import Field, StringConstraints
from starlette.concurrency import run_in_threadpool

from aurelius_catalog.dicom.byte_ranges import Span, read_cached, read_spans
from aurelius_catalog.errors import NotFound
from aurelius_catalog.records import Record
from aurelius_catalog.service.stores import Opened

router = APIRouter()

#: Bytes read and sent at a time: no more of a response is ever in memory.
BLOCK_BYTES = 1 << 20
TYPE = "application/octet-stream"

Uid = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=64)]


class WantedFrames(Record):
    """Frames of one series: SOPInstanceUID and number, counted from 0, of each."""

    frames: Annotated[tuple[tuple[Uid, Annotated[int, Field(ge=0, lt=2**31)]], ...], Field(max_length=100_000)]


@router.post("/series/{uid}/frames", response_class=Response)
async def read_frames(store: Opened, uid: Uid, wanted: WantedFrames) -> Response:
    """Return the bytes of frames, one after another in the order asked for.

    Native frames are their pixels. A compressed frame comes with the item headers of its fragments (PS3.5 section
    A.4), so that every length is the one that the instance's record names in ``frames``.
    """
    spans = store.recall_spans(uid, wanted.frames)
    if spans is None:
        spans = await run_in_threadpool(store.find_spans, uid, wanted.frames)
    blocks = list(_split_blocks(spans))
    try:  # an error must come before the response begins
        first = await _read_block(blocks[0] if blocks else [])
    except FileNotFoundError as error:
        await run_in_threadpool(store.get_series, uid)  # raises if the patient was withdrawn a moment ago
        raise NotFound(f"A file of series {uid} is missing. An operator can restore it from a backup.") from error
    if len(blocks) < 2:
        return Response(first, media_type=TYPE)
    length = sum(span.length for span in spans)
    return StreamingResponse(_read_on(first, blocks), media_type=TYPE, headers={"Content-Length": str(length)})


async def _read_on(first: bytes | memoryview, blocks: Sequence[Sequence[Span]]) -> AsyncIterator[bytes | memoryview]:
    yield first
    for block in blocks[1:]:
        yield await _read_block(block)


async def _read_block(block: Sequence[Span]) -> bytes | memoryview:
    data = read_cached(block)
    return await run_in_threadpool(_read_from_disk, block) if data is None else data


def _read_from_disk(block: Sequence[Span]) -> bytes:
    return b"".join(read_spans(block))


def _split_blocks(spans: Sequence[Span]) -> Iterator[list[Span]]:
    """Split spans into blocks of about one size: small frames together, a large one in pieces."""
    block: list[Span] = []
    size = 0
    for span in spans:
        for offset in range(0, span.length, BLOCK_BYTES):
            length = min(BLOCK_BYTES, span.length - offset)
            if block and size + length > BLOCK_BYTES:
                yield block
                block, size = [], 0
            block.append(Span(span.path, span.offset + offset, length))
            size += length
    if block:
        yield block
