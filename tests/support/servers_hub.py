"""Real issuers, hubs and whole demos as context managers, and a login that walks the real redirects."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from http.cookiejar import Cookie, CookieJar
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin

import httpx
import pytest
import uvicorn

from aurelius_hub.issuer import create_issuer
from aurelius_hub.keycloak_server import NAME, VERSION, start_keycloak
from aurelius_hub.people import DEMO_PEOPLE, DemoPerson, load_passwords
from aurelius_hub.ports import choose_ports
from aurelius_hub.processes import ProcessGroup
from aurelius_hub.realm import Issuer, build_issuer
from aurelius_hub.settings import REPOSITORY, HubSettings
from support.servers_catalog import show_end

T = TypeVar("T")
#: What tells a service that it is a person at a browser who asks, who is to be sent to the login.
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
STUB = Path(__file__).with_name("stub_service.py")


@dataclass(frozen=True)
class TempHub:
    """A hub that runs, with stubs for the services. ``issuer`` is None where it is a Keycloak."""

    address: str
    passwords: dict[str, str]
    settings: HubSettings
    issuer: Issuer | None


@dataclass(frozen=True)
class RunningDemo:
    """An ``aurelius demo`` that runs."""

    address: str
    passwords: dict[str, str]
    home: Path
    run: str
    process: subprocess.Popen[bytes]


class FormFinder(HTMLParser):
    """Finds the first form of a page: where it posts to, and its hidden fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = attributes.get("action") or ""
        if tag == "input" and attributes.get("type") == "hidden" and attributes.get("name"):
            self.fields[str(attributes["name"])] = attributes.get("value") or ""


class LoopbackCookies(CookieJar):
    """Browsers count loopback as secure and send Keycloak's secure cookies there; so does this."""

    def set_cookie(self, cookie: Cookie) -> None:
        cookie.secure = False
        super().set_cookie(cookie)


def new_session(base_url: str) -> httpx.Client:
    """Return a client that keeps cookies and follows redirects, as a browser does."""
    return httpx.Client(
        base_url=base_url, follow_redirects=True, timeout=60, headers=BROWSER, cookies=LoopbackCookies()
    )


def login(session: httpx.Client, base_url: str, name: str, password: str, path: str = "/hub/") -> httpx.Response:
    """Open ``path``, fill in the issuer's form, and return the page that one comes to (of any status)."""
    page = session.get(f"{base_url}{path}")
    form = FormFinder()
    form.feed(page.text)
    assert form.action is not None, f"no login form at {page.url} ({page.status_code})"
    fields = form.fields | {"username": name, "password": password}
    return session.post(urljoin(str(page.url), form.action), data=fields)


def poll(condition: Callable[[], T], seconds: float = 30.0) -> T:
    """Return the first true answer of ``condition``, or its last one when time is up."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer


@contextmanager
def serve_issuer(settings: HubSettings, people: Sequence[DemoPerson]) -> Iterator[Issuer]:
    issuer = build_issuer(settings, people)
    config = uvicorn.Config(create_issuer(issuer), host="127.0.0.1", port=settings.issuer_port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert poll(lambda: server.started)
        yield issuer
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def temp_issuer(home: Path, people: Sequence[DemoPerson] = DEMO_PEOPLE) -> Iterator[Issuer]:
    """Serve a loopback issuer; ``issuer.people`` may be changed, as an administrator would."""
    with serve_issuer(choose_ports(HubSettings(home=home, port=0)), people) as issuer:
        yield issuer


@contextmanager
def temp_hub(
    home: Path, login: str = "loopback", people: Sequence[DemoPerson] = DEMO_PEOPLE, auth_refresh_s: int = 1
) -> Iterator[TempHub]:
    """Run issuer, proxy and hub with the production configuration, and stubs in place of the services."""
    if login == "keycloak":
        require_keycloak()
    chosen = choose_ports(HubSettings(home=home, port=0, auth_refresh_s=auth_refresh_s))
    with ProcessGroup(chosen) as run:
        settings = run.settings
        use_stubs(settings)
        if login == "keycloak":
            start_keycloak(run, lambda line: None, people)
            start_hub(run)
            yield TempHub(settings.address, load_passwords(home / "passwords.json"), settings, None)
        else:
            with serve_issuer(settings, people) as issuer:
                start_hub(run)
                yield TempHub(settings.address, issuer.passwords, settings, issuer)


def start_hub(run: ProcessGroup) -> None:
    config = REPOSITORY / "jupyterhub_config.py"
    run.start("hub", [sys.executable, "-m", "aurelius_hub.app", "-f", str(config)])
    with show_end(run.settings.logs / "hub.log"):
        run.wait_answer("hub", f"http://127.0.0.1:{run.settings.hub_port}/hub/health", 180)
        for name in ("catalog", "annotation", "dashboards", "reports", "intake"):
            run.wait_answer(name, f"{run.settings.address}/services/{name}/health", 180)


def use_stubs(settings: HubSettings) -> None:
    """Replace the commands of the services, by the way every house has for its own configuration."""
    folder = settings.hub_state / "jupyterhub_config.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stubs.py").write_text(
        "from aurelius_hub.services import build_services\n"
        "from aurelius_hub.settings import HubSettings\n"
        "c.JupyterHub.services = [\n"
        f"    service | ({{'command': [{sys.executable!r}, {str(STUB)!r}]}} if 'url' in service else {{}})\n"
        "    for service in build_services(HubSettings())\n"
        "]\n"
    )


def require_keycloak() -> None:
    """Skip the test where there is no Java or no Keycloak distribution."""
    cache = HubSettings().cache / "keycloak"
    if shutil.which("java") is None:
        pytest.skip("Java is missing: install Java 17 or newer")
    there = (cache / NAME).exists() or (cache / f"keycloak-quarkus-dist-{VERSION}.tar.gz").exists()
    if not there and shutil.which("mvn") is None:
        pytest.skip("Keycloak is missing: install Maven, which fetches it, or put it into .cache/keycloak")


def skip_demo(home: Path) -> None:
    """Mark the slow steps of a demo's first start as done, for tests that are about processes."""
    (home / "models" / "radiology").mkdir(parents=True, exist_ok=True)
    (home / "models" / "radiology" / "none.pt").touch()
    (home / "demo.json").write_text('["filled", "frozen"]')


@contextmanager
def running_demo(
    home: Path,
    login: str = "loopback",
    stubs: bool = False,
    environment: dict[str, str] | None = None,
    seconds: float = 900.0,
) -> Iterator[RunningDemo]:
    """Run ``aurelius demo`` on free ports, as a person would, until it says it is up.

    With ``stubs`` the demo's data and services are left out: what remains is login, hub and processes.
    """
    if login == "keycloak":
        require_keycloak()
    if stubs:
        use_stubs(HubSettings(home=home))
        skip_demo(home)
    record = home / "hub" / "run.json"
    record.unlink(missing_ok=True)
    log = home / "demo.log"
    home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "aurelius_hub.cli", "demo", "--port", "0", "--login", login, "--home", str(home)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | (environment or {}),
            start_new_session=True,
        )
    try:
        poll(lambda: (record.exists() and "Ctrl-C stops it" in log.read_text()) or process.poll() is not None, seconds)
        assert process.poll() is None, f"the demo did not come up:\n{log.read_text()}"
        state = json.loads(record.read_text())
        passwords = json.loads((home / "passwords.json").read_text())
        yield RunningDemo(state["address"], passwords, home, state["run"], process)
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def start_notebook(session: httpx.Client, name: str) -> None:
    """Start the notebook server of ``name``, who is logged in with ``session``, and log in to it."""
    session.get("/hub/spawn")
    page = f"/user/{name}/lab"

    def is_up() -> bool:
        answer = session.get(page)
        return answer.status_code == 200 and answer.url.path == page

    assert poll(is_up, 90), f"the server of {name} did not start"


def start_kernel(session: httpx.Client, address: str, name: str) -> str:
    """Start a kernel on the notebook server of ``name`` and return its id."""
    # The server's interface wants what its own pages send: its cross-site token, from a page of its own.
    paths = {cookie.path: cookie.value for cookie in session.cookies.jar if cookie.name == "_xsrf"}
    headers = {"X-XSRFToken": paths[f"/user/{name}/"] or "", "Referer": f"{address}/user/{name}/lab"}
    answer = session.post(f"/user/{name}/api/kernels", json={}, headers=headers)
    assert answer.status_code == 201, answer.text
    kernel: str = answer.json()["id"]
    return kernel
