"""Host and login of the services, behind a real hub and its proxy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from aurelius_catalog.hosting import login
from aurelius_catalog.hosting.host import create_service, mount_router, run_service
from aurelius_hub.ports import find_free_ports
from support.probe_service import router
from support.servers_catalog import REPOSITORY, Hub, answers, managed_service, temp_hub, wait_until

PROBE = REPOSITORY / "tests/support/probe_service.py"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    service = managed_service("probe", [sys.executable, str(PROBE)], {}, find_free_ports(1)[0])
    with temp_hub(tmp_path_factory.mktemp("hub"), [service]) as running:
        yield running


def call(hub: Hub, path: str, token: str | None = None, method: str = "GET", **options: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers |= options.pop("headers", {})  # type: ignore[arg-type]
    return httpx.request(method, f"{hub.url}/services/probe/{path}", headers=headers, timeout=20, **options)  # type: ignore[arg-type]


def test_health_and_metrics_need_no_login_and_hold_no_identifiers(hub: Hub) -> None:
    assert call(hub, "health").json() == {"status": "ok"}
    call(hub, "series/1.2.840.99", hub.make_token("rhea", "probe"))
    text = call(hub, "metrics").text
    assert 'aurelius_requests_total{method="GET",route="/series/{uid}",status="404"}' in text
    assert "1.2.840.99" not in text
    assert "rhea" not in text


def test_token_brings_the_hubs_groups(hub: Hub) -> None:
    for scheme in ("token", "bearer", "Bearer"):
        headers = {"Authorization": f"{scheme} {hub.make_token('rhea', 'probe')}"}
        answer = call(hub, "me", headers=headers)
        assert answer.json() == {"name": "rhea", "groups": ["project-lung", "role-researcher"]}


def test_call_without_or_with_unknown_token_is_401_json(hub: Hub) -> None:
    for token in (None, "0123456789abcdef"):
        answer = call(hub, "me", token)
        assert answer.status_code == 401
        assert "hub token" in answer.json()["detail"]


def test_person_without_access_scope_is_403(hub: Hub) -> None:
    answer = call(hub, "me", hub.api("POST", "users/gil/tokens", json={}).json()["token"])
    assert answer.status_code == 403
    assert "administrator" in answer.json()["detail"]


def test_browser_is_sent_through_the_hub_and_back_to_its_page(hub: Hub) -> None:
    with hub.log_in("nora") as browser:
        answer = browser.get("/services/probe/me?from=link")
        assert answer.status_code == 200
        assert str(answer.url) == f"{hub.url}/services/probe/me?from=link"
        assert answer.json()["groups"] == ["role-clinician", "site-north"]
        cookie = next(each for each in browser.cookies.jar if each.name == "service-probe")
        assert cookie.path == "/services/probe/"
        assert cookie.has_nonstandard_attr("HttpOnly")


def test_browser_without_access_is_refused(hub: Hub) -> None:
    with hub.log_in("gil") as browser:
        assert browser.get("/services/probe/me").status_code == 403


def test_callback_without_a_started_login_is_refused(hub: Hub) -> None:
    assert call(hub, "oauth_callback?code=x&state=y").status_code == 400
    assert call(hub, "oauth_callback?error=access_denied").status_code == 403
    assert call(hub, "oauth_callback", headers={"Cookie": "service-probe-oauth-state-=e30="}).status_code == 400


def test_cookie_write_from_a_foreign_page_is_refused(hub: Hub) -> None:
    with hub.log_in("nora") as browser:
        browser.get("/services/probe/me")
        path = "/services/probe/notes?size=1"
        for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "same-site", "Origin": hub.url}, {}):
            assert browser.post(path, headers=headers).status_code == 403, headers
        for headers in ({"Origin": hub.url}, {"Sec-Fetch-Site": "same-origin"}):
            assert browser.post(path, headers=headers).json()["author"] == "nora", headers


def test_token_write_needs_no_origin(hub: Hub) -> None:
    answer = call(hub, "notes", hub.make_token("rhea", "probe"), "POST", params={"size": 3})
    assert answer.json() == {"author": "rhea", "size": 3}


def test_bad_input_is_422_and_is_not_repeated(hub: Hub) -> None:
    answer = call(hub, "notes", hub.make_token("rhea", "probe"), "POST", params={"size": "Doe^Jane"})
    assert answer.status_code == 422
    assert "query.size" in answer.json()["detail"]
    assert "Doe" not in answer.text


def test_revoked_group_takes_effect_with_a_new_session(hub: Hub) -> None:
    hub.api("DELETE", "groups/project-lung/users", json={"users": ["anton"]})
    assert call(hub, "me", hub.make_token("anton", "probe")).json()["groups"] == ["role-annotator"]


def test_service_stops_with_its_hub(tmp_path: Path) -> None:
    port = find_free_ports(1)[0]
    service = managed_service("probe", [sys.executable, str(PROBE)], {}, port)
    direct = f"http://127.0.0.1:{port}/services/probe/health"
    with temp_hub(tmp_path, [service]):
        assert answers(direct)
    wait_until(lambda: not answers(direct), "service stopped", 5)


def test_silent_hub_is_503_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_URL", f"http://127.0.0.1:{find_free_ports(1)[0]}/hub/api")
    login.hub_oauth.cache_clear()
    app = create_service("probe")
    mount_router(app, router)
    answer = TestClient(app).get("/me", headers={"Authorization": "token abc"})
    login.hub_oauth.cache_clear()
    assert answer.status_code == 503
    assert "The hub does not answer" in answer.json()["detail"]


def test_service_started_by_hand_says_who_starts_it() -> None:
    with pytest.raises(SystemExit, match="started by the hub"):
        run_service(create_service("probe"))
