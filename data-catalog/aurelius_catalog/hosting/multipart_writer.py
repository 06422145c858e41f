"""Response bodies of several parts (RFC 2387 multipart/related), sent as they are read."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fastapi.responses import StreamingResponse

from aurelius_catalog.dicom.byte_ranges import Span

#: Bytes sent at a time; every piece costs a change of threads.
BLOCK_BYTES = 1 << 20


class Part(NamedTuple):
    """One part: its media type, and its bytes or where they are."""

    media_type: str
    data: bytes | Span


def stream_parts(
    parts: Iterable[Part], media_type: str, status_code: int = 200, headers: dict[str, str] | None = None
) -> StreamingResponse:
    """Send parts one after the other; of a file, not more than a block is in memory at a time.

    Parameters
    ----------
    parts
        Read while the answer is on its way.
    media_type
        The ``type`` parameter: what the parts are.
    status_code, headers
        Of the answer.
    """
    boundary = secrets.token_hex(16)
    kind = f'multipart/related; type="{media_type}"; boundary={boundary}'
    content = _join_pieces(_encode(parts, boundary))
    return StreamingResponse(content, status_code, headers={**(headers or {}), "Content-Type": kind})


def measure_part(data: bytes | Span) -> int:
    """Return how many bytes there are."""
    return data.length if isinstance(data, Span) else len(data)


def read_blocks(data: bytes | Span) -> Iterator[bytes]:
    """Yield bytes, those of a file block by block.

    Raises
    ------
    OSError
        If the file is gone, or shorter than its span.
    """
    if not isinstance(data, Span):
        yield data
        return
    with open(data.path, "rb") as file:
        at, end = data.offset, data.offset + data.length
        while at < end:
            block = os.pread(file.fileno(), min(BLOCK_BYTES, end - at), at)
            if not block:
                raise OSError("A file ends before it should; the answer breaks off.")
            at += len(block)
            yield block


def _encode(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    for part in parts:
        length = measure_part(part.data)
        yield f"--{boundary}\r\nContent-Type: {part.media_type}\r\nContent-Length: {length}\r\n\r\n".encode()
        yield from read_blocks(part.data)
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _join_pieces(pieces: Iterable[bytes]) -> Iterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= BLOCK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)
