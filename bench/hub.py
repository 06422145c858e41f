"""The hub against a bare JupyterHub: how long it takes to start, and from login to a first result."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx

from aurelius_hub.node import find_proxy
from aurelius_hub.ports import find_free_ports
from bench.result import ROOT, Result, compare
from support.notebook import Notebook
from support.servers_catalog import answers, wait_until
from support.servers_hub import TempHub, login, new_session, temp_hub

BARE = "bare JupyterHub"
STARTS = 5
BARE_CONFIG = """
import os
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = {home!r} + "/{{username}}"
c.Spawner.default_url = "/lab"
# The environment is ours, so what it adds to a plain installation is taken away again.
c.Spawner.args = [
    "--MultiKernelManager.default_kernel_name=python3",
    "--ServerApp.jpserver_extensions=voila.server_extension=False",
]
if os.geteuid() == 0:
    c.Spawner.args.append("--allow-root")
"""


@contextmanager
def bare_hub(home: Path) -> Iterator[str]:
    """Run JupyterHub as its documentation starts it; yields its address once it answers."""
    port, hub_port, api_port = find_free_ports(3)
    proxy = find_proxy(ROOT)
    config = home / "jupyterhub_config.py"
    config.write_text(BARE_CONFIG.format(port=port, hub_port=hub_port, api_port=api_port, proxy=proxy, home=str(home)))
    with (home / "hub.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(config)],
            cwd=home,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
            stdout=log,
            stderr=log,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{address}/hub/health"), "the bare hub", process=process)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


def run_first_cell(session: httpx.Client, address: str, name: str) -> None:
    """Start the person's server and a kernel, and get a first result."""
    notebook = Notebook(session, address, name)
    notebook.spawn()
    with notebook:
        assert notebook.run("6 * 7") == "42"
    session.get(f"{address}/user/{name}/lab")


def time_call(call: Callable[[], None]) -> float:
    """Return the seconds a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def login_ours(hub: TempHub, name: str) -> None:
    """From the first page of our hub, through the issuer's form, to a first result."""
    with new_session(hub.address) as session:
        login(session, hub.address, name, hub.passwords[name])
        run_first_cell(session, hub.address, name)


def login_bare(address: str, name: str) -> None:
    """From the login page of the bare hub to a first result."""
    with new_session(address) as session:
        session.get("/hub/login")
        token = session.cookies.get("_xsrf", path="/hub/")
        session.post("/hub/login", data={"username": name, "password": "x", "_xsrf": token})
        run_first_cell(session, address, name)


def measure_login_to_first_cell() -> Result:
    """Time login, server, kernel and first result; each sample is another person's first login."""
    people = ["rhea", "bram", "anton", "gil"]
    ours: list[float] = []
    bare: list[float] = []
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as two,
        temp_hub(Path(one), auth_refresh_s=300) as hub,
        bare_hub(Path(two)) as address,
    ):
        for name in people:
            ours.append(time_call(partial(login_ours, hub, name)))
            bare.append(time_call(partial(login_bare, address, name)))
    return compare("login_to_first_cell", ours, bare, BARE)


def measure_hub_start() -> Result:
    """Time from the start of the process until the hub answers; ours with its four services answering too."""
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            start = time.perf_counter()
            with temp_hub(Path(one)):
                ours.append(time.perf_counter() - start)
            start = time.perf_counter()
            with bare_hub(Path(two)):
                bare.append(time.perf_counter() - start)
    return compare("hub_start", ours, bare, f"{BARE}, which starts no service")


BENCHMARKS: dict[str, Callable[[], Result]] = {
    "hub_start": measure_hub_start,
    "login_to_first_cell": measure_login_to_first_cell,
}
