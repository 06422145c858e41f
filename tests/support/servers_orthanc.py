"""A real Orthanc with its DICOMweb plugin, and a slow line to it, as context managers."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from aurelius_hub.ports import find_free_ports
from support.servers_catalog import stop_group, wait_until

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
LOGIN = ("aurelius", "north-secret")


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc: its own address, that of its DICOMweb server, and who may log in."""

    url: str
    login: tuple[str, str] = LOGIN

    @property
    def dicomweb(self) -> str:
        return f"{self.url}/dicom-web"

    def load(self, files: Iterable[Path]) -> None:
        """Store files by its REST API."""
        with httpx.Client(auth=self.login, timeout=60) as client:
            for file in files:
                client.post(f"{self.url}/instances", content=file.read_bytes()).raise_for_status()


@contextmanager
def temp_orthanc(home: Path, folders: Mapping[str, Path] | None = None) -> Iterator[Orthanc]:
    """Run Orthanc on a free loopback port, with everything it stores below ``home``; it may serve folders as well."""
    program = shutil.which("Orthanc")
    if program is None or not PLUGIN.exists():
        pytest.skip("Orthanc is missing: apt-get install orthanc orthanc-dicomweb")
    (port,) = find_free_ports(1)
    home.mkdir(parents=True)
    settings = {
        "StorageDirectory": str(home / "storage"),
        "IndexDirectory": str(home / "index"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": dict([LOGIN]),
        "Plugins": [str(PLUGIN), str(PLUGIN.with_name("libServeFolders.so"))],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "ServeFolders": {path: str(folder) for path, folder in (folders or {}).items()},
    }
    (home / "orthanc.json").write_text(json.dumps(settings))
    url = f"http://127.0.0.1:{port}"
    with (home / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [program, str(home / "orthanc.json")], stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_until(lambda: is_up(f"{url}/dicom-web/studies"), "Orthanc", process=process)
            yield Orthanc(url)
        finally:
            stop_group(process)


def is_up(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(url, auth=LOGIN, timeout=2).status_code == 200
    return False


@dataclass
class SlowLine:
    """What passed over the line: the paths asked for, in order. ``pause_s`` is waited after every 64 KiB."""

    url: str = ""
    pause_s: float = 0.0
    failures: int = 0
    cut_after_bytes: int | None = None
    asked: list[str] = field(default_factory=list)


@contextmanager
def slow_line(target: str) -> Iterator[SlowLine]:
    """Pass GET requests on to ``target``, as slowly or badly as the line is told to."""
    line = SlowLine()
    client = httpx.Client(timeout=60)

    class Passer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            line.asked.append(self.path)
            if line.failures:
                line.failures -= 1
                self.send_error(503)
                return
            headers = {name: self.headers[name] for name in ("Accept", "Authorization") if self.headers[name]}
            with suppress(OSError), client.stream("GET", target + self.path, headers=headers) as answer:
                self.send_response(answer.status_code)
                self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
                self.end_headers()
                passed = 0
                for chunk in answer.iter_bytes(1 << 16):
                    if (
                        line.cut_after_bytes is not None
                        and "/series/" in self.path
                        and "multipart" in headers["Accept"]
                    ):
                        chunk = chunk[: max(line.cut_after_bytes - passed, 0)]
                        if not chunk:
                            line.cut_after_bytes = None
                            break
                    self.wfile.write(chunk)
                    passed += len(chunk)
                    time.sleep(line.pause_s)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Passer)
    line.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield line
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        client.close()
