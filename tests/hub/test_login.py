"""The same logins against the loopback issuer and a real Keycloak."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from aurelius_hub.guard import find_processes
from aurelius_hub.people import DEMO_PEOPLE, DemoPerson
from aurelius_hub.roles import ROLES
from support.servers_hub import TempHub, login, new_session, poll, start_notebook, temp_hub

SERVICES = ("catalog", "annotation", "dashboards", "reports", "intake")
PEOPLE = (*DEMO_PEOPLE, DemoPerson("nemo"))


@pytest.fixture(scope="module", params=["loopback", pytest.param("keycloak", marks=pytest.mark.keycloak)])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TempHub]:
    with temp_hub(tmp_path_factory.mktemp("home"), request.param, PEOPLE) as hub:
        yield hub


@contextmanager
def enter(hub: TempHub, name: str) -> Iterator[httpx.Client]:
    with new_session(hub.address) as session:
        answer = login(session, hub.address, name, hub.passwords[name], "/hub/home")
        assert answer.status_code == 200, answer.text
        yield session


def ask_hub(session: httpx.Client) -> dict[str, Any]:
    """Ask the hub's interface who we are, as its pages do."""
    home = str(session.base_url.join("/hub/home"))
    answer = session.get("/hub/api/user", headers={"Referer": home, "Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("person", DEMO_PEOPLE, ids=lambda person: person.name)
def test_each_person_gets_in_and_may_do_what_the_role_says(hub: TempHub, person: DemoPerson) -> None:
    with enter(hub, person.name) as session:
        me = ask_hub(session)
        [role] = person.roles
        assert me["name"] == person.name
        assert set(me["groups"]) == (
            {f"role-{role}"}
            | {f"project-{name}" for name in person.projects}
            | {f"site-{name}" for name in person.sites}
        )
        opened = {name for name in SERVICES if session.get(f"/services/{name}/").status_code == 200}
        assert opened == set(ROLES[role].services)
        assert (f"servers!user={person.name}" in me["scopes"]) == ROLES[role].notebook
        if not ROLES[role].notebook:
            assert session.get("/hub/spawn").status_code == 403


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("nora", "/services/dashboards/"),
        ("vera", "/services/reports/"),
        ("anton", "/services/annotation/"),
        ("stella", "/services/dashboards/intake"),
        ("gil", "/hub/home"),
    ],
)
def test_people_land_where_they_work(hub: TempHub, name: str, path: str) -> None:
    with new_session(hub.address) as session:
        answer = login(session, hub.address, name, hub.passwords[name], "/")
        assert (answer.status_code, answer.url.path) == (200, path)


def test_the_home_page_offers_what_one_may_open(hub: TempHub) -> None:
    with enter(hub, "nora") as session:
        page = session.get("/hub/home").text
    assert "Dashboards" in page
    assert "site north" in page
    assert "Reports" not in page
    assert "Start JupyterLab" not in page


def test_a_wrong_password_is_refused(hub: TempHub) -> None:
    with new_session(hub.address) as session:
        answer = login(session, hub.address, "nora", hub.passwords["sid"])
        assert "/realms/aurelius/" in answer.url.path, "one stays at the issuer's form"
        assert "password" in answer.text
        assert session.get("/hub/home").url.path != "/hub/home"


def test_somebody_without_a_role_is_told_so(hub: TempHub) -> None:
    with new_session(hub.address) as session:
        answer = login(session, hub.address, "nemo", hub.passwords["nemo"])
        assert answer.status_code == 403
        assert "you have no role in Aurelius" in answer.text


def test_a_forged_state_is_refused(hub: TempHub) -> None:
    with new_session(hub.address) as session:
        session.get("/hub/oauth_login")
        answer = session.get("/hub/oauth_callback", params={"code": "x", "state": "eyJzdGF0ZV9pZCI6ICJ4In0"})
        assert answer.status_code == 400
    with new_session(hub.address) as session:
        assert session.get("/hub/oauth_callback", params={"code": "x", "state": "x"}).status_code == 400


def test_the_next_page_cannot_be_somewhere_else(hub: TempHub) -> None:
    with new_session(hub.address) as session:
        path = "/hub/login?next=https://evil.example/"
        answer = login(session, hub.address, "stella", hub.passwords["stella"], path)
        assert answer.url.host == "127.0.0.1"


def test_leaving_ends_the_session_at_the_issuer_too(hub: TempHub) -> None:
    with enter(hub, "stella") as session:
        answer = session.get("/hub/logout")
        assert answer.status_code == 200
        assert "/realms/aurelius/" in answer.url.path, "the login form again, not the hub"
        assert 'type="password"' in answer.text
        assert session.get("/hub/home").url.path != "/hub/home"


def test_secrets_are_private_and_in_no_command_line(hub: TempHub) -> None:
    folder = hub.settings.hub_state
    files = ["client_secret", "crypt_key", "cookie_secret", "jupyterhub.sqlite"]
    for path in [folder / name for name in files] + [hub.settings.state / "passwords.json"]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    secrets = [(folder / name).read_text().strip() for name in files[:3]] + list(hub.passwords.values())
    commands = [" ".join(process.cmdline()) for process in find_processes(hub.settings.run)]
    assert len(commands) > len(SERVICES)
    assert not [command for command in commands if any(secret in command for secret in secrets)]
    logs = "".join(path.read_text() for path in hub.settings.logs.glob("*.log"))
    assert not [secret for secret in secrets if secret in logs]


def test_a_notebook_is_told_little_and_its_token_opens_little(hub: TempHub) -> None:
    with enter(hub, "gil") as session:
        start_notebook(session, "gil")
        [server] = [p for p in find_processes(hub.settings.run) if "jupyterhub.singleuser" in p.cmdline()]
        environment = server.environ()
        basics = {
            "PATH",
            "HOME",
            "LANG",
            "LC_ALL",
            "TZ",
            "TMPDIR",
            "USER",
            "SHELL",
            "PYTHONUNBUFFERED",
            "JPY_API_TOKEN",
        }
        names = {name for name in environment if not name.startswith("JUPYTERHUB_")} - basics
        assert names == {"AURELIUS_CATALOG_URL", "AURELIUS_HANDOVER", "AURELIUS_ANNOTATION_URL", "AURELIUS_RUN"}
        token = {"Authorization": f"token {environment['JUPYTERHUB_API_TOKEN']}"}
        me = httpx.get(f"{hub.address}/hub/api/user", headers=token).json()
        services = {scope for scope in me["scopes"] if scope.startswith("access:services")}
        assert services == {"access:services!service=catalog"}
        assert not [scope for scope in me["scopes"] if scope.startswith(("tokens", "servers"))]
        assert (hub.settings.state / "homes" / "gil").is_dir()


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TempHub]:
    with temp_hub(tmp_path_factory.mktemp("loopback"), "loopback") as hub:
        yield hub


def test_a_group_that_is_taken_away_is_gone_after_the_refresh(loopback: TempHub) -> None:
    assert loopback.issuer is not None
    nora = loopback.issuer.people["nora"]
    with enter(loopback, "nora") as session:
        assert "site-north" in ask_hub(session)["groups"]
        try:
            loopback.issuer.people["nora"] = replace(nora, roles=(), sites=())
            assert poll(lambda: not ask_hub(session)["groups"])
            assert "Dashboards" not in session.get("/hub/home").text
        finally:
            loopback.issuer.people["nora"] = nora


def test_many_requests_at_once_share_one_refresh(loopback: TempHub) -> None:
    assert loopback.issuer is not None
    with enter(loopback, "stella") as session:
        for _ in range(3):
            # The access token has run out, and the refresh token can be used once only.
            loopback.issuer.tokens._access.clear()
            assert poll(lambda: session.get("/hub/home").url.path == "/hub/home")
            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(lambda _: session.get("/hub/home"), range(8)))
            assert {answer.url.path for answer in answers} == {"/hub/home"}
