"""``make smoke``: start a fresh demo on free ports and walk every user's path through it, without a screen.

Prints a line per step with its time, stops the house, and exits non-zero if any step failed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from aurelius_catalog.phantoms.bodies import make_phantom
from aurelius_catalog.phantoms.dicom_files import write_phantom
from aurelius_catalog.phantoms.visits import PhantomVisit
from support.notebook import CellFailed, Notebook
from support.servers_catalog import REPOSITORY, wait_until
from support.servers_hub import RunningDemo, login, new_session, running_demo
from support.slicer import NODULE, Slicer, draw_strokes, scribble_params, take, write_nifti

VISIBLE_S = 5.0  # a saved label must be in the researcher's notebook within this


class Refused(AssertionError):
    """Somebody got what they must not get, or not what they must."""


def expect(truth: object, said: str) -> None:
    """Fail with ``said`` unless ``truth``."""
    if not truth:
        raise Refused(said)


@dataclass
class Walk:
    """One walk through a running demo: the house, and what earlier steps leave for later ones."""

    demo: RunningDemo
    sessions: dict[str, httpx.Client] = field(default_factory=dict)
    notebook: Notebook | None = None
    slicer: Slicer | None = None
    saved_series: str = ""
    run_id: str = ""

    @property
    def address(self) -> str:
        return self.demo.address

    def session(self, name: str) -> httpx.Client:
        """Return the session of a person, logged in through the issuer's form at first use."""
        if name not in self.sessions:
            session = new_session(self.address)
            answer = login(session, self.address, name, self.demo.passwords[name])
            expect(answer.status_code == 200, f"{name} could not log in: {answer.status_code} at {answer.url}")
            session.headers["Origin"] = self.address
            # As a browser does: opening a page of a service is what logs one in there.
            session.get(f"{self.address}/services/catalog/whoami", headers={"Accept": "text/html"})
            self.sessions[name] = session
        return self.sessions[name]

    def get(self, name: str, path: str, status: int = 200) -> httpx.Response:
        """Get a page as a person and check the status."""
        return self.ask(name, "GET", path, status)

    def ask(self, name: str, method: str, path: str, status: int, **options: Any) -> httpx.Response:
        """Call a path as a person and check the status."""
        answer = self.session(name).request(method, f"{self.address}{path}", **options)
        said = f"{method} {path} as {name}: {answer.status_code} instead of {status}: {answer.text[:300]}"
        expect(answer.status_code == status, said)
        return answer

    def call_intake(self, *arguments: str) -> str:
        """Run ``aurelius intake`` as the steward does."""
        command = [sys.executable, "-m", "aurelius_hub.cli", "intake", *arguments]
        environment = {"AURELIUS_HOME": str(self.demo.home), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        expect(done.returncode == 0, f"aurelius intake {arguments[0]}: {done.stderr}")
        return done.stdout


STEPS: list[tuple[str, Callable[[Walk], None]]] = []


def step(title: str) -> Callable[[Callable[[Walk], None]], Callable[[Walk], None]]:
    """Register a step of the walk."""

    def register(function: Callable[[Walk], None]) -> Callable[[Walk], None]:
        STEPS.append((title, function))
        return function

    return register


# -- login -----------------------------------------------------------------------------------------


@step("everybody logs in; a wrong password does not")
def check_login(walk: Walk) -> None:
    for name in walk.demo.passwords:
        walk.session(name)
    with new_session(walk.address) as session:
        answer = login(session, walk.address, "rhea", "wrong")
        expect(not str(answer.url).startswith(walk.address), "a wrong password was let in")


@step("services refuse who has no role for them")
def check_refusals(walk: Walk) -> None:
    for name, path in [
        ("rhea", "/services/dashboards/"),
        ("nora", "/services/annotation/"),
        ("anton", "/services/reports/"),
        ("nora", "/hub/spawn"),
    ]:
        walk.get(name, path, 403)
    with httpx.Client() as nobody:
        for path in ("catalog/worklist", "reports/api/runs", "annotation/info/"):
            answer = nobody.get(f"{walk.address}/services/{path}")
            expect(answer.status_code == 401, f"{path} without login: {answer.status_code}")
    seen = walk.ask("gil", "POST", "/services/catalog/series/search", 200, json={}).json()
    expect(seen == [], "the student who belongs to nothing sees images")


# -- steward ---------------------------------------------------------------------------------------


@step("steward: an identified file goes in, nothing identifying comes out")
def check_intake(walk: Walk) -> None:
    inbox = walk.demo.home / "identified" / "inbox" / "north"
    visit = PhantomVisit("SMOKETEST^WILHELMINA", "SMOKE-4711", "19440404", "F", "20260302", "Smoke General Hospital")
    write_phantom(inbox / "smoke", make_phantom("ct-chest", 4711), visit)
    (inbox / "smoke" / "letter.dcm").write_text("this is no DICOM file")
    wait_until(lambda: json.loads(walk.call_intake("status", "--json"))["pending"] == 0, "the intake", 60)
    shown = json.loads(walk.call_intake("status", "--json"))
    expect(any("letter" in item["name"] and item["reason"] for item in shown["troubled"]), "no reason for the odd file")
    expect("north" in walk.call_intake("status"), "the steward's table lacks the site")
    for file in (walk.demo.home / "catalog").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            for secret in (b"WILHELMINA", b"SMOKE-4711", b"19440404", b"Smoke General"):
                expect(secret not in content, f"{secret.decode()} reached {file.name}")


# -- researcher ------------------------------------------------------------------------------------


@step("researcher: JupyterLab opens, catalog is there in a fresh kernel")
def check_notebook(walk: Walk) -> None:
    walk.notebook = Notebook(walk.session("rhea"), walk.address, "rhea")
    walk.notebook.spawn()
    expect("jupyterlab" in walk.get("rhea", "/user/rhea/lab").text.lower(), "this is not JupyterLab")
    walk.notebook.__enter__()
    expect("lung" in walk.notebook.run("catalog"), "the kernel's catalog does not say lung")
    expect(int(walk.notebook.run("len(catalog.search(project='lung', Modality='CT'))")) >= 8, "lung CTs are missing")


@step("researcher: the guide 01-first-look runs")
def check_guide(walk: Walk) -> None:
    assert walk.notebook is not None
    guide = json.loads((REPOSITORY / "notebooks" / "guides" / "01-first-look.ipynb").read_text())
    expect((walk.demo.home / "homes" / "rhea" / "guides" / "01-first-look.ipynb").exists(), "the guide is not at hand")
    for cell in guide["cells"]:
        if cell["cell_type"] == "code":
            walk.notebook.run("".join(cell["source"]))


@step("researcher: a brain series is refused by its UID, and not found in a search")
def check_foreign_series(walk: Walk) -> None:
    assert walk.notebook is not None
    found = walk.ask("bram", "POST", "/services/catalog/series/search", 200, json={"Modality": "MR"}).json()
    expect(found, "bram sees no brain")
    try:
        walk.notebook.run(f"catalog.series({found[0]['SeriesInstanceUID']!r})")
    except CellFailed as error:
        expect("PermissionDenied" in str(error) and "rhea may not open" in str(error), f"unclear refusal: {error}")
    else:
        raise Refused("rhea opened a brain series")
    expect(walk.notebook.run("len(catalog.search(project='brain'))") == "0", "rhea finds brain series")


# -- annotator -------------------------------------------------------------------------------------


@step("annotator: Slicer connects, gets a case and its image")
def check_slicer(walk: Walk) -> None:
    page = walk.ask("anton", "POST", "/services/annotation/", 200, data={"make": "token"}).text
    token = page.split('<code id="token">')[1].split("<")[0]
    walk.slicer = Slicer(f"{walk.address}/services/annotation", "anton", token)
    wait_until(lambda: "nodule" in walk.slicer.info().json.get("models", {}), "the models", 120)  # type: ignore[union-attr]
    wrong = Slicer(f"{walk.address}/services/annotation", "anton", "wrong").info()
    expect(wrong.status == 401, f"a wrong token got {wrong.status}")


@step("annotator: next sample, automatic segmentation, scribbles, save, next")
def check_annotation(walk: Walk) -> None:
    assert walk.slicer is not None
    image_id, image, affine = take(walk.slicer)
    _, _, content = walk.slicer.infer("nodule", image_id, {"device": "cpu"}).parts
    expect(content, "the automatic segmentation is empty")
    blob = np.zeros(image.shape, np.uint8)
    z, y, x = (size // 2 for size in image.shape)
    blob[z - 2 : z + 3, y - 4 : y + 5, x - 4 : x + 5] = 1
    strokes = write_nifti(draw_strokes(blob), affine)
    answer = walk.slicer.infer("Histogram+GraphCut", image_id, scribble_params(image.shape), ("s.nii.gz", strokes))
    expect(answer.status == 200, f"scribbles: {answer.body[:300]!r}")
    saved = walk.slicer.save(image_id, ("label.nii.gz", write_nifti(blob, affine)), NODULE)
    expect(saved.status == 200, f"save: {saved.body[:300]!r}")
    walk.saved_series = image_id.split("~")[0]
    following, _, _ = take(walk.slicer)
    expect(following.split("~")[0] != walk.saved_series, "the same case came again")


@step(f"researcher: the saved label is in the notebook within {VISIBLE_S:.0f} s, with its author")
def check_label_visible(walk: Walk) -> None:
    assert walk.notebook is not None
    code = f"s = catalog.series({walk.saved_series!r}).segmentations; (s[-1].annotation.author, s[-1].volumes_ml())"
    start = time.monotonic()
    shown = walk.notebook.run(code)
    expect("anton" in shown and "nodule" in shown, f"the newest label is {shown}")
    expect(time.monotonic() - start < VISIBLE_S, "the label came too late")


# -- clinician -------------------------------------------------------------------------------------


@step("clinician: the worklist shows the own site and nothing else, the most urgent first")
def check_worklist(walk: Walk) -> None:
    for name, site in (("nora", "north"), ("sid", "south")):
        rows = walk.get(name, "/services/catalog/worklist").json()
        expect(rows and {row["series"]["site"] for row in rows} == {site}, f"{name} sees foreign rows, or none")
        waiting = [row["prediction"]["requires_review"] for row in rows]
        expect(waiting == sorted(waiting, reverse=True), "decided cases stand before those that wait")
        page = walk.get(name, "/services/dashboards/worklist").text
        for row in rows:
            expect(row["series"]["PatientID"] in page, f"a case of {name} is not on the page")
    page = walk.get("nora", "/services/dashboards/worklist").text
    south = walk.get("sid", "/services/catalog/worklist").json()
    expect(all(row["series"]["PatientID"] not in page for row in south), "a case of site south is on nora's page")


@step("clinician: a decision is kept with name and time, and clears the review")
def check_decision(walk: Walk) -> None:
    row = walk.get("nora", "/services/catalog/worklist").json()[0]
    path = f"/services/catalog/predictions/{row['prediction']['id']}/decisions"
    walk.ask("sid", "POST", path, 403, json={"action": "accept", "comment": ""})
    walk.ask("rhea", "POST", path, 403, json={"action": "accept", "comment": ""})
    walk.ask("nora", "POST", path, 400, json={"action": "override", "comment": ""})
    made = walk.ask("nora", "POST", path, 200, json={"action": "accept", "comment": ""}).json()
    expect(made["person"] == "nora" and made["created_at"], "the decision lacks name or time")
    rows = walk.get("nora", "/services/catalog/worklist").json()
    mine = next(item for item in rows if item["prediction"]["id"] == row["prediction"]["id"])
    expect(not mine["prediction"]["requires_review"], "the review is still asked for")


# -- reviewer --------------------------------------------------------------------------------------


def run_report(walk: Walk, path: str, **body: Any) -> dict[str, Any]:
    """Ask for a run and wait for its end."""
    run: dict[str, Any] = walk.ask("vera", "POST", f"/services/reports/api/{path}", 202, **body).json()

    def is_done() -> bool:
        run.update(walk.get("vera", f"/services/reports/api/runs/{run['id']}").json())
        return bool(run["state"] == "done")

    wait_until(is_done, "the report", 120)
    return run


@step("reviewer: runs a report, and the rerun says MATCH")
def check_match(walk: Walk) -> None:
    expect("segmentation-volumes" in walk.get("vera", "/services/reports/").text, "the report is not listed")
    asked = {"report": "segmentation-volumes", "parameters": {"dataset": "lung-demo", "structure": "nodule"}}
    walk.run_id = run_report(walk, "runs", json=asked)["id"]
    again = run_report(walk, f"runs/{walk.run_id}/rerun")
    expect(again["verdict"]["kind"] == "MATCH", f"the verdict is {again['verdict']}")


@step("reviewer: after a label changed the rerun says DRIFT, naming case and number")
def check_drift(walk: Walk) -> None:
    assert walk.notebook is not None
    changed = walk.notebook.run(
        "d = catalog.dataset('lung-demo'); s = catalog.series(d.SeriesInstanceUIDs[0]); old = s.segmentations[-1]\n"
        "label = old.to_xarray().to_numpy().copy(); label[0, :20, :20] = 1\n"
        "a = catalog.store.add_annotation(s.record.SeriesInstanceUID, label, old.annotation.segments,"
        " origin='notebook'); print(s.record.SeriesInstanceUID)"
    ).strip()
    verdict = run_report(walk, f"runs/{walk.run_id}/rerun")["verdict"]
    expect(verdict["kind"] == "DRIFT", f"the verdict is {verdict}")
    named = [drift for drift in verdict["drifts"] if drift["case"] == changed]
    expect(named and named[0]["was"] != named[0]["now"], f"the drift names {verdict['drifts']}")


@step("reviewer: an unknown dataset says CANNOT RUN, with the reason")
def check_cannot_run(walk: Walk) -> None:
    asked = {"report": "segmentation-volumes", "parameters": {"dataset": "no-such-dataset"}}
    run = run_report(walk, "runs", json=asked)
    expect(run["outcome"] == "CANNOT RUN", f"the outcome is {run['outcome']}")
    expect("no-such-dataset" in json.dumps(run), "the reason does not name the dataset")


# -- the walk --------------------------------------------------------------------------------------


@contextmanager
def timed(title: str, lines: list[tuple[str, float, bool]]) -> Iterator[None]:
    """Print a line for what happens inside: whether it went well, what, and how long it took."""
    start = time.monotonic()
    try:
        yield
    except (AssertionError, httpx.HTTPError, OSError, ValueError, KeyError, IndexError) as error:
        lines.append((title, time.monotonic() - start, False))
        print(f"FAILED {lines[-1][1]:6.1f} s  {title}\n        {error}", flush=True)
        if not isinstance(error, AssertionError):
            traceback.print_exc()
    else:
        lines.append((title, time.monotonic() - start, True))
        print(f"ok     {lines[-1][1]:6.1f} s  {title}", flush=True)


def walk_house(login: str = "loopback") -> list[tuple[str, float, bool]]:
    """Walk all steps through a fresh demo; returns title, seconds and success of each."""
    lines: list[tuple[str, float, bool]] = []
    with tempfile.TemporaryDirectory(prefix="aurelius-smoke-") as home:
        start = time.monotonic()
        with running_demo(Path(home), login=login) as demo:
            lines.append(("the demo comes up", time.monotonic() - start, True))
            print(f"ok     {lines[0][1]:6.1f} s  the demo comes up", flush=True)
            walk = Walk(demo)
            for title, function in STEPS:
                with timed(title, lines):
                    function(walk)
            for session in walk.sessions.values():
                session.close()
            start = time.monotonic()
        lines.append(("the house stops and leaves nothing", time.monotonic() - start, True))
        print(f"ok     {lines[-1][1]:6.1f} s  the house stops and leaves nothing", flush=True)
    return lines


def main() -> int:
    """Walk; returns the exit status."""
    lines = walk_house("keycloak" if "keycloak" in sys.argv[1:] else "loopback")
    failed = [title for title, _, fine in lines if not fine]
    total = sum(seconds for _, seconds, _ in lines)
    print(f"{len(lines) - len(failed)} passed, {len(failed)} failed in {total:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
