"""The way to frames on the service's own machine: their files, handed over open through a Unix socket.

Who asks sends one line and gets one back, and with it the descriptors of the files, open for reading only::

    {"token": …, "series": SeriesInstanceUID, "frames": [[SOPInstanceUID, number], …]}
    {"spans": [[file, offset, length], …]}

``file`` counts the descriptors from 0, ``offset`` and ``length`` are in bytes. What the service refuses comes without
descriptors, as ``{"detail": …, "error": …}``. `aurelius_catalog.service.shared_files` answers.
"""

from __future__ import annotations

import array
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from pydicom.uid import UID

from aurelius_catalog.dicom.byte_ranges import Span, fill_spans, read_spans
from aurelius_catalog.dicom.frame_locations import strip_items
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.records import InstanceRecord

#: Files handed over at a time: Linux lets 253 through at once, and a process may often have no more than 1024 open.
FILES = 100
#: Frames asked for at a time, where one file has many.
FRAMES = 5000
#: So long a house in which all is well never takes.
TIMEOUT_S = 5.0
Frame = tuple[InstanceRecord, int]


class SharedFiles:
    """Reads frames from files that the service hands over open; says so where it cannot, and reads nothing then.

    Where nobody listens (another machine, a container, a service that starts anew) and where the service refuses, the
    way over HTTP is still there, and it says what is wrong.

    Parameters
    ----------
    place
        The socket; None where the house has named none.
    find_token
        Returns the person's token of the moment.
    """

    def __init__(self, place: Path | None, find_token: Callable[[], str]) -> None:
        self._place = place
        self._find_token = find_token

    def read_frames(self, frames: Sequence[Frame]) -> list[bytes] | None:
        """Return frames as stored, without item headers; None where that has to be done in another way.

        Raises
        ------
        IndexError
            If an instance has no such frame.
        """
        found: list[bytes] = []
        if not self._take(frames, lambda spans, _: found.extend(read_spans(spans))):
            return None
        return [
            strip_items(data) if UID(instance.TransferSyntaxUID).is_encapsulated else data
            for (instance, _), data in zip(frames, found, strict=True)
        ]

    def fill_frames(self, frames: Sequence[Frame], out: NDArray[np.uint8]) -> bool:
        """Read native frames of one length into an array; returns whether that was done.

        Parameters
        ----------
        frames
            What to read.
        out
            ``(frames, length)`` uint8, C-contiguous; written to.

        Raises
        ------
        IndexError
            If an instance has no such frame.
        """
        return self._take(frames, lambda spans, start: fill_spans(spans, out[start : start + len(spans)]))

    def _take(self, frames: Sequence[Frame], use: Callable[[list[Span], int], None]) -> bool:
        """Let the spans of frames be used, portion by portion, each with the number of its first frame."""
        if self._place is None:
            return False
        for start, stop in split_frames(frames):
            lengths = [instance.frames[index][1] for instance, index in frames[start:stop]]
            try:
                with _take_files(self._place, self._write_question(frames[start:stop])) as spans:
                    if [span.length for span in spans] != lengths:  # the series has changed since it was opened
                        return False
                    use(spans, start)
            except (OSError, ValueError, LookupError, InvalidRequest):
                return False
        return True

    def _write_question(self, frames: Sequence[Frame]) -> bytes:
        wanted = [(instance.SOPInstanceUID, range(len(instance.frames))[index]) for instance, index in frames]
        question = {"token": self._find_token(), "series": frames[0][0].SeriesInstanceUID, "frames": wanted}
        return json.dumps(question).encode() + b"\n"


class _Answer(BaseModel):
    """Number of the file, offset and length of each frame."""

    spans: list[tuple[int, int, int]]


def split_frames(frames: Sequence[Frame]) -> Iterator[tuple[int, int]]:
    """Split frames into portions of one series, few enough files and few enough frames: first and one past the last."""
    first, files = 0, set[str]()
    for number, (instance, _) in enumerate(frames):
        if number > first:
            other = instance.SeriesInstanceUID != frames[first][0].SeriesInstanceUID
            full = len(files) == FILES and instance.SOPInstanceUID not in files
            if other or full or number - first == FRAMES:
                yield first, number
                first, files = number, set()
        files.add(instance.SOPInstanceUID)
    if frames:
        yield first, len(frames)


@contextmanager
def shorten_place(place: Path) -> Iterator[str]:
    """Give a short name of a socket: its address may have 107 bytes, and a house may lie deeper than that.

    Raises
    ------
    OSError
        If there is no such folder, or the system is none that has such names.
    """
    if not sys.platform.startswith("linux"):
        raise OSError("Files are handed over on Linux only.")
    folder = os.open(place.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{place.name}"
    finally:
        os.close(folder)


@contextmanager
def _take_files(place: Path, question: bytes) -> Iterator[list[Span]]:
    """Give the spans of frames for the time of a `with`: their files are closed at its end.

    Raises
    ------
    OSError
        If nobody listens, or not all of it came.
    LookupError, ValueError
        If the answer is a refusal.
    """
    files: list[int] = []
    try:
        yield _read_answer(place, question, files)
    finally:
        for file in files:
            os.close(file)


def _read_answer(place: Path, question: bytes, files: list[int]) -> list[Span]:
    """Ask, add the descriptors that come to ``files``, and return the spans in them."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as way, shorten_place(place) as name:
        way.settimeout(TIMEOUT_S)
        way.connect(name)
        way.sendall(question)
        # `socket.recv_fds` leaves its flags aside: a program started at the same moment would inherit the files.
        line, more, flags, _ = way.recvmsg(1 << 16, socket.CMSG_SPACE(4 * FILES), socket.MSG_CMSG_CLOEXEC)
        for level, kind, data in more:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                files.extend(array.array("i", data[: len(data) - len(data) % 4]))
        if flags & socket.MSG_CTRUNC:
            raise OSError("Not all files could be taken: too many are open in this process.")
        while not line.endswith(b"\n"):
            part = way.recv(1 << 16)
            if not part:
                raise ConnectionResetError("The service ended before its answer did.")
            line += part
    answer = _Answer.model_validate_json(line)
    return [Span(files[file], offset, length) for file, offset, length in answer.spans]
