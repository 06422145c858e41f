"""Answers of several parts (RFC 2387 multipart/related), sent as they are read."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import NamedTuple

from fastapi.responses import StreamingResponse


class Part(NamedTuple):
    """One part: its media type and its bytes."""

    media_type: str
    data: bytes


def stream_parts(parts: Iterator[Part], media_type: str) -> StreamingResponse:
    """Send parts one after the other; only one is in memory at a time.

    Parameters
    ----------
    parts
        Read while the answer is on its way.
    media_type
        The ``type`` parameter: what the parts are.
    """
    boundary = secrets.token_hex(16)

    def encode() -> Iterator[bytes]:
        for part in parts:
            head = f"--{boundary}\r\nContent-Type: {part.media_type}\r\nContent-Length: {len(part.data)}\r\n\r\n"
            yield head.encode()
            yield part.data
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    kind = f'multipart/related; type="{media_type}"; boundary={boundary}'
    return StreamingResponse(encode(), headers={"Content-Type": kind})
