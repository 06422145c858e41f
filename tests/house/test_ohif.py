"""OHIF in a real browser, through hub and proxy: what people see, whom it asks, and who is let in."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page
from sqlalchemy import select

from aurelius_catalog.access.person import Person
from aurelius_catalog.catalog import Catalog
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.schema import audit_events
from aurelius_catalog.objects import StructuredReport
from aurelius_catalog.viewing.ohif_link import link_to_ohif
from support.chromium import wait_for_drawing
from support.ohif_house import READER, READER_GROUPS, OhifHouse, temp_ohif

FOLDER = "/services/catalog/ohif/"
#: The patient of the slide that is no DICOM file.
SVS = "slide-CMU-1-Small-Region.svs"
#: What "Export" and "DICOM SEG" in the panel of segmentations do; the person then confirms.
SAVE = """() => {
  const [{ segmentationId }] = services.segmentationService.getSegmentations();
  commandsManager.runCommand("storeSegmentation", { segmentationId }).then(() => { window.saved = true; });
}"""

#: What was measured: the tool, and what the viewer says of it.
MEASURED = """services.measurementService.getMeasurements()
  .map(each => [each.toolName, ...each.displayText.primary])"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Iterator[OhifHouse]:
    with temp_ohif(tmp_path_factory.mktemp("ohif"), data) as running:
        yield running


@pytest.fixture(scope="module")
def viewer(browser, house: OhifHouse) -> Iterator[Viewer]:  # type: ignore[no-untyped-def]
    """Log in on the way to a link, as a person does who got it from a colleague."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    viewer = Viewer(house.hub.url, context)
    link = link_to_ohif(house.find(SeriesInstanceUID=house.cohort.north_chest))
    page = context.new_page()
    page.goto(house.hub.url + link)
    page.fill("input[name=username]", READER)
    page.fill("input[name=password]", "x")
    page.press("input[name=password]", "Enter")
    page.wait_for_url(house.hub.url + link)
    page.get_by_role("button", name="Confirm and hide").click(timeout=60_000)
    page.close()
    yield viewer
    context.close()


@pytest.fixture
def open_viewer(viewer: Viewer) -> Iterator[Callable[[str], Page]]:
    """Open pages of the viewer; at the end the test fails on a request that left the house, and on any error."""
    yield viewer.open
    for page in viewer.context.pages:
        page.close()
    foreign = {url for url in viewer.asked if not url.startswith((viewer.url, viewer.url.replace("http", "ws", 1)))}
    assert not foreign
    assert not viewer.wrong
    assert any("/dicomweb/" in url for url in viewer.asked)


class Viewer:
    """A browser of a person who is logged in, and everything it asked for."""

    def __init__(self, url: str, context: BrowserContext) -> None:
        self.url, self.context = f"{url}/", context
        self.asked: list[str] = []
        self.wrong: list[str] = []
        context.on("request", lambda request: self._note(request.url))
        context.on("response", lambda answer: self.wrong.append(answer.url) if answer.status >= 400 else None)
        context.on("weberror", lambda error: self.wrong.append(str(error.error)))
        context.on("console", lambda line: self._judge(line.text) if line.type == "error" else None)

    def open(self, path: str) -> Page:
        """Open a page of the house."""
        page = self.context.new_page()
        page.on("websocket", lambda socket: self._note(socket.url))
        page.goto(self.url + path.removeprefix("/"))
        return page

    def _judge(self, text: str) -> None:
        # Cornerstone says so where a segmentation makes a volume of a stack that is being drawn: a matter of speed.
        if not text.startswith("The stack viewport has been destroyed"):
            self.wrong.append(text)

    def _note(self, url: str) -> None:
        if not url.startswith(("blob:", "data:")):
            self.asked.append(url)


def measure_colour(page: Page, selector: str) -> float:
    """Return the share of what a selector names that is neither black, nor white, nor grey."""
    # Of the page, not of the element: the viewer replaces its canvas while a segmentation comes in.
    box = page.locator(selector).first.bounding_box()
    picture = np.asarray(Image.open(BytesIO(page.screenshot(clip=box))).convert("RGB"), dtype=int)  # type: ignore[arg-type]
    return float(np.mean(np.ptp(picture, axis=2) > 40))


def draw(page: Page, tool: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw with a tool of the viewer, between two places given as shares of the picture."""
    page.evaluate("toolName => commandsManager.runCommand('setToolActive', { toolName })", tool)
    box = page.locator(".cornerstone-canvas").first.bounding_box()
    assert box
    (left, top), (right, bottom) = (
        (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)
    )
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move((left + right) / 2, (top + bottom) / 2, steps=4)
    page.mouse.move(right, bottom, steps=4)
    page.mouse.up()


def list_labels(house: OhifHouse) -> list[str]:
    """Return who labelled the brain, in the order of the versions."""
    store = house.cohort.open_as(Person.service("test"))
    return [each.author for each in store.list_annotations(house.cohort.north_brain)]


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_a_ct_opens_from_the_list(open_viewer: Callable[[str], Page], house: OhifHouse) -> None:
    page = open_viewer("/services/catalog/")
    page.wait_for_selector("text=Study List", timeout=60_000)
    chest = house.find(SeriesInstanceUID=house.cohort.north_chest)
    listed = page.locator("tr", has_text="02-Jan-2020")
    listed.first.wait_for(timeout=30_000)
    patients = {row.split("\t")[0].strip() for row in listed.all_inner_texts()}
    assert patients == {"north-ct-chest-1", "north-mr-brain-3", SVS}

    page.locator("tr", has_text=chest.PatientID).click()
    page.wait_for_selector("img[src^='blob:']", timeout=30_000)
    page.locator("tr", has_text=chest.PatientID).dblclick()
    page.wait_for_url(f"**/viewer?StudyInstanceUIDs={chest.StudyInstanceUID}**")
    page.wait_for_selector(".cornerstone-canvas", timeout=60_000)
    wait_for_drawing(page, ".cornerstone-canvas")


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_a_segmentation_comes_up_over_its_images_and_is_saved(
    open_viewer: Callable[[str], Page], house: OhifHouse
) -> None:
    segmentation = house.find(Modality="SEG")
    page = open_viewer(link_to_ohif(segmentation))
    page.wait_for_selector(".cornerstone-canvas", timeout=60_000)
    until = time.monotonic() + 60
    while (share := measure_colour(page, ".cornerstone-canvas")) < 0.01 and time.monotonic() < until:
        page.wait_for_timeout(200)
    assert share > 0.01
    wait_for_drawing(page, ".cornerstone-canvas")

    # What is saved there is one more version of the label, by the person who saved it.
    assert len(list_labels(house)) == 1
    page.wait_for_function("services.segmentationService.getSegmentations()[0]?.segments?.[1]", timeout=60_000)
    page.evaluate(SAVE)
    page.get_by_role("button", name="Save", exact=True).click(timeout=60_000)
    page.wait_for_function("window.saved", timeout=60_000)
    assert list_labels(house) == [READER, READER]


def read_settled(page: Page) -> Any:
    """Return the measurements once they stand still: the viewer goes on with a shape after the mouse let go of it."""
    seen: list[Any] = [None, page.evaluate(MEASURED)]
    deadline = time.monotonic() + 30
    while seen[-2] != seen[-1]:
        assert time.monotonic() < deadline, seen[-1]
        page.wait_for_timeout(500)
        seen.append(page.evaluate(MEASURED))
    return seen[-1]


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_measurements_are_saved_and_shown_again(open_viewer: Callable[[str], Page], house: OhifHouse) -> None:
    chest = house.find(SeriesInstanceUID=house.cohort.north_chest)
    page = open_viewer(link_to_ohif(chest))
    page.wait_for_selector(".cornerstone-canvas", timeout=60_000)
    wait_for_drawing(page, ".cornerstone-canvas")
    draw(page, "Length", (0.40, 0.45), (0.50, 0.50))
    page.get_by_role("button", name="Yes", exact=True).click(timeout=30_000)  # follow this series' measurements
    draw(page, "EllipticalROI", (0.40, 0.60), (0.44, 0.70))
    page.wait_for_function(f"{MEASURED}.length == 2 && {MEASURED}[1].length > 2", timeout=30_000)
    drawn = read_settled(page)

    page.locator("[data-cy=trackedMeasurements-btn]").click()
    page.get_by_role("button", name="Create SR").click()
    with page.expect_response(lambda answer: answer.request.method == "POST", timeout=60_000) as stored:
        page.get_by_role("button", name="Save", exact=True).click()
    assert stored.value.status == 200, stored.value.text()

    record = house.find(Modality="SR")
    assert record.StudyInstanceUID == chest.StudyInstanceUID
    report = Catalog(house.cohort.open_as(Person.of(READER, READER_GROUPS))).series(record.SeriesInstanceUID).open()
    assert isinstance(report, StructuredReport)
    assert f"Person Observer Name: {READER}^" in str(report)
    table = report.measurements
    length = table[table["name"] == "Length"].iloc[0]
    assert (f"{length['value']:.1f} {length['unit']}", "Length") == (drawn[0][1], drawn[0][0])
    area = table[table["name"] == "Area"].iloc[0]
    assert (f"{area['value']:.0f} mm²", area["unit"]) == (drawn[1][1], "mm2")
    with open_engine(house.cohort.settings).begin() as connection:
        events = connection.execute(select(audit_events.c.person, audit_events.c.action, audit_events.c.object)).all()
    assert (READER, "store result", str(report.dataset.SOPInstanceUID)) in [tuple(event) for event in events]

    page = open_viewer(link_to_ohif(chest))
    page.wait_for_selector(".cornerstone-canvas", timeout=60_000)
    page.locator("[data-cy=study-browser-thumbnail-no-image]", has_text="SR").dblclick(timeout=60_000)
    page.wait_for_function(f"{MEASURED}.length == 2 && {MEASURED}[1].length > 2", timeout=30_000)
    assert read_settled(page) == drawn


@pytest.mark.browser
@pytest.mark.timeout(300)
@pytest.mark.parametrize("patient", ["slide", SVS], ids=["dicom", "svs"])
def test_a_slide_opens(open_viewer: Callable[[str], Page], house: OhifHouse, patient: str) -> None:
    page = open_viewer(link_to_ohif(house.find(PatientID=patient)))
    page.wait_for_selector(".DicomMicroscopyViewer canvas", timeout=60_000)
    wait_for_drawing(page, ".DicomMicroscopyViewer canvas")
    assert measure_colour(page, ".DicomMicroscopyViewer canvas") > 0.1


def test_nobody_is_let_in_without_a_login(house: OhifHouse) -> None:
    bundle = re.search(r"app\.bundle\.\w+\.js", read_page(house))
    assert bundle
    for name in ("", "viewer", "app-config.js", bundle[0]):
        answer = httpx.get(f"{house.hub.url}{FOLDER}{name}")
        assert (answer.status_code, "OHIF" in answer.text) == (401, False)
    page = httpx.get(f"{house.hub.url}{FOLDER}viewer?StudyInstanceUIDs=1.2", headers={"Accept": "text/html"})
    assert page.status_code == 302
    assert "/hub/api/oauth2/authorize" in page.headers["location"]
    with house.hub.log_in("gil") as student:  # a login alone is not enough
        assert student.get(FOLDER).status_code == 403


@pytest.mark.parametrize(
    ("person", "asked", "found"),
    [
        ("rhea", {}, {"north-ct-chest-1", "south-ct-chest-2"}),  # of project lung, of all sites
        (READER, {}, {"north-ct-chest-1", "north-mr-brain-3", "slide", SVS}),
        (READER, {"00100020": "*brain*"}, {"north-mr-brain-3"}),
        (READER, {"ModalitiesInStudy": "CT,SM"}, {"north-ct-chest-1", "slide", SVS}),
        (READER, {"StudyDate": "20200101-20200103"}, {"north-ct-chest-1", "north-mr-brain-3", SVS}),
        (READER, {"StudyInstanceUID": "{chest}\\{brain}"}, {"north-ct-chest-1", "north-mr-brain-3"}),
    ],
)
def test_the_list_finds_what_the_person_may_see(
    house: OhifHouse, person: str, asked: dict[str, str], found: set[str]
) -> None:
    chest, brain = (
        house.find(SeriesInstanceUID=uid).StudyInstanceUID
        for uid in (house.cohort.north_chest, house.cohort.north_brain)
    )
    query = {key: value.format(chest=chest, brain=brain) for key, value in asked.items()}
    paging = {"limit": "101", "offset": "0", "fuzzymatching": "true", "includefield": "00081030,00080060"}
    headers = {"Authorization": f"token {house.hub.make_token(person)}", "Accept": "application/dicom+json"}
    answer = httpx.get(f"{house.hub.url}/services/catalog/dicomweb/studies", params=paging | query, headers=headers)
    assert {each["00100020"]["Value"][0] for each in answer.json()} == found


def test_files_come_compressed_with_their_types_and_are_kept(house: OhifHouse) -> None:
    page = read_page(house)
    assert house.hub.url not in page
    with house.hub.log_in(READER) as session:
        config = session.get(f"{FOLDER}app-config.js")
        assert (config.headers["content-type"], config.headers["cache-control"]) == (
            "text/javascript; charset=utf-8",
            "private, no-cache",
        )
        assert "://" not in config.text
        bundle = re.search(r"app\.bundle\.\w+\.js", page)
        assert bundle
        script = session.get(FOLDER + bundle[0])
        # What is fetched early is what the first script asks for: a newer OHIF may be parted in another way.
        early = re.findall(r'rel="preload" as="script" href="\S+/(\d+)\.bundle\.\w+\.js"', page)
        asked = re.search(r"Promise\.all\(/\* import\(\) \*/ \[(.*?)\]", script.text)
        assert asked
        assert (len(early), set(early) - set(re.findall(r"\d+", asked[1]))) == (6, set())
        assert script.headers["content-encoding"] == "gzip"
        assert "immutable" in script.headers["cache-control"]
        plain = session.get(FOLDER + bundle[0], headers={"Accept-Encoding": "identity"})
        assert ("content-encoding" in plain.headers, plain.content == script.content) == (False, True)

        style = session.get(f"{FOLDER}app.bundle.css")
        assert style.headers["content-type"] == "text/css; charset=utf-8"
        again = session.get(f"{FOLDER}app.bundle.css", headers={"If-None-Match": style.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        [font] = set(re.findall(r"url\((\w+\.woff2)\)", style.text))
        assert session.get(FOLDER + font).headers["content-type"] == "font/woff2"
        [decoder] = set(re.findall(r'\+ "(34\w+\.wasm)"', script.text))
        assert session.get(FOLDER + decoder).headers["content-type"] == "application/wasm"
        assert "default-src 'self'" in session.get(FOLDER).headers["content-security-policy"]


@pytest.mark.parametrize("name", ["no-such.js", "..%2f..%2fapp.py", "LICENSE.", "a%00.js", "app.js.gz", "x." * 4000])
def test_other_names_are_not_found(house: OhifHouse, name: str) -> None:
    headers = {"Authorization": f"token {house.hub.make_token(READER)}"}
    answer = httpx.get(f"{house.hub.url}{FOLDER}{name}", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (404, "NotFound")


def read_page(house: OhifHouse) -> str:
    with house.hub.log_in(READER) as session:
        return session.get(FOLDER).text
