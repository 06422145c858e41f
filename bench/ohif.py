"""How long a person looks at an empty page before OHIF shows the first image of a study, against OHIF on Orthanc."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from aurelius_catalog.access.person import Person
from aurelius_catalog.viewing.web_assets import FOLDER
from bench.result import Result, compare
from support.chromium import launch_chromium
from support.ohif_house import READER, OhifHouse, temp_ohif
from support.servers_orthanc import LOGIN, temp_orthanc

SAMPLES = 5
#: Where the peer's Orthanc serves OHIF: the same files, told another place of DICOMweb.
PEER_PAGE = """<!doctype html><html><head><meta charset="utf-8"><script>
history.replaceState(null, "", "/ohif/viewer" + location.search);
window.PUBLIC_URL = "/ohif/";
window.browserImportFunction = name => import(name);
window.config = {
  extensions: [], modes: [], showStudyList: true, defaultDataSourceName: "orthanc",
  dataSources: [{
    namespace: "@ohif/extension-default.dataSourcesModule.dicomweb", sourceName: "orthanc",
    configuration: {
      friendlyName: "Orthanc", name: "orthanc", qidoRoot: location.origin + "/dicom-web",
      wadoRoot: location.origin + "/dicom-web", wadoUriRoot: location.origin + "/wado", qidoSupportsIncludeField: false,
      imageRendering: "wadors", thumbnailRendering: "wadors", enableStudyLazyLoad: true, supportsFuzzyMatching: false,
      supportsWildcard: true, singlepart: "bulkdata,video,pdf", omitQuotationForMultipartRequest: true,
    },
  }],
};
</script><script defer src="/ohif/{bundle}"></script><link rel="stylesheet" href="/ohif/app.bundle.css"></head>
<body><div id="react-portal"></div><div id="root"></div></body></html>
"""
#: Asked once a frame: whether a tenth of the canvas is brighter than the background.
DRAWN = """() => {
  const canvas = document.querySelector(".cornerstone-canvas");
  if (!canvas || !canvas.width || !canvas.height) return false;
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let bright = 0;
  for (let i = 0; i < pixels.length; i += 400) bright += pixels[i] > 24;
  return bright > pixels.length / 400 / 10;
}"""


@contextmanager
def peer_ohif(home: Path, house: OhifHouse) -> Iterator[str]:
    """Run Orthanc with the same series and the same OHIF; yields the address of the study in it."""
    site = home / "site"
    shutil.copytree(FOLDER / "@ohif" / "app", site, ignore=shutil.ignore_patterns("*.gz"))
    [bundle] = [file.name for file in site.glob("app.bundle.*.js")]
    (site / "index.html").write_text(PEER_PAGE.replace("{bundle}", bundle))
    store = house.cohort.open_as(Person.service("bench"))
    files = [house.cohort.settings.files / each.path for each in store.list_instances(house.cohort.north_chest)]
    with temp_orthanc(home / "orthanc", {"/ohif": site}) as orthanc:
        orthanc.load(files)
        yield f"{orthanc.url}/ohif/index.html?StudyInstanceUIDs={find_study(house)}"


def find_study(house: OhifHouse) -> str:
    """Return the study that is opened: a CT of a dozen slices."""
    return house.find(SeriesInstanceUID=house.cohort.north_chest).StudyInstanceUID


def open_ours(browser: Browser, house: OhifHouse) -> Any:
    """Return a fresh browser context of a person who has logged in at the hub."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{house.hub.url}/services/catalog/whoami")
    page.fill("input[name=username]", READER)
    page.fill("input[name=password]", "x")
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/whoami")
    page.close()
    return context


def open_peer(browser: Browser) -> Any:
    """Return a fresh browser context that logs in at Orthanc with each request."""
    return browser.new_context(http_credentials={"username": LOGIN[0], "password": LOGIN[1]})


def time_first_image(context: Any, address: str) -> float:
    """Return the seconds from asking for a page until it shows an image."""
    page = context.new_page()
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_function(DRAWN, timeout=120_000)
    seconds = time.perf_counter() - start
    page.close()
    return seconds


def measure_first_image(*, again: bool) -> Result:
    """Time from a link to the first image, the first time in a browser or again with what it has kept."""
    ours: list[float] = []
    peer: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        temp_ohif(Path(folder) / "ours") as house,
        peer_ohif(Path(folder), house) as theirs,
        sync_playwright() as playwright,
    ):
        address = f"{house.hub.url}/services/catalog/ohif/viewer?StudyInstanceUIDs={find_study(house)}"
        browser = launch_chromium(playwright)
        for _ in range(SAMPLES):
            for context, link, times in (
                (open_ours(browser, house), address, ours),
                (open_peer(browser), theirs, peer),
            ):
                if again:
                    time_first_image(context, link)
                times.append(time_first_image(context, link))
                context.close()
        browser.close()
    return compare("ohif_again" if again else "ohif_first_image", ours, peer, "OHIF on Orthanc")


BENCHMARKS: dict[str, Callable[[], Result]] = {
    "ohif_first_image": partial(measure_first_image, again=False),
    "ohif_again": partial(measure_first_image, again=True),
}
