"""Frames over HTTP: many in one answer, several answers side by side, straight to where they are wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID

from aurelius_catalog.dicom.frame_locations import strip_items
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.records import InstanceRecord
from aurelius_catalog.remote.connection import Connection

#: Answers on their way at the same time.
SIDE_BY_SIDE = 4
#: About how many bytes one answer has; so many are read again when a connection breaks.
PART_BYTES = 16 << 20
Frame = tuple[InstanceRecord, int]


class _ResponsePart(NamedTuple):
    """Frames of one series, and where in the whole their bytes go."""

    series: str
    frames: list[tuple[str, int]]
    start: int
    stop: int


def read_frames(transport: Connection, frames: Sequence[Frame]) -> list[bytes]:
    """Return frames as stored, without item headers.

    Raises
    ------
    IndexError
        If an instance has no such frame.
    """
    lengths = [instance.frames[index][1] for instance, index in frames]
    data = memoryview(bytearray(sum(lengths)))
    _read(transport, frames, lengths, data)
    found, start = [], 0
    for (instance, _), length in zip(frames, lengths, strict=True):
        span = bytes(data[start : start + length])
        found.append(strip_items(span) if UID(instance.TransferSyntaxUID).is_encapsulated else span)
        start += length
    return found


def fill_frames(transport: Connection, frames: Sequence[Frame], out: NDArray[np.uint8]) -> None:
    """Read native frames of one length into an array.

    Parameters
    ----------
    transport
        The way to the service.
    frames
        What to read.
    out
        ``(frames, length)`` uint8, C-contiguous; written to.

    Raises
    ------
    IndexError
        If an instance has no such frame.
    InvalidRequest
        If the array has another shape.
    """
    lengths = [instance.frames[index][1] for instance, index in frames]
    if not out.flags.c_contiguous or out.shape != (len(frames), lengths[0] if lengths else 0):
        raise InvalidRequest(f"The array of shape {out.shape} cannot take {len(frames)} frames.")
    if any(length != out.shape[1] for length in lengths):
        raise InvalidRequest("Only frames of one length can be read into one array.")
    if out.size:
        _read(transport, frames, lengths, out.data.cast("B"))


def _read(transport: Connection, frames: Sequence[Frame], lengths: Sequence[int], out: memoryview) -> None:
    def read(part: _ResponsePart) -> None:
        question = json.dumps({"frames": part.frames}).encode()
        transport.read_into(f"/series/{part.series}/frames", question, out[part.start : part.stop])

    parts = list(_split(frames, lengths))
    if len(parts) < 2:
        for part in parts:
            read(part)
        return
    # Threads of their own: a pool kept for long would not live on in a forked worker of a DataLoader.
    with ThreadPoolExecutor(min(SIDE_BY_SIDE, len(parts))) as pool:
        list(pool.map(read, parts))


def _split(frames: Sequence[Frame], lengths: Sequence[int]) -> Iterator[_ResponsePart]:
    series, wanted, start, stop = "", list[tuple[str, int]](), 0, 0
    for (instance, index), length in zip(frames, lengths, strict=True):
        if wanted and (instance.SeriesInstanceUID != series or stop - start + length > PART_BYTES):
            yield _ResponsePart(series, wanted, start, stop)
            wanted, start = [], stop
        series = instance.SeriesInstanceUID
        wanted.append((instance.SOPInstanceUID, range(len(instance.frames))[index]))
        stop += length
    if wanted:
        yield _ResponsePart(series, wanted, start, stop)
