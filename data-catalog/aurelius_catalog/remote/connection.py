"""The connection to the house: kept open, with the token of the moment, patient while the hub starts anew."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead
from queue import Empty, LifoQueue
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from aurelius_catalog.errors import AureliusError, InvalidRequest, Unreachable
from aurelius_catalog.remote.errors import read_refusal

T = TypeVar("T")

TIMEOUT_S = 60.0
CONNECT_S = 5.0
#: How long a question is repeated while nobody answers: a hub or a service starts anew within this.
PATIENCE_S = 20.0
_PAUSES_S = (0.0, 0.2, 0.5, 1.0, 2.0)
#: Statuses of the proxy, and of a service that cannot reach the hub.
_NOBODY = frozenset({502, 503, 504})


class TokenSource(httpx.Auth):
    """Whom the requests are for: a token, asked for anew when the hub no longer knows it.

    Parameters
    ----------
    find
        Returns the token of the moment.
    """

    def __init__(self, find: Callable[[], str]) -> None:
        self._find = find
        self.token = find()

    def renew(self, refused: str) -> bool:
        """Ask for a token that is not the refused one; returns whether there is one."""
        if self.token == refused:  # another thread may have renewed it meanwhile
            self.token = self._find()
        return self.token != refused

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign a request; if its token is refused and there is a newer one, send it once more with that."""
        sent = self.token
        if sent:  # without one the service says what is missing
            request.headers["Authorization"] = f"token {sent}"
        answer = yield request
        if answer.status_code == 401 and self.renew(sent):
            request.headers["Authorization"] = f"token {self.token}"
            yield request


class Connection:
    """The way from a process to the catalog service; threads share it, a forked process makes its own connections.

    Parameters
    ----------
    url
        Address of the service, without a slash at its end.
    tokens
        Whom the requests are for.
    """

    def __init__(self, url: str, tokens: TokenSource) -> None:
        self.url = url
        self._tokens = tokens
        self._met = False
        self._open()

    @property
    def _client(self) -> httpx.Client:
        """The kept connections of this process."""
        if self._process != os.getpid():
            self._open()
        return self._http

    def close(self) -> None:
        """Close the kept connections."""
        self._http.close()
        with suppress(Empty):
            while True:
                self._pipes.get_nowait().close()

    def send(self, method: str, path: str, *, reading: bool, **options: Any) -> httpx.Response:
        """Send a request and return its answer.

        Parameters
        ----------
        method, path, options
            As `httpx.Client.request` takes them; the path is below the service's address.
        reading
            Whether the request changes nothing, so that it may be repeated when its answer got lost.

        Raises
        ------
        Unreachable
            If nobody answers.
        AureliusError
            Whatever the service refuses.
        """
        lost: tuple[type[Exception], ...] = (httpx.TransportError,) if reading else (httpx.ConnectError,)

        def ask() -> httpx.Response:
            try:
                answer = self._client.request(method, path, **options)
            except lost as error:
                raise _Lost from error
            except httpx.TransportError as error:
                raise self._unreachable(error) from error
            self._check(answer, repeatable=reading)
            return answer

        return self._repeat(ask)

    def stream_lines(self, path: str) -> Iterator[str]:
        """Ask for what comes line by line, for as long as it takes.

        Raises
        ------
        Unreachable
            If nobody answers, or not to the end.
        AureliusError
            Whatever the service refuses.
        """
        try:
            with self._client.stream("GET", path, timeout=None) as answer:
                if not answer.is_success:
                    answer.read()
                    raise read_refusal(answer)
                yield from answer.iter_lines()
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def read_into(self, path: str, body: bytes, out: memoryview) -> None:
        """Post a question and read the answer's bytes straight to where they are wanted.

        Parameters
        ----------
        path
            Below the service's address; begins with a slash.
        body
            The question, as JSON.
        out
            Bytes to fill; the answer has to have just this length.

        Raises
        ------
        InvalidRequest
            If it has another.
        Unreachable
            If nobody answers.
        AureliusError
            Whatever the service refuses.
        """

        def ask() -> None:
            sent = self._tokens.token
            try:
                answer = self._post(path, body, out, sent)
                if answer is not None and answer.status_code == 401 and self._tokens.renew(sent):
                    answer = self._post(path, body, out, self._tokens.token)
            except (OSError, HTTPException) as error:
                raise _Lost from error
            if answer is not None:
                self._check(answer, repeatable=True)
            self._met = True

        self._repeat(ask)

    # -- inside ----------------------------------------------------------------------------------

    def _open(self) -> None:
        self._process = os.getpid()
        self._pipes: LifoQueue[HTTPConnection] = LifoQueue()
        self._tls = ssl.create_default_context() if self.url.startswith("https:") else None
        # Inside the house, always: a proxy set in the environment would carry images out of it.
        self._http = httpx.Client(
            base_url=self.url,
            auth=self._tokens,
            headers={"Accept": "application/json"},
            timeout=httpx.Timeout(TIMEOUT_S, connect=CONNECT_S),
            verify=self._tls or False,
            trust_env=False,
        )

    def _post(self, path: str, body: bytes, out: memoryview, token: str) -> httpx.Response | None:
        """Fill ``out``; returns the answer where it is a refusal."""
        pipe = self._take_pipe()
        try:
            headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
            pipe.request("POST", urlsplit(self.url).path + path, body, headers)
            answer = pipe.getresponse()
            if answer.status != 200:
                return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
            if answer.length != len(out):
                answer.close()
                raise InvalidRequest("The series has changed since it was opened. Open it anew.")
            done = 0
            while done < len(out):
                got = answer.readinto(out[done:])
                if not got:
                    raise IncompleteRead(b"", len(out) - done)
                done += got
            answer.read()  # so that the connection can be used again
        except BaseException:
            pipe.close()
            raise
        self._pipes.put(pipe)
        return None

    def _take_pipe(self) -> HTTPConnection:
        if self._process != os.getpid():
            self._open()
        try:
            return self._pipes.get_nowait()
        except Empty:
            address = urlsplit(self.url)
            host = address.hostname or ""
            if self._tls is not None:
                return HTTPSConnection(host, address.port, timeout=TIMEOUT_S, context=self._tls)
            return HTTPConnection(host, address.port, timeout=TIMEOUT_S)

    def _check(self, answer: httpx.Response, *, repeatable: bool) -> None:
        if answer.is_success:
            self._met = True
            return
        # What is no JSON is the hub's word or the proxy's: a 404, that the service's route is not there (yet).
        ours = "json" in answer.headers.get("content-type", "")
        if answer.status_code in _NOBODY or (answer.status_code == 404 and not ours):
            error = read_refusal(answer) if ours else self._unreachable(answer.status_code)
            if repeatable:
                raise _Lost from error
            raise error
        self._met = True
        raise read_refusal(answer)

    def _repeat(self, ask: Callable[[], T]) -> T:
        """Ask again while nobody answers: once at once, since a kept connection may have been closed, then patiently.

        Where nobody has ever answered the address may be wrong, so waiting would not help.
        """
        until = time.monotonic() + PATIENCE_S
        attempt = 0
        while True:
            try:
                return ask()
            except _Lost as error:
                cause = error.__cause__
                if time.monotonic() > until or (attempt and not self._met):
                    raise cause if isinstance(cause, AureliusError) else self._unreachable(cause) from cause
            time.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
            attempt += 1

    def _unreachable(self, reason: object) -> Unreachable:
        name = type(reason).__name__ if isinstance(reason, BaseException) else f"status {reason}"
        return Unreachable(f"The catalog at {self.url} does not answer ({name}). Try again in a moment.")


class _Lost(Exception):
    """Nobody answered, and asking again does no harm; the cause says why."""
