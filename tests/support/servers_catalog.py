"""A real JupyterHub with hub-managed services, as a context manager."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from aurelius_hub.node import PROXY_MEMORY, find_proxy
from aurelius_hub.ports import find_free_ports

REPOSITORY = Path(__file__).parents[2]

#: Who is in which group, as in the demo.
PEOPLE = {
    "rhea": ["role-researcher", "project-lung"],
    "anton": ["role-annotator", "project-lung"],
    "bram": ["role-researcher", "project-brain"],
    "nora": ["role-clinician", "site-north"],
    "stella": ["role-steward"],
    "gil": ["role-student"],
}

CONFIG = """
import json, sys
spec = json.loads(open({spec!r}).read())
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.bind_url = spec["url"]
c.JupyterHub.hub_port = spec["hub_port"]
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{{spec['proxy_api_port']}}"
c.ConfigurableHTTPProxy.command = spec["proxy"]
c.ConfigurableHTTPProxy.pid_file = spec["home"] + "/proxy.pid"
c.JupyterHub.db_url = "sqlite:///" + spec["home"] + "/hub.sqlite"
c.JupyterHub.cookie_secret_file = spec["home"] + "/cookie_secret"
c.JupyterHub.load_groups = {{name: {{"users": members}} for name, members in spec["groups"].items()}}
roles = sorted(group for group in spec["groups"] if group.startswith("role-") and group != "role-student")
names = [service["name"] for service in spec["services"]]
access = [f"access:services!service={{name}}" for name in names]
c.JupyterHub.load_roles = [
    {{"name": "people", "groups": roles, "scopes": access}},
    {{"name": "tests", "services": ["tests"], "scopes": ["admin:users", "tokens", "admin:groups", "admin:servers"]}},
]
c.JupyterHub.services = spec["services"] + [{{"name": "tests", "api_token": spec["token"]}}]
c.JupyterHub.spawner_class = spec["spawner"]
c.Spawner.server_token_scopes = ["users:activity!user", "access:servers!server", *access]
c.Spawner.environment = spec["environment"]
c.Spawner.notebook_dir = spec["home"]
c.Spawner.args = ["--allow-root"]
"""


@dataclass(frozen=True)
class Hub:
    """A running hub: its address, its folder, and a token that may manage people."""

    url: str
    home: Path
    token: str

    def make_token(self, person: str, service: str = "catalog") -> str:
        """Issue a token of ``person`` that may use ``service`` (where the person may)."""
        answer = self.api("POST", f"users/{person}/tokens", json={"scopes": [f"access:services!service={service}"]})
        token: str = answer.json()["token"]
        return token

    def api(self, method: str, path: str, **options: object) -> httpx.Response:
        """Call the hub's REST API as the tests' administrator."""
        headers = {"Authorization": f"token {self.token}"}
        answer = httpx.request(method, f"{self.url}/hub/api/{path}", headers=headers, timeout=30, **options)  # type: ignore[arg-type]
        answer.raise_for_status()
        return answer

    @contextmanager
    def log_in(self, person: str) -> Iterator[httpx.Client]:
        """Give a browser-like client that has logged in at the hub."""
        headers = {"Accept": "text/html"}
        with httpx.Client(base_url=self.url, follow_redirects=True, timeout=30, headers=headers) as client:
            client.get("/hub/login")
            form = {"username": person, "password": "x", "_xsrf": client.cookies.get("_xsrf", path="/hub/")}
            answer = client.post("/hub/login", data=form, follow_redirects=False)
            assert answer.status_code == 302, answer.text
            yield client


def wait_until(ready: object, what: str, seconds: float = 60, process: subprocess.Popen[bytes] | None = None) -> None:
    """Poll ``ready()`` until it is true; fail with ``what`` when it takes too long or the process has died."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process is not None and process.poll() is not None:
            raise AssertionError(f"{what}: the process ended with {process.returncode}")
        if ready():  # type: ignore[operator]
            return
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


@contextmanager
def show_end(log: Path) -> Iterator[None]:
    """Print how a log ends if what it tells of fails: the folder it lies in is gone once the tests are over."""
    try:
        yield
    except Exception:
        print(log.name, *log.read_text(errors="replace").splitlines()[-30:], sep="\n")
        raise


def answers(url: str) -> bool:
    """Whether ``url`` answers 200."""
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def managed_service(name: str, command: Sequence[str], environment: Mapping[str, str], port: int) -> dict[str, object]:
    """Describe a hub-managed service, as ``c.JupyterHub.services`` takes it."""
    return {
        "name": name,
        "command": list(command),
        "url": f"http://127.0.0.1:{port}",
        "oauth_no_confirm": True,
        "environment": dict(environment),
    }


@contextmanager
def temp_hub(
    home: Path,
    services: Sequence[dict[str, object]] = (),
    *,
    people: Mapping[str, Sequence[str]] = PEOPLE,
    environment: Mapping[str, str] | None = None,
    spawner: str = "simple",
) -> Iterator[Hub]:
    """Run JupyterHub with its proxy and ``services`` on free ports; ready when every service answers."""
    home.mkdir(parents=True, exist_ok=True)
    port, hub_port, proxy_api_port = find_free_ports(3)
    groups: dict[str, list[str]] = {}
    for person, names in people.items():
        for group in names:
            groups.setdefault(group, []).append(person)
    url = f"http://127.0.0.1:{port}"
    spec = {
        "url": url,
        "hub_port": hub_port,
        "proxy_api_port": proxy_api_port,
        "proxy": find_proxy(REPOSITORY),
        "home": str(home),
        "groups": groups,
        "services": list(services),
        "token": secrets.token_hex(16),
        "spawner": spawner,
        "environment": {"AURELIUS_CATALOG_URL": f"{url}/services/catalog", **(environment or {})},
    }
    (home / "spec.json").write_text(json.dumps(spec))
    (home / "config.py").write_text(CONFIG.format(spec=str(home / "spec.json")))
    # Jupyter programs of the environment must be found, whatever the caller's PATH is.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with (home / "hub.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(home / "config.py")],
            cwd=home,
            env={**os.environ, **PROXY_MEMORY, "PATH": path},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            with show_end(home / "hub.log"):
                wait_until(lambda: answers(f"{url}/hub/api/"), "hub", process=process)
                for service in services:
                    health = f"{url}/services/{service['name']}/health"
                    wait_until(lambda health=health: answers(health), str(service["name"]), process=process)
            yield Hub(url, home, str(spec["token"]))
        finally:
            stop_group(process)


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """Stop a process started in a session of its own, and what it started."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
