"""A person's notebook server without a browser: spawn it, start a kernel, run cells, read what they show."""

from __future__ import annotations

import json
import uuid
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx
import websocket

from support.servers_catalog import wait_until


class CellFailed(AssertionError):
    """A cell raised; the message is its traceback's last line."""


@dataclass
class Notebook:
    """The notebook server of the person a session is logged in as.

    Use as a context manager: leaving it ends the kernel it started, not the server.
    """

    session: httpx.Client
    address: str
    name: str
    kernel: str = ""

    @property
    def path(self) -> str:
        return f"{self.address}/user/{self.name}"

    def spawn(self, seconds: float = 60) -> None:
        """Start the server, as following the hub's link does, and wait until it answers."""
        self.session.get(f"{self.address}/hub/spawn")
        wait_until(self._answers, f"the notebook server of {self.name}", seconds)

    def _answers(self) -> bool:
        answer = self.session.get(f"{self.path}/api", headers={"Accept": "application/json"})
        return answer.status_code == 200 and "version" in answer.text and "/hub/" not in str(answer.url)

    def __enter__(self) -> Self:
        self.session.get(f"{self.path}/lab")  # logs in at the server and sets its own XSRF cookie
        answer = self._call("POST", "/api/kernels", json={})
        self.kernel = answer.json()["id"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call("DELETE", f"/api/kernels/{self.kernel}")

    def run(self, code: str) -> str:
        """Run a cell; returns everything it printed and the plain text of its result.

        Raises
        ------
        CellFailed
            If it raised.
        """
        with closing(self._connect()) as channels:
            return self._execute(channels, code)

    def _connect(self) -> websocket.WebSocket:
        """Connect to the kernel for one cell: the server closes a connection whose pings nobody answers in between."""
        address = f"{self.path.replace('http', 'ws', 1)}/api/kernels/{self.kernel}/channels"
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.session.cookies.jar)
        return websocket.create_connection(address, timeout=120, cookie=cookies, origin=self.address)

    def _execute(self, channels: websocket.WebSocket, code: str) -> str:
        number = uuid.uuid4().hex
        channels.send(json.dumps(_execute_request(number, code)))
        shown: list[str] = []
        while True:
            message = read_message(channels.recv())
            if message.get("parent_header", {}).get("msg_id") != number:
                continue
            content: dict[str, Any] = message["content"]
            match message["msg_type"]:
                case "stream":
                    shown.append(content["text"])
                case "execute_result" | "display_data":
                    shown.append(content["data"].get("text/plain", ""))
                case "error":
                    raise CellFailed(f"{content['ename']}: {content['evalue']}")
                case "status" if content["execution_state"] == "idle":
                    return "".join(shown)

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        tokens = [c.value for c in self.session.cookies.jar if c.name == "_xsrf" and c.path == f"/user/{self.name}/"]
        headers = {"X-XSRFToken": tokens[0]} if tokens else {}
        answer = self.session.request(method, f"{self.path}{path}", headers=headers, **options)
        answer.raise_for_status()
        return answer


def read_message(data: str | bytes) -> dict[str, Any]:
    """Read a message of a kernel; one with buffers comes as offsets (uint32, big endian), JSON, buffers."""
    if isinstance(data, bytes):
        count = int.from_bytes(data[:4], "big")
        offsets = [int.from_bytes(data[4 * index : 4 * index + 4], "big") for index in range(1, count + 1)]
        data = data[offsets[0] : offsets[1] if count > 1 else None].decode()
    message: dict[str, Any] = json.loads(data)
    return message


def _execute_request(number: str, code: str) -> dict[str, Any]:
    header = {"msg_id": number, "msg_type": "execute_request", "username": "", "session": number, "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    content["stop_on_error"] = False  # else the kernel drops what comes right after a failure
    return {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
