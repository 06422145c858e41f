"""The report service behind a real hub: the reviewer's way from the form to the verdict, and the refusals."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest

from aurelius_hub.ports import find_free_ports
from support.servers_catalog import Hub, managed_service, temp_hub, wait_until
from support.servers_reports import PEOPLE, RUN_S, House, draw_truth, make_house, service_environment

REPORT = "segmentation-volumes"
PREFIX = "/services/reports"


@dataclass(frozen=True)
class Site:
    """A house, its hub with the report service, and tokens for it."""

    house: House
    hub: Hub
    tokens: dict[str, str]

    def call(self, name: str, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[name]}"}
        return httpx.request(method, f"{self.hub.url}{PREFIX}/api/{path}", headers=headers, timeout=60, **options)

    def finish(self, name: str, answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == 202, answer.text
        run_id = answer.json()["id"]
        wait_until(lambda: self.call(name, "GET", f"runs/{run_id}").json()["state"] == "done", f"run {run_id}", RUN_S)
        view: dict[str, Any] = self.call(name, "GET", f"runs/{run_id}").json()
        return view


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    house = make_house(tmp_path_factory.mktemp("house"))
    command = [sys.executable, "-m", "aurelius_extensions.reports"]
    service = managed_service("reports", command, service_environment(house), find_free_ports(1)[0])
    with temp_hub(tmp_path_factory.mktemp("hub"), [service], people=PEOPLE) as hub:
        yield Site(house, hub, {name: hub.make_token(name, "reports") for name in PEOPLE if name != "gil"})


@pytest.fixture(scope="module")
def first(site: Site) -> str:
    view = site.finish("vera", site.call("vera", "POST", "runs", json={"report": REPORT}))
    assert view["outcome"] == "done", view
    run_id: str = view["id"]
    return run_id


def test_reports_and_their_parameters_are_listed(site: Site) -> None:
    (report,) = site.call("vera", "GET", "reports").json()
    assert report["name"] == REPORT
    assert {each["name"]: each["default"] for each in report["parameters"]} == {
        "dataset": "lung-demo",
        "structure": "nodule",
    }


def test_reviewer_in_a_browser_reruns_to_match_and_then_to_drift(site: Site, first: str) -> None:
    own = {"Origin": site.hub.url, "Sec-Fetch-Site": "same-origin"}
    with site.hub.log_in("vera") as browser:
        home = browser.get(f"{PREFIX}/")
        assert 'name="parameter-dataset" value="lung-demo"' in home.text
        assert f"{PREFIX}/runs/{first}" in home.text

        page = browser.post(f"{PREFIX}/runs/{first}/rerun", headers=own)
        assert page.status_code == 200
        assert 'http-equiv="refresh"' in page.text
        wait_until(lambda: "refresh" not in browser.get(page.url).text, "rerun", RUN_S)
        done = browser.get(page.url)
        assert '<div class="word">MATCH</div>' in done.text
        assert "script-src" not in done.headers["content-security-policy"]
        assert "default-src 'none'" in done.headers["content-security-policy"]
        (framed,) = re.findall(r'<iframe [^>]*sandbox [^>]*src="([^"]+)"', done.text)
        report = browser.get(framed)
        assert "Median volume" in report.text
        assert report.headers["content-security-policy"].startswith("sandbox;")

        case = site.house.cohort.south_chest
        smaller = draw_truth(2)
        smaller.flat[np.flatnonzero(smaller)[:3]] = 0
        site.house.add_label(case, smaller)
        page = browser.post(f"{PREFIX}/runs/{first}/rerun", headers=own)
        wait_until(lambda: "refresh" not in browser.get(page.url).text, "rerun", RUN_S)
        text = browser.get(page.url).text
        assert '<div class="word">DRIFT</div>' in text
        ml = 3.0 * 3.5 * 3.5 / 1000
        for told in ("south-ct-chest-2", case, f"{draw_truth(2).sum() * ml:.6g}", f"{smaller.sum() * ml:.6g}"):
            assert told in text


def test_unknown_dataset_is_a_verdict_and_not_a_failure(site: Site) -> None:
    ask = {"report": REPORT, "parameters": {"dataset": "no-such-set"}}
    view = site.finish("vera", site.call("vera", "POST", "runs", json=ask))
    assert view["verdict"]["kind"] == "CANNOT RUN"
    assert "no-such-set" in view["verdict"]["reason"]


def test_a_bad_ask_is_refused_with_a_reason(site: Site) -> None:
    unknown = site.call("vera", "POST", "runs", json={"report": REPORT, "parameters": {"datset": "x"}})
    assert unknown.status_code == 400
    assert "did you mean dataset" in unknown.json()["detail"]
    assert site.call("vera", "POST", "runs", json={"report": "absent"}).status_code == 404
    assert site.call("vera", "POST", "runs", json={"report": REPORT, "parameters": {"dataset": []}}).status_code == 422


def test_people_without_sight_or_right_are_refused(site: Site, first: str) -> None:
    assert first not in [view["id"] for view in site.call("bram", "GET", "runs").json()]
    for path in (f"runs/{first}", f"runs/{first}/files", f"runs/{first}/files/results.json"):
        answer = site.call("bram", "GET", path)
        assert answer.status_code == 403
        assert site.house.cohort.north_chest not in answer.text
    assert site.call("bram", "POST", f"runs/{first}/rerun").status_code == 403
    denied = site.call("nora", "POST", "runs", json={"report": REPORT})
    assert denied.status_code == 403
    assert "reviewer" in denied.json()["detail"]
    assert httpx.get(f"{site.hub.url}{PREFIX}/api/runs/{first}").status_code == 401
    with site.hub.log_in("bram") as browser:
        page = browser.get(f"{PREFIX}/runs/{first}")
        assert (page.status_code, "Not for you" in page.text) == (403, True)


def test_a_foreign_page_cannot_start_a_run(site: Site, first: str) -> None:
    with site.hub.log_in("vera") as browser:
        browser.get(f"{PREFIX}/")
        before = len(site.call("vera", "GET", "runs").json())
        for headers in ({"Sec-Fetch-Site": "cross-site", "Origin": "http://elsewhere.example"}, {}):
            for path in (f"runs/{first}/rerun", "runs", "api/runs"):
                assert browser.post(f"{PREFIX}/{path}", headers=headers, data={"report": REPORT}).status_code == 403
        assert len(site.call("vera", "GET", "runs").json()) == before


def test_a_tampered_run_is_told_on_its_page(site: Site, first: str) -> None:
    results = site.house.settings.runs / first / "results.json"
    sealed = results.read_text("utf-8")
    for path in (results.parent, results):
        path.chmod(0o750)
    results.write_text(sealed.replace("volume of nodule", "volume of module"))
    try:
        with site.hub.log_in("vera") as browser:
            page = browser.get(f"{PREFIX}/runs/{first}")
        assert '<div class="word">TAMPERED</div>' in page.text
        assert "results.json" in page.text
        assert "volume of module" not in page.text
        assert site.call("vera", "GET", f"runs/{first}/files/results.json").status_code == 409
        assert site.call("vera", "POST", f"runs/{first}/rerun").status_code == 409
    finally:
        results.write_text(sealed)
