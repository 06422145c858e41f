"""The steward's page, in a browser, before a stand-in of the intake behind a real hub."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi.responses import HTMLResponse, Response

from aurelius_catalog.access.person import Person
from aurelius_catalog.hosting.login import current_person
from aurelius_extensions import dashboards
from aurelius_extensions.dashboards.intake import Intake
from aurelius_extensions.dashboards.server.app import PAGE_POLICY
from aurelius_hub.ports import find_free_ports
from support import stub_intake
from support.servers_catalog import Hub, managed_service, temp_hub, wait_until
from support.servers_dashboards import COMMAND

PAGE = "/services/dashboards/intake"
PEOPLE = {"stella": ["role-steward"], "stefan": ["role-steward"], "nora": ["role-clinician", "site-north"]}
HOSTILE = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>'
STUDY = "2.25.191145236754123"
STUB = Path(stub_intake.__file__)
STYLE = Path(dashboards.__file__).parent / "share/voila/templates/aurelius/static/reading-room.css"
#: The page without Voila: what the script needs, and no more.
LONE_PAGE = f"""<!DOCTYPE html><meta charset="utf-8"><style>{STYLE.read_text()}{Intake._css}</style>
<div id="page"></div>
<script type="module">
import intake from "/intake.js";
intake.render({{ model: {{ get: () => "stella" }}, el: document.getElementById("page") }});
</script>"""


def make_entry(number: int, **changes: Any) -> dict[str, Any]:
    entry = {
        "id": number,
        "site": "north",
        "state": "quarantined",
        "reason": "Text was found in the pixels.",
        "received_at": f"2026-11-20T0{number}:00:00+00:00",
        "Modality": "US",
        "SOPClass": "Ultrasound Multi-frame Image Storage",
        "Rows": 960,  # the picture comes at half the size
        "Columns": 1280,
        "frames": 3,
        "has_image": True,
        "words": ["MUSTER^ERIKA", "12.03.1964"],
        "regions": [[10, 10, 200, 50]],
    }
    return entry | changes


def make_state(**changes: Any) -> dict[str, Any]:
    state = {
        "status": {
            "pending": 2,
            "sites": {
                "north": {"pending": 2, "stored": 1200, "duplicate": 3, "quarantined": 3, "failed": 0},
                "south": {"pending": 0, "stored": 40, "duplicate": 0, "quarantined": 0, "failed": 1},
            },
            "disk": {"free_bytes": 812_000_000_000, "reserve_bytes": 1_073_741_824, "taking": True},
            "profile": "research@1",
            "rate_per_minute": 38.2,
            "changed_at": "2026-11-21T08:00:00+00:00",
        },
        "desk": [
            make_entry(1),
            make_entry(2, frames=1, words=[], regions=[]),
            make_entry(3, Modality="DOC", frames=0, has_image=False, words=[], regions=[], reason="A document."),
        ],
        "certificates": [
            {
                "StudyInstanceUID": STUDY,
                "site": "north",
                "issued_at": "2026-11-20T10:00:00Z",
                "objects": 120,
                "verdict": "nothing left",
            },
            {
                "StudyInstanceUID": "2.25.77",
                "site": "south",
                "issued_at": "2026-11-19T10:00:00Z",
                "objects": 1,
                "verdict": "2 left",
            },
        ],
    }
    return state | changes


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("intake")
    stub_intake.write_state(folder, make_state())
    return folder


@pytest.fixture
def state(stub: Path) -> Callable[..., None]:
    """Change what the intake answers; a test begins with everything as made, and nothing received."""

    def change(**changes: Any) -> None:
        stub_intake.write_state(stub, make_state(**changes))

    (stub / "received.jsonl").unlink(missing_ok=True)
    change()
    return change


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, stub: Path) -> Iterator[Hub]:
    home = tmp_path_factory.mktemp("house")
    ports = find_free_ports(2)
    environment = {"AURELIUS_HOME": str(home)}
    services = [
        managed_service("dashboards", COMMAND, environment, ports[0]),
        managed_service("intake", [sys.executable, str(STUB), str(stub)], environment, ports[1]),
    ]
    with temp_hub(tmp_path_factory.mktemp("hub"), services, people=PEOPLE) as running:
        yield running


@pytest.fixture(scope="module")
def address(stub: Path) -> Iterator[str]:
    """Serve the page's script alone, with the house's policy, and the intake beside it; stella is logged in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/services/intake/")
        app = stub_intake.create_stub(stub)
    app.dependency_overrides[current_person] = lambda: Person.of("stella", PEOPLE["stella"])
    app.get(PAGE)(lambda: HTMLResponse(LONE_PAGE, headers={"Content-Security-Policy": PAGE_POLICY}))
    app.get("/intake.js")(lambda: Response(Intake._esm, media_type="text/javascript"))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=find_free_ports(1)[0], log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, "the stand-in")
        yield f"http://127.0.0.1:{server.config.port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def open_page(browser: Any, address: str, state: object) -> Iterator[Callable[..., Any]]:
    """Open the page's script alone, after the state was set."""
    with new_page(browser, address) as page:

        def open_it() -> Any:
            page.goto(f"{address}{PAGE}")
            return page

        yield open_it


@contextmanager
def new_page(browser: Any, address: str) -> Iterator[Any]:
    """Give an empty tab; at its end, nothing may have been asked of any other house."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    try:
        yield page
    finally:
        context.close()
    assert [each for each in asked if not each.startswith((address, "data:", f"blob:{address}"))] == []


def wait_for_image(page: Any, number: int) -> None:
    page.wait_for_selector(f".au-head:has-text('number {number}')")
    page.wait_for_selector(".au-wait", state="hidden")


def drag(page: Any, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Drag over the image, from one pixel of it to another."""
    box = page.evaluate("""() => {
        const { a, d, e, f } = document.querySelector(".au-masks").getScreenCTM();
        return { a, d, e, f };
    }""")
    place = [(box["e"] + box["a"] * x, box["f"] + box["d"] * y) for x, y in (start, end)]
    page.mouse.move(*place[0])
    page.mouse.down()
    page.mouse.move(*place[1], steps=4)
    page.mouse.up()


# -- who may open it -------------------------------------------------------------------------------


def test_only_stewards_are_offered_the_page_and_others_are_refused_in_words(hub: Hub) -> None:
    with hub.log_in("nora") as browser:
        assert PAGE not in browser.get("/services/dashboards/").text
        answer = browser.get(PAGE)
    assert answer.status_code == 403
    assert "is for the role steward" in answer.text
    assert "kernelId" not in answer.text
    with hub.log_in("stella") as browser:
        assert f'href="{PAGE}"' in browser.get("/services/dashboards/").text


# -- what comes in ---------------------------------------------------------------------------------


@pytest.mark.browser
def test_a_steward_logs_in_once_and_nothing_identifying_passes_through_the_kernel(
    browser: Any, hub: Hub, state: Any, stub: Path
) -> None:
    with new_page(browser, hub.url) as page:
        spoken: list[str] = []

        def listen(socket: Any) -> None:
            socket.on("framereceived", lambda frame: spoken.append(str(frame)))
            socket.on("framesent", lambda frame: spoken.append(str(frame)))

        page.on("websocket", listen)
        opened: list[str] = []
        page.on("framenavigated", lambda frame: opened.append(frame.url) if frame == page.main_frame else None)
        page.goto(f"{hub.url}{PAGE}")
        page.fill("#username_input", "stella")
        page.fill("#password_input", "x")
        page.click("#login_submit")
        wait_for_image(page, 1)
        assert page.inner_text(".au-who") == "stella"
        assert "MUSTER" in page.inner_text(".au-words")
        # The login at the intake happened out of sight: the page was opened once.
        assert len(stub_intake.read_received(stub, "enter")) == 1
        assert [url for url in opened if url.endswith(PAGE)] == [f"{hub.url}{PAGE}"]

        page.click(".au-act .au-mask")
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        wait_for_image(page, 2)
        (sent,) = stub_intake.read_received(stub, "release")
        assert (sent["person"], sent["body"]["regions"]) == ("stella", [[10, 10, 200, 50]])
        assert any("stella" in frame for frame in spoken)
        assert not [frame for frame in spoken if "MUSTER" in frame or "found in the pixels" in frame]


@pytest.mark.browser
def test_counts_change_by_themselves(open_page: Any, state: Any) -> None:
    page = open_page()
    page.wait_for_selector(".au-lamp.au-taking")
    assert page.inner_text(".au-counts tr:has-text('north') .au-stored") == "1,200"
    assert page.inner_text(".au-counts .au-all .au-stored") == "1,240"

    full = make_state()["status"]
    full["sites"]["north"]["stored"] = 1207
    full["disk"] = {"free_bytes": 600_000_000, "reserve_bytes": 1_073_741_824, "taking": False}
    state(status=full)
    page.wait_for_selector(".au-counts tr:has-text('north') .au-stored:has-text('1,207')")
    assert "disk is full" in page.inner_text(".au-state")
    assert "0.6 GB are free and 1.1 GB must stay free" in page.inner_text(".au-state")


@pytest.mark.browser
def test_a_hidden_page_asks_nothing_and_one_that_is_seen_again_asks_at_once(
    open_page: Any, state: Any, stub: Path
) -> None:
    page = open_page()
    page.wait_for_selector(".au-lamp.au-taking")
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    page.wait_for_timeout(500)  # what was on its way has arrived
    before = len(stub_intake.read_received(stub, "status"))
    page.wait_for_timeout(2500)
    assert len(stub_intake.read_received(stub, "status")) == before
    page.evaluate(hide, False)
    wait_until(lambda: len(stub_intake.read_received(stub, "status")) > before, "a question", 2)


@pytest.mark.browser
def test_a_login_that_does_not_help_is_tried_once(open_page: Any, state: Any, stub: Path) -> None:
    state(refuse=401)
    page = open_page()
    page.wait_for_selector("a:has-text('Log in again')")
    page.wait_for_timeout(2500)
    tried = [call["next"] for call in stub_intake.read_received(stub, "enter")]
    # Out of sight, then with the page itself (which tries again out of sight), and then no more.
    assert tried == ["/services/intake/health", PAGE, "/services/intake/health"]
    state()
    page.wait_for_selector(".au-lamp.au-taking")


@pytest.mark.browser
def test_silence_of_the_intake_is_said_with_the_time_of_what_is_shown(open_page: Any, state: Any) -> None:
    page = open_page()
    page.wait_for_selector(".au-lamp.au-taking")
    state(refuse=503)
    page.wait_for_selector(".au-lamp:has-text('No answer')")
    assert "What you see is from" in page.inner_text(".au-state")
    assert "waits in the inbox" in page.inner_text(".au-state")
    assert page.is_visible(".au-counts table")


# -- the release desk ------------------------------------------------------------------------------


@pytest.mark.browser
def test_a_release_with_an_added_and_a_moved_mask_sends_them_and_the_next_one_opens(
    open_page: Any, state: Any, stub: Path
) -> None:
    page = open_page()
    wait_for_image(page, 1)
    drag(page, (300, 300), (400, 340))  # a new one
    drag(page, (50, 30), (60, 50))  # the suggested one, moved by 10 and 20
    assert page.locator(".au-masks rect.au-mask").count() == 2

    page.click(".au-act .au-mask")
    assert "2 boxes are blacked out in all 3 frames" in page.inner_text(".au-effect")
    page.click(".au-decision [type=submit]")  # no reason yet
    assert stub_intake.read_received(stub, "release") == []
    page.fill("#au-reason", "Name and birthday masked")
    page.click(".au-decision [type=submit]")
    wait_for_image(page, 2)
    assert "Number 1 is released with 2 masks." in page.inner_text(".au-notice")

    (sent,) = stub_intake.read_received(stub, "release")
    assert (sent["person"], sent["item"], sent["body"]["reason"]) == ("stella", 1, "Name and birthday masked")
    moved, added = sent["body"]["regions"]
    assert moved == pytest.approx([20, 30, 200, 50], abs=1)
    assert added == pytest.approx([300, 300, 100, 40], abs=2)
    assert all(isinstance(number, int) for number in moved + added)


@pytest.mark.browser
def test_the_desk_works_without_a_mouse(open_page: Any, state: Any, stub: Path) -> None:
    page = open_page()
    wait_for_image(page, 1)
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".au-frames output") == "Frame 2 of 3"
    page.keyboard.press("n")
    page.keyboard.press("Delete")
    page.keyboard.press("r")
    assert "The 1 mask you see is not applied" in page.inner_text(".au-effect")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    wait_for_image(page, 2)
    assert page.is_disabled(".au-act .au-mask")  # nothing is suggested, nothing drawn
    page.keyboard.press("x")
    page.keyboard.press("Escape")
    assert page.locator(".au-decision").count() == 0
    page.keyboard.press("j")
    page.wait_for_selector(".au-head:has-text('number 3')")
    assert "no picture" in page.inner_text(".au-stage")
    page.keyboard.press("x")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.wait_for_selector(".au-notice:has-text('Number 3 is rejected')")
    (released,), (rejected,) = (stub_intake.read_received(stub, verb) for verb in ("release", "reject"))
    assert released["body"] == {"reason": "The text found is technical", "regions": []}
    assert rejected["body"] == {"reason": "Shows who the patient is and cannot be masked"}
    wait_for_image(page, 2)


@pytest.mark.browser
def test_only_what_is_possible_is_offered(open_page: Any, state: Any, stub: Path) -> None:
    flagged = make_entry(
        2, id="study-2.25.5", state="flagged", reason="A face could be drawn from it.", words=[], regions=[]
    )
    state(desk=[make_entry(1, state="conflict"), flagged])
    page = open_page()
    wait_for_image(page, 1)
    assert page.locator(".au-act button").all_inner_texts() == ["Reject"]
    drag(page, (300, 300), (400, 340))
    assert (
        page.locator(".au-masks rect.au-mask").count() == 1
    )  # the suggested one; nothing is drawn where nothing helps
    page.keyboard.press("r")
    assert page.locator(".au-decision").count() == 0

    page.keyboard.press("j")
    page.wait_for_selector(".au-head:has-text('study 2.25.5')")
    assert page.locator(".au-act button").all_inner_texts() == ["Release as it is"]
    page.keyboard.press("r")
    assert "the flag is taken off" in page.inner_text(".au-effect")


@pytest.mark.browser
def test_what_somebody_else_decided_is_said_and_masks_survive_a_look_elsewhere(open_page: Any, state: Any) -> None:
    page = open_page()
    wait_for_image(page, 1)
    drag(page, (300, 300), (400, 340))
    page.keyboard.press("j")
    wait_for_image(page, 2)
    page.keyboard.press("k")
    wait_for_image(page, 1)
    assert page.locator(".au-masks rect.au-mask").count() == 2

    status = make_state()["status"] | {"changed_at": "2026-11-21T09:00:00+00:00"}
    state(desk=make_state()["desk"][1:], status=status)
    page.wait_for_selector(".au-notice:has-text('Number 1 was decided by somebody else')")
    wait_for_image(page, 2)


@pytest.mark.browser
def test_text_from_strangers_stays_text(open_page: Any, state: Any) -> None:
    entry = make_entry(1, reason=HOSTILE, words=[HOSTILE], site=HOSTILE, Modality=HOSTILE, SOPClass=HOSTILE)
    status = make_state()["status"]
    status |= {"sites": {HOSTILE: {"stored": 1}}, "profile": HOSTILE}
    certificate = make_state()["certificates"][0] | {"site": HOSTILE, "verdict": HOSTILE, "StudyInstanceUID": HOSTILE}
    state(desk=[entry], status=status, certificates=[certificate])
    page = open_page()
    wait_for_image(page, 1)
    assert HOSTILE in page.inner_text(".au-why")
    assert HOSTILE in page.inner_text(".au-words")
    page.click("[data-view=certificates]")
    page.click(".au-row")
    assert HOSTILE in page.inner_text(".au-head")
    assert page.evaluate("window.broken") is None


@pytest.mark.browser
def test_a_clear_desk_says_so(open_page: Any, state: Any) -> None:
    state(desk=[], certificates=[], status=make_state()["status"] | {"sites": {}, "pending": 0})
    page = open_page()
    page.wait_for_selector(".au-rows:has-text('Nothing waits for you')")
    assert "Nothing has come in yet" in page.inner_text(".au-counts")


# -- certificates and the vault --------------------------------------------------------------------


@pytest.mark.browser
def test_certificates_are_found_by_their_words_and_shown_without_scripts(open_page: Any, state: Any) -> None:
    page = open_page()
    page.click("[data-view=certificates]")
    page.wait_for_selector(f".au-row:has-text('{STUDY}')")
    assert page.locator(".au-row").count() == 2
    page.fill(".au-searched input", "north nothing")
    assert page.locator(".au-row").count() == 1
    page.click(".au-row")
    assert page.frame_locator("iframe.au-paper").locator("h1").inner_text() == f"Certificate of {STUDY}"
    assert page.get_attribute(".au-act a", "href") == f"/services/intake/certificates/{STUDY}/page"


@pytest.mark.browser
def test_a_second_steward_approves_and_nobody_approves_their_own(open_page: Any, state: Any, stub: Path) -> None:
    request = {"id": 7, "pseudonym": "AUR-1", "reason": "Incidental finding", "state": "asked", "approved_by": None}
    request |= {"asked_at": "2026-11-21T08:00:00Z", "expires_at": "2026-11-22T08:00:00Z"}
    state(requests=[request | {"asked_by": "stella"}, request | {"asked_by": "stefan", "id": 8, "pseudonym": "AUR-2"}])
    page = open_page()
    page.wait_for_selector("[data-view=requests][data-count='1']")
    page.click("[data-view=requests]")
    page.click(".au-row:has-text('AUR-1')")
    assert "cannot approve your own" in page.inner_text(".au-main")
    page.click(".au-row:has-text('AUR-2')")
    page.click("button:has-text('Approve')")
    page.wait_for_selector(".au-notice:has-text('stefan may open it now')")
    assert stub_intake.read_received(stub, "approve") == [{"kind": "approve", "person": "stella", "number": 8}]


@pytest.mark.browser
def test_a_house_without_a_vault_shows_no_such_view(open_page: Any, state: Any) -> None:
    page = open_page()
    wait_for_image(page, 1)
    assert not page.is_visible("[data-view=requests]")
