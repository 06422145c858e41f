"""The whole house as its people meet it: one demo, walked by program and by browser.

The browser tests leave the screenshots that the README shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from support.chromium import wait_for_drawing
from support.servers_catalog import REPOSITORY
from support.servers_hub import RunningDemo, running_demo
from support.smoke import STEPS, Walk

SCREENSHOTS = REPOSITORY / "docs" / "screenshots"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture(scope="module")
def walk(demo: RunningDemo) -> Iterator[Walk]:
    walk = Walk(demo)
    yield walk
    for session in walk.sessions.values():
        session.close()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("check", [function for _, function in STEPS], ids=[title for title, _ in STEPS])
def test_step_of_the_walk(walk: Walk, check: Callable[[Walk], None]) -> None:
    check(walk)


@pytest.fixture
def open_as(browser, demo: RunningDemo):  # type: ignore[no-untyped-def]
    """Log in as a person in a browser of their own; every request that would leave the house fails the test."""
    foreign: list[str] = []
    contexts = []

    def note(request) -> None:  # type: ignore[no-untyped-def]
        address = urlsplit(request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and address.hostname != "127.0.0.1":
            foreign.append(request.url)

    def log_in(name: str):  # type: ignore[no-untyped-def]
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        contexts.append(context)
        page = context.new_page()
        page.on("request", note)
        page.goto(f"{demo.address}/hub/")
        page.fill("input[name=username]", name)
        page.fill("input[name=password]", demo.passwords[name])
        page.press("input[name=password]", "Enter")
        page.wait_for_url(f"{demo.address}/**")
        return page

    yield log_in
    for context in contexts:
        context.close()
    assert not foreign


def save_screenshot(page, name: str) -> None:  # type: ignore[no-untyped-def]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_researcher_runs_the_guide_in_jupyterlab(open_as, demo: RunningDemo) -> None:  # type: ignore[no-untyped-def]
    page = open_as("rhea")
    page.wait_for_url("**/user/rhea/lab**", timeout=90_000)
    page.goto(f"{demo.address}/user/rhea/lab/tree/guides/01-first-look.ipynb")
    page.wait_for_selector("text=Aurelius | Idle", timeout=90_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_selector(".jp-OutputArea canvas", timeout=120_000, state="attached")
    assert page.locator(".jp-OutputArea-output [data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    page.locator(".jp-OutputArea canvas").first.scroll_into_view_if_needed()
    wait_for_drawing(page, ".jp-OutputArea canvas")
    save_screenshot(page, "researcher")


@pytest.mark.browser
def test_annotator_is_told_how_to_connect(open_as, demo: RunningDemo) -> None:  # type: ignore[no-untyped-def]
    page = open_as("anton")
    page.wait_for_url("**/services/annotation/**")
    assert f"{demo.address}/services/annotation" in page.inner_text("body")
    page.get_by_role("button", name="Make an access token").click()
    page.wait_for_selector("code#token")
    page.eval_on_selector("code#token", "element => { element.textContent = '•'.repeat(32) }")
    save_screenshot(page, "annotator")


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_clinician_sees_the_finding_and_decides(open_as, demo: RunningDemo) -> None:  # type: ignore[no-untyped-def]
    page = open_as("sid")
    page.goto(f"{demo.address}/services/dashboards/worklist")
    page.wait_for_selector("tr[data-prediction]", timeout=60_000)
    page.locator("tr[data-prediction]").first.click()
    page.wait_for_selector("canvas", timeout=60_000)
    wait_for_drawing(page, ".au-image")
    save_screenshot(page, "clinician")
    page.get_by_role("button", name="Accept").first.click()
    page.wait_for_selector(".au-decided-accepted:has-text('sid')", timeout=30_000)


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_clinician_opens_a_study_in_the_viewer(open_as, demo: RunningDemo) -> None:  # type: ignore[no-untyped-def]
    page = open_as("sid")
    page.goto(f"{demo.address}/hub/home")
    page.get_by_role("link", name="Viewer").first.click()
    page.get_by_role("button", name="Confirm and hide").click(timeout=60_000)
    # Dates are shifted by each house's own key, so any study may come first, and some fill only a strip of the view.
    page.locator("tr", has_text="Follow-up").filter(has_text="CT").first.dblclick(timeout=60_000)
    page.wait_for_selector(".cornerstone-canvas", timeout=60_000)
    wait_for_drawing(page, ".cornerstone-canvas")
    save_screenshot(page, "viewer")


@pytest.mark.browser
def test_reviewer_sees_the_verdict(open_as, demo: RunningDemo, walk: Walk) -> None:  # type: ignore[no-untyped-def]
    page = open_as("vera")
    page.wait_for_url("**/services/reports/**")
    page.wait_for_selector("text=segmentation", timeout=30_000)
    drifted = next(run for run in walk.get("vera", "/services/reports/api/runs").json() if run["outcome"] == "DRIFT")
    page.goto(f"{demo.address}/services/reports/runs/{drifted['id']}")
    page.wait_for_selector("text=DRIFT")
    save_screenshot(page, "reviewer")
