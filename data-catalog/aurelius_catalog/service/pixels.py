"""The kernel's way to pixels: many frames in one answer, as they lie in the files, with nothing in between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from pydantic import Field, StringConstraints

from aurelius_catalog.errors import NotFound
from aurelius_catalog.frame_files import Span, read_spans
from aurelius_catalog.model import Record
from aurelius_catalog.service.stores import Opened

router = APIRouter()

#: What is read and sent at a time: all of an answer that is ever in memory.
BLOCK_BYTES = 1 << 20
TYPE = "application/octet-stream"

Uid = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=64)]


class WantedFrames(Record):
    """Frames of one series: SOPInstanceUID and number, counted from 0, of each."""

    frames: Annotated[tuple[tuple[Uid, Annotated[int, Field(ge=0, lt=2**31)]], ...], Field(max_length=100_000)]


@router.post("/series/{uid}/frames", response_class=Response)
def read_frames(store: Opened, uid: Uid, wanted: WantedFrames) -> Response:
    """Return the bytes of frames, one after another in the order asked for.

    Native frames are their pixels. A compressed frame comes with the item headers of its fragments (PS3.5 section
    A.4), so that every length is the one that the instance's record names in ``frames``.
    """
    spans = store.find_spans(uid, wanted.frames)
    blocks = _read_blocks(spans)
    try:
        first = next(blocks, b"")  # what goes wrong has to be said before the answer begins
    except FileNotFoundError as error:
        store.get_series(uid)  # says so if the patient was withdrawn a moment ago
        raise NotFound(f"A file of series {uid} is missing. An operator can restore it from a backup.") from error
    length = sum(span.length for span in spans)
    if len(first) == length:
        return Response(first, media_type=TYPE)
    return StreamingResponse(chain([first], blocks), media_type=TYPE, headers={"Content-Length": str(length)})


def _read_blocks(spans: Sequence[Span]) -> Iterator[bytes]:
    """Read spans in blocks of about one size: small frames together, a large one in pieces."""
    block: list[Span] = []
    size = 0
    for span in spans:
        for offset in range(0, span.length, BLOCK_BYTES):
            length = min(BLOCK_BYTES, span.length - offset)
            if block and size + length > BLOCK_BYTES:
                yield b"".join(read_spans(block))
                block, size = [], 0
            block.append(Span(span.path, span.offset + offset, length))
            size += length
    if block:
        yield b"".join(read_spans(block))
