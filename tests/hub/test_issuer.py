from __future__ import annotations

import base64
import hashlib
import json
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from aurelius_hub.errors import UnsafeAddress
from aurelius_hub.realm import Issuer, check_loopback
from support.servers_hub import temp_issuer

VERIFIER = secrets.token_urlsafe(32)
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("issuer")


@pytest.fixture(scope="module")
def issuer(home: Path) -> Iterator[Issuer]:
    with temp_issuer(home) as issuer:
        yield issuer


@pytest.fixture
def client(issuer: Issuer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{issuer.address}/protocol/openid-connect") as client:
        yield client


def make_query(issuer: Issuer, **changes: str) -> dict[str, str]:
    host = next(host for host in issuer.hosts if host.startswith("127"))
    query = {
        "client_id": issuer.client_id,
        "redirect_uri": f"http://{host}/hub/oauth_callback",
        "response_type": "code",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "state": "abc",
    }
    return {key: value for key, value in (query | changes).items() if value}


def get_code(client: httpx.Client, issuer: Issuer, name: str = "nora") -> str:
    form = {"username": name, "password": issuer.passwords[name]}
    answer = client.post("/auth", params=make_query(issuer), data=form)
    assert answer.status_code == 303
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["state"] == ["abc"]
    return query["code"][0]


def ask_tokens(client: httpx.Client, issuer: Issuer, **fields: str) -> httpx.Response:
    secret = fields.pop("secret", issuer.client_secret)
    return client.post("/token", data=fields, auth=(issuer.client_id, secret))


def exchange(client: httpx.Client, issuer: Issuer, code: str, verifier: str = VERIFIER) -> httpx.Response:
    uri = make_query(issuer)["redirect_uri"]
    fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": uri, "code_verifier": verifier}
    return ask_tokens(client, issuer, **fields)


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "somebody"},
        {"redirect_uri": "http://evil.example/hub/oauth_callback"},
        {"redirect_uri": "http://127.0.0.1:1/hub/oauth_callback"},
        {"redirect_uri": ""},
        {"response_type": "token"},
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
    ],
    ids=str,
)
def test_a_request_that_is_not_the_hubs_gets_no_form(
    client: httpx.Client, issuer: Issuer, changes: dict[str, str]
) -> None:
    answer = client.get("/auth", params=make_query(issuer, **changes))
    assert answer.status_code == 400
    assert "<form" not in answer.text


@pytest.mark.parametrize(("name", "password"), [("nora", "wrong"), ("nora", ""), ("nobody", ""), ("", "")])
def test_a_wrong_password_shows_the_form_again(client: httpx.Client, issuer: Issuer, name: str, password: str) -> None:
    answer = client.post("/auth", params=make_query(issuer), data={"username": name, "password": password})
    assert answer.status_code == 401
    assert "Name or password is wrong" in answer.text
    assert "<form" in answer.text


def test_what_was_typed_cannot_become_markup(client: httpx.Client, issuer: Issuer) -> None:
    form = {"username": '"><script>alert(1)</script>', "password": "x"}
    assert "<script>" not in client.post("/auth", params=make_query(issuer), data=form).text


def test_id_tokens_are_signed_by_the_published_key(client: httpx.Client, issuer: Issuer) -> None:
    tokens = exchange(client, issuer, get_code(client, issuer)).json()
    configuration = httpx.get(f"{issuer.address}/.well-known/openid-configuration").json()
    assert configuration["issuer"] == issuer.address
    [key] = httpx.get(configuration["jwks_uri"]).json()["keys"]
    public = jwt.PyJWK(key).key
    claims = jwt.decode(tokens["id_token"], public, algorithms=["RS256"], audience="aurelius", issuer=issuer.address)
    assert claims["preferred_username"] == "nora"
    assert claims["groups"] == ["/sites/north"]
    assert "clinician" in claims["realm_access"]["roles"]


def test_userinfo_needs_a_token(client: httpx.Client, issuer: Issuer) -> None:
    tokens = exchange(client, issuer, get_code(client, issuer, "stella")).json()
    answer = client.get("/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert answer.json()["preferred_username"] == "stella"
    assert "groups" not in answer.json(), "Keycloak leaves an empty claim out, and so must this"
    assert client.get("/userinfo").status_code == 401
    assert client.get("/userinfo", headers={"Authorization": "Bearer x"}).status_code == 401


def test_a_code_is_good_once_and_for_its_verifier(client: httpx.Client, issuer: Issuer) -> None:
    code = get_code(client, issuer)
    assert exchange(client, issuer, code, "another verifier").json() == {"error": "invalid_grant"}
    assert exchange(client, issuer, code).json() == {"error": "invalid_grant"}, "a failed try spends the code"
    code = get_code(client, issuer)
    assert exchange(client, issuer, code).status_code == 200
    assert exchange(client, issuer, code).status_code == 400


def test_a_refresh_token_is_good_once(client: httpx.Client, issuer: Issuer) -> None:
    refresh = exchange(client, issuer, get_code(client, issuer)).json()["refresh_token"]
    fields = {"grant_type": "refresh_token", "refresh_token": refresh}
    assert ask_tokens(client, issuer, **fields).status_code == 200
    assert ask_tokens(client, issuer, **fields).json() == {"error": "invalid_grant"}


def test_only_the_hub_gets_tokens(client: httpx.Client, issuer: Issuer) -> None:
    answer = ask_tokens(client, issuer, secret="guess", grant_type="refresh_token", refresh_token="x")
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})
    answer = ask_tokens(client, issuer, grant_type="password")
    assert answer.json() == {"error": "unsupported_grant_type"}


def test_leaving_makes_the_tokens_worthless(client: httpx.Client, issuer: Issuer) -> None:
    tokens = exchange(client, issuer, get_code(client, issuer)).json()
    back = make_query(issuer)["redirect_uri"].replace("oauth_callback", "login")
    answer = client.get("/logout", params={"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": back})
    assert answer.headers["location"] == back
    assert client.get("/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}).status_code == 401
    elsewhere = client.get("/logout", params={"post_logout_redirect_uri": "http://evil.example/hub/login"})
    assert "location" not in elsewhere.headers


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])  # noqa: S104
def test_it_serves_this_machine_only(host: str) -> None:
    with pytest.raises(UnsafeAddress, match="only listens on this machine"):
        check_loopback(host)


def test_passwords_are_made_per_home_and_kept_private(home: Path, issuer: Issuer, tmp_path: Path) -> None:
    file = home / "passwords.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == issuer.passwords
    with temp_issuer(tmp_path) as other:
        assert not set(other.passwords.values()) & set(issuer.passwords.values())
