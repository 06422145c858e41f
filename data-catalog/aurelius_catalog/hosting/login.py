"""The person behind a request, as the hub identifies them by its OAuth cookie or one of its tokens.

Rights come from the groups in the hub's user model and from nothing else. The hub hands a person's own
groups to every token of that person, so no extra scope is needed (JupyterHub 6.1, ``SelfAPIHandler``);
what a token does need is the service's access scope, ``access:services!service=<name>``.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from jupyterhub.services.auth import HubOAuth
from tornado.web import HTTPError as HubError

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import Unreachable

#: How long the hub's answer about a token is believed: a revoked group or token takes effect within this.
CACHE_S = 30
#: How long a person may take to log in at the hub.
LOGIN_S = 600

router = APIRouter()


class LoginRequired(Exception):
    """A browser asked for a page without being logged in; the host answers with the way to the hub."""


@cache
def hub_oauth() -> HubOAuth:
    """Return this process's OAuth client of the hub, configured by the ``JUPYTERHUB_*`` variables."""
    return HubOAuth(cache_max_age=CACHE_S)


async def current_person(request: Request) -> Person:
    """FastAPI dependency: the person behind a request.

    Raises
    ------
    LoginRequired
        A browser opens a page without a valid login.
    HTTPException
        401 for a call without a valid token, 403 for a person without access to this service or for a
        cookie-authenticated write from a foreign page.
    Unreachable
        The hub does not answer.
    """
    token = _read_header(request)
    if token is None:
        token = request.cookies.get(hub_oauth().cookie_name)
        if token and request.method not in ("GET", "HEAD", "OPTIONS"):
            _require_same_origin(request)
    model = await _ask_hub(token, request.cookies.get("jupyterhub-session-id", "")) if token else None
    if model is None:
        if _is_page(request):
            raise LoginRequired
        raise HTTPException(
            401, "Log in at the hub, or send a hub token that is still valid.", {"WWW-Authenticate": "Bearer"}
        )
    if not has_access(model):
        raise HTTPException(
            403, f"{model['name']} may not use this service: ask an administrator for a role or project."
        )
    return _as_person(model)


def person_for_token(token: str) -> Person | None:
    """Ask the hub whose token this is; None where it is unknown or has no access to this service.

    Blocks for one request to the hub unless the answer is known: call it from a thread, not from a coroutine.

    Raises
    ------
    Unreachable
        The hub does not answer.
    """
    try:
        model = hub_oauth().user_for_token(token)
    except HubError as error:
        raise Unreachable("The hub does not answer, so nobody can be identified. Try again in a moment.") from error
    return _as_person(model) if model is not None and has_access(model) else None


def has_access(model: dict[str, Any]) -> bool:
    """Whether the hub's user model carries the right to use this service at all."""
    auth = hub_oauth()
    return not auth.access_scopes or bool(auth.check_scopes(auth.access_scopes, model))


def redirect_to_login(request: Request) -> Response:
    """Answer a page request by the hub's authorize page (PKCE S256, RFC 7636), to come back afterwards.

    The state cookie holds what the callback needs, so that a restart of the service loses no login.
    """
    auth = hub_oauth()
    verifier, challenge, method = auth.generate_pkce_code_challenge()
    state = secrets.token_urlsafe(16)
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    # A browser drops a cookie over 4 KiB, and the login with it.
    remembered = json.dumps({"next": target if len(target) < 2000 else auth.base_url, "verifier": verifier}).encode()
    query = {"code_challenge": challenge, "code_challenge_method": method, "state": state}
    response = RedirectResponse(f"{auth.login_url}&{urlencode(query)}", 302, {"Cache-Control": "no-store"})
    value = base64.urlsafe_b64encode(remembered).decode()
    response.set_cookie(_name_state(state), value, max_age=LOGIN_S, **_cookie_options(request))
    return response


@router.get("/oauth_callback", include_in_schema=False)
async def finish_login(request: Request, code: str = "", state: str = "", error: str = "") -> Response:
    """Exchange the hub's code for a token, keep it in the service's cookie, go where the person wanted to be."""
    auth = hub_oauth()
    if error:
        return PlainTextResponse("The hub refused this login. Ask an administrator for access.", 403)
    remembered = _read_state(request.cookies.get(_name_state(state), ""))
    if not code or remembered is None:
        return PlainTextResponse("This login has expired or was not started here. Open the page again.", 400)
    try:
        token = await auth.token_for_code(code, code_verifier=remembered["verifier"], sync=False)
    except HubError:
        return PlainTextResponse("The hub did not accept this login. Open the page again.", 403)
    response = RedirectResponse(_keep_inside(remembered["next"]), 302, {"Cache-Control": "no-store"})
    response.delete_cookie(_name_state(state), **_cookie_options(request))
    response.set_cookie(auth.cookie_name, token, **_cookie_options(request))
    return response


async def _ask_hub(token: str, session: str) -> dict[str, Any] | None:
    try:
        model: dict[str, Any] | None = await hub_oauth().user_for_token(token, session_id=session, sync=False)
    except HubError as error:
        raise Unreachable("The hub does not answer, so nobody can be identified. Try again in a moment.") from error
    return model


def _as_person(model: dict[str, Any]) -> Person:
    return Person.of(model["name"], model.get("groups") or ())


def _read_header(request: Request) -> str | None:
    match = re.fullmatch(r"(?:token|bearer)\s+(\S+)", request.headers.get("authorization", ""), re.IGNORECASE)
    return match.group(1) if match else None


def _is_page(request: Request) -> bool:
    mode = request.headers.get("sec-fetch-mode", "navigate")
    return request.method == "GET" and mode == "navigate" and "text/html" in request.headers.get("accept", "")


def _require_same_origin(request: Request) -> None:
    """Refuse a cookie-authenticated write that another site's page started (CSRF)."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        same = site == "same-origin"
    else:
        # The proxy keeps the browser's Host. A caller that sends neither header is refused: it can use a token.
        same = origin is not None and urlsplit(origin).netloc == request.headers.get("host")
    if not same:
        raise HTTPException(
            403, "This change did not come from a page of this house. Open the page here and try again."
        )


def _cookie_options(request: Request) -> dict[str, Any]:
    forwarded = request.headers.get("x-forwarded-proto", request.url.scheme).split(",")[0].strip()
    return {"path": hub_oauth().cookie_path, "httponly": True, "samesite": "lax", "secure": forwarded == "https"}


def _name_state(state: str) -> str:
    """Return one cookie name per login, so that two tabs can log in at once."""
    return f"{hub_oauth().state_cookie_name}-{re.sub('[^A-Za-z0-9_-]', '', state)[:32]}"


def _read_state(value: str) -> dict[str, str] | None:
    try:
        remembered = json.loads(base64.urlsafe_b64decode(value.encode()))
        return {"next": str(remembered["next"]), "verifier": str(remembered["verifier"])}
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None


def _keep_inside(target: str) -> str:
    prefix: str = hub_oauth().base_url
    return target if target.startswith(prefix) and not target.startswith("//") and "\\" not in target else prefix
