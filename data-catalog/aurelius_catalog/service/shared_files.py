"""The socket that hands files, open for reading, to processes of this machine; `remote.shared_files` has the protocol.

Whoever may connect to the socket still needs the token of a person, and sees only what HTTP would show them: the hub
identifies the token, the index knows what may be read, and the audit log has it before a file is shared.
"""

from __future__ import annotations

import array
import json
import logging
import os
import socket
import stat
import sys
from asyncio import to_thread
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingMixIn, UnixStreamServer
from threading import Lock, Thread
from typing import Annotated, Any

from fastapi import FastAPI
from prometheus_client import Counter
from pydantic import Field, ValidationError

from aurelius_catalog.dicom.byte_ranges import Span
from aurelius_catalog.errors import AureliusError, InvalidRequest, NotFound, PermissionDenied
from aurelius_catalog.hosting.login import person_for_token
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.remote.shared_files import FILES, FRAMES, TIMEOUT_S, shorten_place
from aurelius_catalog.service.frame_streams import Uid, WantedFrames
from aurelius_catalog.service.stores import read_settings

#: Bytes of the longest request.
LONGEST_REQUEST = 1 << 20
#: Counted for ``/metrics``.
FILES_SHARED = Counter("aurelius_handed_files", "Files handed over open to processes of this machine", registry=None)

_log = logging.getLogger(__name__)


class SharedFilesRequest(WantedFrames):
    """Frames of one series, and the token of who wants them: visible characters, for it becomes part of a header."""

    token: Annotated[str, Field(pattern=r"^[\x21-\x7e]+$", max_length=1024)]
    series: Uid


@asynccontextmanager
async def serve_shared_files(app: FastAPI) -> AsyncIterator[None]:
    """Listen while the service runs, where the house has named a socket; without one, kernels read over HTTP."""
    place = read_settings().handover
    if place is None:
        yield
        return
    try:
        server = _Server(place)
    except OSError as error:
        why = error.strerror or error
        _log.warning("Nobody can listen on %s (%s): kernels of this machine read over HTTP.", place, why)
        yield
        return
    thread = Thread(target=server.serve_forever, name="shared-files", daemon=True)
    thread.start()
    try:
        yield
    finally:
        await to_thread(server.shutdown)
        thread.join()
        server.server_close()


class _Handler(StreamRequestHandler):
    """One request and its answer."""

    timeout = TIMEOUT_S
    server: _Server

    def handle(self) -> None:
        """Answer with descriptors, or with the error."""
        try:
            spans = _find_spans(self.rfile.readline(LONGEST_REQUEST))
            self._send(spans)
        except FileNotFoundError:
            self._send_error(NotFound("A file of the series is missing. An operator can restore it from a backup."))
        except AureliusError as error:
            self._send_error(error)

    def _send(self, spans: Sequence[Span]) -> None:
        paths = list(dict.fromkeys(str(span.path) for span in spans))
        if len(paths) > FILES or len(spans) > FRAMES:
            raise InvalidRequest(f"At most {FILES} files and {FRAMES} frames are handed over at a time.")
        numbers = {path: number for number, path in enumerate(paths)}
        answer = {"spans": [(numbers[str(span.path)], span.offset, span.length) for span in spans]}
        line = json.dumps(answer).encode() + b"\n"
        # One at a time, and never waiting for the client: the service must not run out of descriptors.
        with self.server.opening, _open_files(paths) as files:
            self.connection.setblocking(False)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
            sent = self.connection.sendmsg([line], rights)
        FILES_SHARED.inc(len(files))
        if sent < len(line):
            self.connection.settimeout(TIMEOUT_S)
            self.connection.sendall(line[sent:])

    def _send_error(self, error: AureliusError) -> None:
        self.wfile.write(json.dumps({"detail": str(error), "error": type(error).__name__}).encode() + b"\n")


class _Server(ThreadingMixIn, UnixStreamServer):
    """The server on a socket in a folder of its own; a socket that a killed service left behind is replaced."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, place: Path) -> None:
        self.opening = Lock()
        self._place = place
        self._number = 0
        super().__init__(str(place), _Handler)

    def server_bind(self) -> None:
        """Make the socket under a name of its own and put it into its place whole, whatever is there."""
        # Where it exists the folder stays as the operator made it, and with it who may come to the socket.
        self._place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._place.with_name(f".{self._place.name}.{os.getpid()}")
        new.unlink(missing_ok=True)
        with shorten_place(new) as name:
            self.socket.bind(name)
        new.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IWGRP)
        self._number = new.stat().st_ino
        new.replace(self._place)

    def server_close(self) -> None:
        """Stop listening and take the socket away, unless another service has put its own there."""
        super().server_close()
        with suppress(FileNotFoundError):
            if self._place.stat().st_ino == self._number:
                self._place.unlink()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the kind of error, and nothing of the request."""
        if not isinstance(sys.exception(), ConnectionError):  # the client went away
            _log.warning("A question for files of this machine ended in %s.", type(sys.exception()).__name__)


def _find_spans(request: bytes) -> list[Span]:
    """Return where the frames of a request lie, once the person is known to see them and the audit log has it.

    Raises
    ------
    AureliusError
        As `service.frame_streams.read_frames` does.
    """
    try:
        wanted = SharedFilesRequest.model_validate_json(request)
    except ValidationError:  # which names the values
        raise InvalidRequest("This is no question for frames of a series.") from None
    person = person_for_token(wanted.token)
    if person is None:
        raise PermissionDenied("Log in at the hub, or send a hub token that is still valid.")
    return LocalStore(read_settings(), person).find_spans(wanted.series, wanted.frames)


@contextmanager
def _open_files(paths: Sequence[str]) -> Iterator[list[int]]:
    """Open files for reading for the time of a `with`."""
    files: list[int] = []
    try:
        for path in paths:
            files.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        yield files
    finally:
        for file in files:
            os.close(file)
