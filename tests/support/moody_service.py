"""A stand-in for the catalog service that answers as it is told to: with an error page, with nothing, late."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Answer(NamedTuple):
    """One answer; a status of 0 means that the connection is closed without a word."""

    status: int
    body: bytes = b"[]"
    media_type: str = "application/json"


OK = Answer(200)
SILENCE = Answer(0)
#: What the proxy says while the service is away, and the hub while the service's route is not there.
AWAY = Answer(503, b"Service Unavailable", "text/plain")
NO_ROUTE = Answer(404, b"<html>Jupyter has lots of moons, but this is not one", "text/html")
EXPIRED = Answer(401, b'{"detail": "Log in at the hub, or send a hub token that is still valid."}')


@dataclass
class Moody:
    """Its address, what it answers next (the last answer for ever), and what was asked: token and path."""

    url: str = ""
    answers: list[Answer] = field(default_factory=lambda: [OK])
    valid: Callable[[str], bool] = lambda token: True
    asked: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def moody_service() -> Iterator[Moody]:
    """Run it on a free port."""
    moody = Moody()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers["Authorization"].removeprefix("token ")
            with lock:
                moody.asked.append((token, self.path))
                answer = moody.answers.pop(0) if len(moody.answers) > 1 else moody.answers[0]
            if not moody.valid(token):
                answer = EXPIRED
            if not answer.status:
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.media_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True  # kept connections would hold it
    moody.url = f"http://127.0.0.1:{server.server_address[1]}/services/catalog"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield moody
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
