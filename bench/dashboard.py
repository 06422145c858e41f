"""How long a clinician waits for the worklist, against a stock Voila that shows the same rows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import nbformat
from playwright.sync_api import sync_playwright

from aurelius_hub.ports import find_free_ports
from bench.result import Result, compare
from support.chromium import launch_chromium
from support.servers_catalog import Hub, answers, wait_until
from support.servers_dashboards import PEOPLE, make_findings, temp_dashboards

SAMPLES = 6
#: The same rows, as one would first write them.
PEER_CELLS = (
    "import ipywidgets, pandas\nfrom aurelius_catalog import Person, open_catalog",
    "catalog = open_catalog(person=Person.of('nora', {groups}))\n"
    "rows = [(row.series.PatientID, row.prediction.finding) for row in catalog.worklist()]\n"
    "ipywidgets.HTML(pandas.DataFrame(rows).to_html(table_id='rows'))",
)


@contextmanager
def stock_voila(folder: Path, home: Path) -> Iterator[str]:
    """Run Voila as its documentation starts it, over a notebook with the same rows; yields the page's address."""
    cells = [nbformat.v4.new_code_cell(cell.replace("{groups}", repr(PEOPLE["nora"]))) for cell in PEER_CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbformat.write(notebook, folder / "worklist.ipynb")
    [port] = find_free_ports(1)
    command = [
        sys.executable,
        "-m",
        "voila",
        "worklist.ipynb",
        "--no-browser",
        f"--port={port}",
        "--Voila.ip=127.0.0.1",
    ]
    with (folder / "voila.log").open("wb") as log:
        environment = os.environ | {"AURELIUS_HOME": str(home)}
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}/"
        wait_until(lambda: answers(f"{address}voila/static/main.js") or answers(address), "voila", process=process)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def time_page(context: Any, address: str, row: str) -> float:
    """Return the seconds from asking for a page until its first row is shown."""
    page = context.new_page()
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_selector(row, timeout=60_000)
    seconds = time.perf_counter() - start
    page.close()
    return seconds


def is_warm(hub: Hub) -> bool:
    """Whether a kernel waits for the next page."""
    text = httpx.get(f"{hub.url}/services/dashboards/metrics").text
    found = re.search(r"^aurelius_dashboard_preheated (\S+)", text, re.MULTILINE)
    return found is not None and float(found[1]) >= 1


def log_in(context: Any, hub: Hub) -> None:
    """Log in as nora, once."""
    page = context.new_page()
    page.goto(f"{hub.url}/services/dashboards/worklist")
    page.fill("#username_input", "nora")
    page.fill("#password_input", "x")
    page.click("#login_submit")
    page.wait_for_selector("tr[data-prediction]", timeout=60_000)
    page.close()


def measure_first_paint() -> Result:
    """Measure both in one browser, in turn; the first visit of each, which fills the cache, does not count."""
    ours: list[float] = []
    stock: list[float] = []
    with tempfile.TemporaryDirectory(prefix="aurelius-bench-") as name, sync_playwright() as playwright:
        folder = Path(name)
        (folder / "hub").mkdir()
        (folder / "voila").mkdir()
        findings = make_findings(folder / "house")
        browser = launch_chromium(playwright)
        context = browser.new_context()
        with (
            temp_dashboards(folder / "hub", findings) as hub,
            stock_voila(folder / "voila", findings.settings.home) as peer,
        ):
            log_in(context, hub)
            for _ in range(SAMPLES + 1):
                wait_until(lambda: is_warm(hub), "a preheated kernel")
                worklist = f"{hub.url}/services/dashboards/worklist"
                ours.append(time_page(context, worklist, "tr[data-prediction]"))
                stock.append(time_page(context, peer, "#rows td"))
        browser.close()
    print(json.dumps({"ours": ours, "peer": stock}))
    return compare("dashboard_first_paint", ours[1:], stock[1:], "stock Voila, no login, no preheating")


BENCHMARKS: dict[str, Callable[[], Result]] = {"dashboard_first_paint": measure_first_paint}
