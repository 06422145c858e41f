"""A slide looked at in a real notebook and on a real Voila page, in Chromium, with no request to anywhere else."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aurelius_catalog.access.person import Person
from aurelius_catalog.dicom.segments import COLOURS
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.settings import CatalogSettings
from aurelius_catalog.slide import Slide
from aurelius_catalog.viewing.slide_viewer import SlideViewer
from aurelius_hub.ports import find_free_ports
from support.chromium import wait_for_drawing
from support.objects_house import admit_objects
from support.servers_catalog import Hub, managed_service, temp_hub, wait_until
from support.slide_files import make_pixels
from support.slide_house import add_dicom_slide, add_slide, list_level_datasets, segment_slide, write_dicom_slide

PEOPLE = {"paul": ["role-pathologist", "project-path"], "rhea": ["role-researcher", "project-lung"]}
#: Icons that Voila's own page asks for; the house's dashboards have a page without them.
VOILA_ICONS = "https://cdn.jsdelivr.net/npm/@fortawesome/"
#: Size of the slide.
WIDTH_PX, HEIGHT_PX = 2220, 2967
#: Kernels import for long on a busy machine.
PATIENCE_MS = 120_000
CELL = """
from aurelius_catalog import open_catalog
slide = open_catalog().series("{uid}").slide()
coarse = slide.to_xarray()[::8, ::8, 0]
guess = (coarse * 0).assign_attrs(labels=["", "stroma"]).rename("model")
guess[20:80, 180:260] = 2
viewer = slide.view([*slide.labels(), guess], regions={{"tumour": [[300, 200], [700, 200], [700, 600]]}})
viewer
"""
#: Where in the slide, as fractions of it, each of these lies.
GLAND, STROMA = (100 / 278, 175 / 371), (220 / 278, 50 / 371)


@dataclass(frozen=True)
class House:
    """A catalog with a real slide, and where it is served."""

    settings: CatalogSettings
    uid: str
    hub: Hub


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Iterator[House]:
    settings = CatalogSettings(home=tmp_path_factory.mktemp("house"))
    uid = add_slide(settings, data / "wsi" / "CMU-1-Small-Region.svs")
    store = LocalStore(settings, Person.of("paul", PEOPLE["paul"]))
    (level,) = list_level_datasets(store, store.get_series(uid))
    drawn = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    drawn[800:2000, 320:1280] = 1
    admit_objects(settings.home, [segment_slide(level, drawn, "BINARY", omit_empty_frames=True)])
    command = [sys.executable, "-m", "aurelius_catalog.service"]
    service = managed_service("catalog", command, {"AURELIUS_HOME": str(settings.home)}, find_free_ports(1)[0])
    with temp_hub(tmp_path_factory.mktemp("hub"), [service], people=PEOPLE) as hub:
        yield House(settings, uid, hub)


@contextmanager
def new_page(browser: Any, address: str, cut: str | None = None) -> Iterator[Any]:
    """Give a page that may ask nobody but ``address``; what begins with ``cut`` never leaves."""
    context = browser.new_context(viewport={"width": 1200, "height": 850})
    page = context.new_page()
    allowed = (address, "data:", "blob:", *([cut] if cut else []))
    if cut:
        page.route(f"{cut}**", lambda route: route.abort())
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    try:
        yield page
        assert not [url for url in asked if not url.startswith(allowed)]
        assert not failures
    finally:
        context.close()


def write_notebook(path: Path, uid: str) -> None:
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": CELL.format(uid=uid), "outputs": []}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [{**cell, "execution_count": None}]
    path.write_text(
        json.dumps({"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})
    )


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def check_viewer(page: Any) -> None:
    """Look at the slide, zoom in, and see that everything is there."""
    wait_for_drawing(page, ".aurelius-slide-canvas")
    scale = page.locator(".aurelius-slide-scale")
    wait_until(lambda: "µm" in scale.inner_text(), "the scale bar")
    assert scale.inner_text() == "200 µm · 3.2×"
    # 200 µm at 0.499 µm per pixel, of 2967 pixels on 480.
    assert page.locator(".aurelius-slide-bar").bounding_box()["width"] == pytest.approx(200 / 0.499 * 480 / 2967, abs=5)
    outline = page.locator(".aurelius-slide-regions polygon")
    assert outline.get_attribute("points").split(" ")[0] == f"{300 / 0.499},{200 / 0.499}".rstrip("0")
    check_legend(page, outline)
    before = outline.bounding_box()["width"]
    assert before == pytest.approx(400 / 0.499 * 480 / 2967, abs=4)
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").click()
    wait_until(lambda: outline.bounding_box()["width"] > 6 * before, "the zoom")
    wait_until(lambda: scale.inner_text() == "50 µm · 26×", "the scale bar of the zoomed slide")
    wait_for_drawing(page, ".aurelius-slide-canvas")
    page.get_by_role("button", name="Whole slide").click()
    wait_until(lambda: outline.bounding_box()["width"] < 1.1 * before, "the whole slide")


def check_legend(page: Any, outline: Any) -> None:
    """See the labels in their colours, and switch them off and on again."""
    legend = page.locator(".aurelius-slide-legend")
    assert legend.locator("label").all_inner_texts() == ["tissue 1", "stroma", "tumour"]
    wait_until(lambda: is_tinted(page, GLAND, COLOURS[0]), "the gland in orange")
    wait_until(lambda: is_tinted(page, STROMA, COLOURS[1]), "the stroma in blue")
    legend.get_by_label("tissue 1").uncheck()
    wait_until(lambda: not is_tinted(page, GLAND, COLOURS[0]), "the gland to vanish")
    wait_until(lambda: is_tinted(page, STROMA, COLOURS[1]), "the stroma to stay")
    legend.get_by_label("tumour").uncheck()
    wait_until(lambda: not outline.count(), "the outline to vanish")
    for name in ("tissue 1", "tumour"):
        legend.get_by_label(name).check()
    wait_until(lambda: is_tinted(page, GLAND, COLOURS[0]), "the gland again")


def is_tinted(page: Any, place: tuple[float, float], colour: tuple[int, int, int]) -> bool:
    """Whether a place of the whole slide is shown under a colour, half transparent: its hue leans to it."""
    shot = Image.open(BytesIO(page.locator(".aurelius-slide-canvas").screenshot())).convert("RGB")
    pixels = np.asarray(shot).astype(float)
    height, width = pixels.shape[:2]
    shown = height * WIDTH_PX / HEIGHT_PX  # the slide is higher than wide, and lies in the middle
    x, y = width / 2 + (place[0] - 0.5) * shown, place[1] * height
    seen = pixels[round(y) - 4 : round(y) + 4, round(x) - 4 : round(x) + 4].mean(axis=(0, 1))
    wanted = np.array(colour, float)
    return bool(np.corrcoef(seen - seen.mean(), wanted - wanted.mean())[0, 1] > 0.9 and np.ptp(seen) > 50)


@pytest.mark.browser
def test_a_slide_is_looked_at_in_a_notebook(browser: Any, house: House) -> None:
    write_notebook(house.hub.home / "slide.ipynb", house.uid)
    with new_page(browser, house.hub.url) as page:
        page.goto(f"{house.hub.url}/hub/login")
        page.fill("input[name=username]", "paul")
        page.fill("input[name=password]", "x")
        page.click("[type=submit]")
        page.wait_for_url("**/hub/**", wait_until="commit")
        house.hub.api("POST", "users/paul/server")
        wait_until(
            lambda: house.hub.api("GET", "users/paul").json()["servers"].get("", {}).get("ready"),
            "the notebook server",
            120,
        )
        page.goto(f"{house.hub.url}/user/paul/doc/tree/slide.ipynb", timeout=PATIENCE_MS, wait_until="commit")
        # The indicator above the notebook shows an idle kernel before there is one, and such a cell is not run.
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=PATIENCE_MS)
        page.click(".jp-CodeCell .cm-content")
        page.keyboard.press("Shift+Enter")
        page.wait_for_selector(".aurelius-slide", timeout=PATIENCE_MS)
        check_viewer(page)
        # The kernel knows what people look at.
        page.click(".jp-CodeCell:last-of-type .cm-content")
        page.keyboard.type("print('seen', round(viewer.visible[3]), slide.read_region(*viewer.visible).dims)")
        page.keyboard.press("Shift+Enter")
        page.get_by_text("seen 1481 ('y', 'x', 'c')").wait_for(timeout=PATIENCE_MS)


@pytest.mark.browser
def test_a_slide_is_looked_at_on_a_voila_page(browser: Any, house: House, tmp_path: Path) -> None:
    write_notebook(tmp_path / "slide.ipynb", house.uid)
    port = find_free_ports(1)[0]
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "AURELIUS_CATALOG_URL": f"{house.hub.url}/services/catalog",
        "JUPYTERHUB_API_TOKEN": house.hub.make_token("paul"),
    }
    command = [sys.executable, "-m", "voila", "slide.ipynb", "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"]
    with (tmp_path / "voila.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: listens(port), "Voila", process=process)
        with new_page(browser, address, VOILA_ICONS) as page:
            page.goto(address, timeout=PATIENCE_MS, wait_until="commit")
            page.wait_for_selector(".aurelius-slide", timeout=PATIENCE_MS)
            check_viewer(page)
    finally:
        process.terminate()
        process.wait(20)


# -- what the kernel does with what a page says ----------------------------------------------------


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    settings = CatalogSettings(home=tmp_path_factory.mktemp("small"))
    paths = write_dicom_slide(tmp_path_factory.mktemp("made") / "full", make_pixels(500, 300, 42))
    uid = add_dicom_slide(settings, paths)
    return Slide(store := LocalStore(settings, Person.of("paul", PEOPLE["paul"])), store.describe_slide(uid))


@pytest.fixture
def heard(slide: Slide, monkeypatch: pytest.MonkeyPatch) -> tuple[SlideViewer, list[Any]]:
    sent: list[Any] = []
    monkeypatch.setattr(SlideViewer, "send", lambda self, content, buffers=None: sent.append((content, buffers)))
    return slide.view(), sent


def say(viewer: SlideViewer, content: Any) -> None:
    viewer._handle_custom_msg(content, [])


def test_a_tile_is_sent_to_who_asked(heard: tuple[SlideViewer, list[Any]], slide: Slide) -> None:
    viewer, sent = heard
    say(viewer, {"kind": "tile", "id": "a-0", "level": 9, "column": 0, "row": 0})
    wait_until(lambda: sent, "a tile")
    content, buffers = sent[0]
    assert content == {"kind": "tile", "id": "a-0"}
    assert buffers == [slide._store.read_slide_tile(slide.record.SeriesInstanceUID, 9, 0, 0)]


@pytest.mark.parametrize(
    "content",
    [
        *(None, 5, [], {}, {"kind": "tile"}, {"kind": "tile", "id": 5}, {"kind": "drop", "id": "x"}, {"kind": "run"}),
        {"kind": "tile", "id": "a" * 64, "level": 9, "column": 0, "row": 0},
        {"kind": "tile", "id": "a", "level": "9", "column": 0, "row": 0},
    ],
)
def test_messages_that_make_no_sense_do_nothing(heard: tuple[SlideViewer, list[Any]], content: Any) -> None:
    viewer, sent = heard
    say(viewer, content)
    say(viewer, {"kind": "tile", "id": "after", "level": 0, "column": 0, "row": 0})
    wait_until(lambda: sent, "the tile after it")
    assert [each[0]["id"] for each in sent] == ["after"]


def test_a_tile_that_cannot_be_had_is_said(heard: tuple[SlideViewer, list[Any]]) -> None:
    viewer, sent = heard
    say(viewer, {"kind": "tile", "id": "a", "level": 99, "column": 10**12, "row": -1})
    wait_until(lambda: sent, "an answer")
    assert sent[0][0] == {"kind": "tile", "id": "a", "error": "This slide has no such tile."}


def test_outlines_are_checked(slide: Slide) -> None:
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]])
    viewer = slide.view(regions={"one": square, "many": [square, square[:3]]})
    assert [each["label"] for each in viewer.regions] == ["one", "many", "many"]
    for wrong in ([[1, 2]], [[1, 2, 3]] * 4, [[1, float("nan")]] * 3):
        with pytest.raises(InvalidRequest, match="three or more points"):
            slide.view(regions={"wrong": wrong})
