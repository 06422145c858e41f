"""Byte ranges of files, many read at once: positional reads in parallel, straight into place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aurelius_catalog.errors import InvalidRequest

#: Reading waits for disks as well as for processors.
THREADS = min(16, 2 * (os.cpu_count() or 1))
#: Bytes worth a thread of their own; fewer are read sooner than handed to one.
TASK_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of one frame: a file, or the descriptor of an open one, with offset and length in bytes."""

    path: Path | str | int
    offset: int
    length: int


def read_spans(spans: Sequence[Span]) -> list[bytes]:
    """Read many spans, in their order.

    Raises
    ------
    InvalidRequest
        If a file ends before one of them does.
    """
    found = [b""] * len(spans)

    def read(start: int, stop: int) -> None:
        for first, last in _split_by_file(spans, start, stop):
            with _Opened(spans[first].path) as file:
                for index in range(first, last):
                    found[index] = os.pread(file, spans[index].length, spans[index].offset)
                    if len(found[index]) < spans[index].length:
                        raise _too_short(spans[index])

    _run_side_by_side(read, spans)
    return found


def read_cached(spans: Sequence[Span]) -> memoryview | None:
    """Read spans, one after another, if the system holds them in memory: it takes no longer than copying them.

    Returns
    -------
    memoryview | None
        Their bytes; None where a disk would have to be waited for, or where the system cannot tell (preadv2,
        ``RWF_NOWAIT``).

    Raises
    ------
    OSError
        If a file cannot be opened.
    """
    if not hasattr(os, "RWF_NOWAIT"):
        return None
    data = np.empty(sum(span.length for span in spans), np.uint8).data
    done = 0
    for span in spans:
        with _Opened(span.path) as file:
            try:
                got = os.preadv(file, [data[done : done + span.length]], span.offset, os.RWF_NOWAIT)
            except OSError:  # the bytes are not in memory, or the file system does not support the flag
                return None
        if got < span.length:
            return None
        done += got
    return data


def fill_spans(spans: Sequence[Span], out: NDArray[np.uint8]) -> None:
    """Read spans of one length straight into an array.

    Parameters
    ----------
    spans
        Where to read.
    out
        ``(spans, length)`` uint8, C-contiguous; written to.

    Raises
    ------
    InvalidRequest
        If a file ends before one of them does, or the array has another shape.
    """
    if not out.flags.c_contiguous or out.shape != (len(spans), spans[0].length if spans else 0):
        raise InvalidRequest(f"The array of shape {out.shape} cannot take {len(spans)} frames.")
    if any(span.length != out.shape[1] for span in spans):
        raise InvalidRequest("Only frames of one length can be read into one array.")

    def read(start: int, stop: int) -> None:
        for first, last in _split_by_file(spans, start, stop):
            with _Opened(spans[first].path) as file:
                for begin, end in _split_by_gap(spans, first, last):
                    _fill(file, spans[begin], out[begin:end])

    _run_side_by_side(read, spans)


class _Opened:
    """A file descriptor for the time of a `with`: `open` would cost as much as reading a slice.

    One that is open already is left to whoever opened it.
    """

    def __init__(self, path: Path | str | int) -> None:
        self._ours = not isinstance(path, int)
        self._file = path if isinstance(path, int) else os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> int:
        return self._file

    def __exit__(self, *_: object) -> None:
        if self._ours:
            os.close(self._file)


def _fill(file: int, span: Span, rows: NDArray[np.uint8]) -> None:
    view, done = rows.reshape(-1).data, 0
    while done < len(view):  # one call hands out 2 GB at most
        got = os.preadv(file, [view[done:]], span.offset + done)
        if not got:
            raise _too_short(span)
        done += got


def _too_short(span: Span) -> InvalidRequest:
    name = "A file" if isinstance(span.path, int) else f"The file {Path(span.path).name}"
    return InvalidRequest(f"{name} is shorter than the index says. An operator can restore it from a backup.")


def _run_side_by_side(read: Callable[[int, int], None], spans: Sequence[Span]) -> None:
    """Call ``read`` for ranges of spans; in threads, where that is worth them."""
    tasks = min(THREADS, sum(span.length for span in spans) // TASK_BYTES, len(spans))
    if tasks < 2:
        read(0, len(spans))
        return
    borders = [len(spans) * task // tasks for task in range(tasks + 1)]
    # Threads of their own: a pool kept for long would not live on in a forked worker of a DataLoader.
    with ThreadPoolExecutor(tasks) as pool:
        for task in [pool.submit(read, start, stop) for start, stop in pairwise(borders)]:
            task.result()


def _split_by_file(spans: Sequence[Span], start: int, stop: int) -> Iterable[tuple[int, int]]:
    first = start
    for index in range(start + 1, stop + 1):
        if index == stop or spans[index].path != spans[first].path:
            yield first, index
            first = index


def _split_by_gap(spans: Sequence[Span], start: int, stop: int) -> Iterable[tuple[int, int]]:
    first = start
    for index in range(start + 1, stop + 1):
        if index == stop or spans[index].offset != spans[index - 1].offset + spans[index - 1].length:
            yield first, index
            first = index
