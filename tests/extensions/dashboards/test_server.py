"""The dashboards service: who sees what, what stays closed, what a decision leaves behind."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import websocket

from aurelius_catalog.records import DecisionAction
from aurelius_extensions.dashboards import viewer
from aurelius_extensions.dashboards.server.kernels import keep_environment
from aurelius_extensions.errors import UnknownViewer
from support.chromium import wait_for_drawing
from support.servers_catalog import Hub, wait_until
from support.servers_dashboards import Findings, find_kernels, lone_service, make_findings, temp_dashboards

PREFIX = "/services/dashboards"
NORTH, SOUTH = "north-ct-chest-1", "south-ct-chest-2"


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return make_findings(tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, findings: Findings) -> Iterator[Hub]:
    with temp_dashboards(tmp_path_factory.mktemp("hub"), findings) as running:
        yield running


def list_cases(page: str) -> list[str]:
    """Return the pseudonyms of the rows, in the order they stand in the page."""
    return re.findall(r'<tr data-prediction.*?<strong class="au-id">(.*?)</strong>', page, re.DOTALL)


def read_kernel_id(page: str) -> str:
    found = re.search(r'"kernelId": "([\w-]+)"', page)
    assert found, "the page names no kernel"
    return found[1]


def connect(hub: Hub, browser: httpx.Client, kernel_id: str) -> websocket.WebSocket:
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)
    address = f"{hub.url.replace('http', 'ws', 1)}{PREFIX}/api/kernels/{kernel_id}/channels"
    return websocket.create_connection(address, timeout=30, cookie=cookies, origin=hub.url)


# -- who sees what ---------------------------------------------------------------------------------


def test_each_clinician_sees_the_rows_of_their_own_site_least_certain_first(hub: Hub) -> None:
    with hub.log_in("nora") as browser:
        assert list_cases(browser.get(f"{PREFIX}/worklist").text) == ["north-mr-brain-3", NORTH]
    with hub.log_in("sid") as browser:
        page = browser.get(f"{PREFIX}/worklist").text
    assert list_cases(page) == [SOUTH]
    assert "north" not in page


def test_forged_headers_change_nothing(hub: Hub) -> None:
    claim = json.dumps({"name": "sid", "groups": ["role-steward", "site-south"]})
    forged = {"X-Aurelius-Person": claim, "x-aurelius-person": claim, "X_Aurelius_Person": claim, "X-Hub-User": "sid"}
    with hub.log_in("nora") as browser:
        page = browser.get(f"{PREFIX}/worklist", headers=forged).text
    assert list_cases(page) == ["north-mr-brain-3", NORTH]
    assert "sid" not in page


def test_person_of_no_site_is_told_so(hub: Hub) -> None:
    with hub.log_in("cora") as browser:
        assert "You belong to no site and no project" in browser.get(f"{PREFIX}/worklist").text


def test_the_registry_lists_the_dashboards_and_unknown_ones_are_reported_missing(hub: Hub) -> None:
    with hub.log_in("nora") as browser:
        assert f'href="{PREFIX}/worklist"' in browser.get(f"{PREFIX}/").text
        answer = browser.get(f"{PREFIX}/nothing")
    assert answer.status_code == 404
    assert "There is no dashboard" in answer.text


def test_anonymous_is_sent_to_the_hub(hub: Hub) -> None:
    for page in ("", "worklist"):
        answer = httpx.get(f"{hub.url}{PREFIX}/{page}")
        assert answer.status_code == 302
        assert answer.headers["location"].startswith("/hub/api/oauth2/authorize")


def test_person_without_access_is_refused_in_words(hub: Hub) -> None:
    headers = {"Authorization": f"token {hub.api('POST', 'users/gil/tokens', json={}).json()['token']}"}
    answer = httpx.get(f"{hub.url}{PREFIX}/worklist", headers=headers)
    assert answer.status_code == 403
    assert "Ask an administrator" in answer.text


def test_health_and_metrics_need_no_login_and_name_nobody(hub: Hub) -> None:
    with hub.log_in("nora") as browser:
        browser.get(f"{PREFIX}/worklist")
    assert httpx.get(f"{hub.url}{PREFIX}/health").json() == {"status": "ok"}
    text = httpx.get(f"{hub.url}{PREFIX}/metrics").text
    assert 'aurelius_dashboard_pages_total{dashboard="worklist"}' in text
    assert "nora" not in text


# -- what stays closed -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "voila/files/worklist.ipynb",
        "voila/files/../worklist.ipynb",
        "voila/render/worklist.ipynb",
        "voila/tree",
        "voila/api/contents/worklist.ipynb",
        "api/kernels",
        "worklist.ipynb",
    ],
)
def test_what_voila_leaves_open_is_closed(hub: Hub, path: str) -> None:
    with hub.log_in("nora") as browser:
        assert browser.get(f"{PREFIX}/{path}").status_code == 404


def test_code_sent_over_the_websocket_is_not_executed(hub: Hub, tmp_path: Path) -> None:
    written = tmp_path / "written"
    with hub.log_in("nora") as browser:
        kernel_id = read_kernel_id(browser.get(f"{PREFIX}/worklist").text)
        socket = connect(hub, browser, kernel_id)
        send(socket, "execute_request", {"code": f"open({str(written)!r}, 'w').close()", "silent": False})
        send(socket, "kernel_info_request", {})  # answered after anything that was sent before it
        answered = [json.loads(socket.recv()) for _ in range(3)]
        while not any(message["msg_type"] == "kernel_info_reply" for message in answered):
            answered.append(json.loads(socket.recv()))
        socket.close()
    assert not any(message["msg_type"] == "execute_reply" for message in answered)
    assert not written.exists()


def send(socket: websocket.WebSocket, kind: str, content: dict[str, object]) -> None:
    header = {"msg_id": kind, "msg_type": kind, "username": "", "session": "test", "version": "5.3"}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    socket.send(json.dumps(message))


def test_kernel_of_another_person_does_not_exist(hub: Hub) -> None:
    with hub.log_in("nora") as nora, hub.log_in("sid") as sid:
        kernel_id = read_kernel_id(nora.get(f"{PREFIX}/worklist").text)
        sid.get(f"{PREFIX}/")
        assert sid.get(f"{PREFIX}/api/kernels/{kernel_id}").status_code == 404
        with pytest.raises(websocket.WebSocketBadStatusException, match="404"):
            connect(hub, sid, kernel_id)
        with pytest.raises(websocket.WebSocketBadStatusException, match="404"):
            websocket.create_connection(f"{hub.url.replace('http', 'ws', 1)}{PREFIX}/voila/query/{kernel_id}")
        assert nora.get(f"{PREFIX}/api/kernels/{kernel_id}").json()["id"] == kernel_id


def test_kernels_inherit_no_secret(hub: Hub) -> None:
    services = [each for each in psutil.process_iter(["cmdline"]) if is_service_of(each, hub)]
    kernels = [kernel for service in services for kernel in find_kernels(service.pid)]
    assert kernels
    for kernel in kernels:
        environment = kernel.environ()
        assert environment["AURELIUS_HOME"]
        assert not [name for name in environment if name.startswith("JUPYTERHUB_") or "SECRET" in name]
    token = services[0].environ()["JUPYTERHUB_API_TOKEN"]
    assert token not in str([kernel.environ() for kernel in kernels])


def is_service_of(process: psutil.Process, hub: Hub) -> bool:
    command = process.info["cmdline"] or []
    if command[-2:] != ["-m", "aurelius_extensions.dashboards"]:
        return False
    return process.environ().get("JUPYTERHUB_BASE_URL") == "/" and str(hub.home) in str(process.parents()[0].cmdline())


def test_environment_is_a_list_of_what_is_allowed() -> None:
    given = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "JUPYTERHUB_API_TOKEN": "x",
        "AURELIUS_CATALOG_URL": "y",
        "SMTP_PASSWORD": "z",
    }
    assert set(keep_environment(given)) == {"PATH", "LC_ALL", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}


def test_viewer_is_unknown_outside_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOILA_PREHEAT", raising=False)
    with pytest.raises(UnknownViewer, match="open_catalog"):
        viewer()


def test_stopping_the_service_leaves_no_kernel(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with lone_service(tmp_path, {"TMPDIR": str(temporary)}) as process:
        # Two for the worklist, one for the intake.
        wait_until(lambda: len(find_kernels(process.pid)) == 3, "preheated kernels", process=process)
        kernels = find_kernels(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        wait_until(lambda: not any(kernel.is_running() for kernel in kernels), "the kernels' end", 5)
    assert not list(temporary.iterdir())


# -- in the browser --------------------------------------------------------------------------------


def open_worklist(browser, hub: Hub, person: str):  # type: ignore[no-untyped-def]
    """Log in and open the worklist; returns the page, live, and the addresses it asked for."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.set_default_timeout(60_000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{hub.url}{PREFIX}/worklist")
    page.fill("#username_input", person)
    page.fill("#password_input", "x")
    page.click("#login_submit")
    page.wait_for_selector(".au-worklist tr[data-prediction]")
    return page, asked


@pytest.mark.browser
def test_clinician_accepts_and_overrides_and_nothing_leaves_the_house(browser, hub: Hub, findings: Findings) -> None:  # type: ignore[no-untyped-def]
    page, asked = open_worklist(browser, hub, "nora")
    # The least certain finding is open; its images are drawn.
    page.wait_for_selector(".au-case h2:has-text('Brain lesion')")
    page.wait_for_selector(".au-image canvas")
    wait_for_drawing(page, ".au-image")

    # By key: accept, and go on to the next.
    page.keyboard.press("a")
    page.wait_for_selector(".au-decided-accepted:has-text('nora')")
    assert "1 to review" in page.inner_text(".au-count")
    page.keyboard.press("j")
    page.wait_for_selector(".au-case h2:has-text('Lung nodule')")

    # An override wants a reason.
    page.click("[data-do=ask]")
    page.click(".au-reason [type=submit]")
    assert page.is_visible(".au-reason")
    page.fill("#au-reason", "False alarm")
    page.click(".au-reason [type=submit]")
    page.wait_for_selector(".au-decided-overridden:has-text('False alarm')")

    rows = {row.prediction.id: row for row in findings.open_as("nora").list_worklist()}
    accepted, overridden = rows[findings.north_brain], rows[findings.north_chest]
    assert accepted.decision is not None
    assert overridden.decision is not None
    assert (accepted.decision.person, accepted.decision.action) == ("nora", DecisionAction.ACCEPT)
    assert (overridden.decision.person, overridden.decision.comment) == ("nora", "False alarm")
    assert not accepted.prediction.requires_review
    assert not overridden.prediction.requires_review
    outside = [address for address in asked if not address.startswith((hub.url, "data:", f"blob:{hub.url}"))]
    assert outside == []
    page.context.close()


@pytest.mark.browser
def test_person_without_the_right_sees_no_buttons_and_is_refused(browser, hub: Hub, findings: Findings) -> None:  # type: ignore[no-untyped-def]
    page, _ = open_worklist(browser, hub, "rhea")
    page.wait_for_selector(".au-case h2:has-text('Lung nodule')")
    assert page.locator(".au-act, .au-reason").count() == 0
    page.keyboard.press("a")
    page.keyboard.press("j")
    page.wait_for_selector(".au-case h2:has-text('Lung nodule')")
    row = next(row for row in findings.open_as("sid").list_worklist() if row.prediction.id == findings.south_chest)
    assert row.decision is None
    page.context.close()
