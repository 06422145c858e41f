"""A loopback OpenID issuer for the demo and the tests, with Keycloak's paths and claims.

It walks the production path: authorization code with PKCE (RFC 7636, S256 only), signed ID tokens (RS256), a key
set, userinfo, rotating refresh tokens, RP-initiated logout. It knows the demo people and their passwords, so it
refuses to listen on any address but loopback.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from jinja2 import Environment, FileSystemLoader

from aurelius_hub.realm import Issuer, build_issuer, check_loopback
from aurelius_hub.settings import HubSettings
from aurelius_hub.tokens import ACCESS_LIFETIME_S

REALM = "/realms/aurelius"
OPENID = f"{REALM}/protocol/openid-connect"
PAGES = Environment(loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True)

router = APIRouter()


def get_issuer(request: Request) -> Issuer:
    """Return the issuer this application serves."""
    issuer: Issuer = request.app.state.issuer
    return issuer


TheIssuer = Annotated[Issuer, Depends(get_issuer)]


@router.get(f"{REALM}/.well-known/openid-configuration")
def read_configuration(issuer: TheIssuer) -> dict[str, object]:
    """Describe the issuer (OpenID Connect Discovery 1.0, section 3)."""
    base = f"{issuer.address}/protocol/openid-connect"
    return {
        "issuer": issuer.address,
        "authorization_endpoint": f"{base}/auth",
        "token_endpoint": f"{base}/token",
        "userinfo_endpoint": f"{base}/userinfo",
        "end_session_endpoint": f"{base}/logout",
        "jwks_uri": f"{base}/certs",
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    }


@router.get(f"{OPENID}/certs")
def read_keys(issuer: TheIssuer) -> dict[str, object]:
    """Hand out the public key that ID tokens are signed with (RFC 7517)."""
    return {"keys": [issuer.tokens.public_key()]}


def check_request(request: Request, issuer: TheIssuer) -> Request:
    """Refuse a login request that does not come from the hub, or lacks PKCE, before anything is shown."""
    query = request.query_params
    if query.get("client_id") != issuer.client_id:
        raise HTTPException(400, "This client is not known here.")
    if not issuer.returns_to(query.get("redirect_uri", ""), "/hub/oauth_callback"):
        raise HTTPException(400, "The address to return to is not the hub's.")
    if query.get("response_type") != "code":
        raise HTTPException(400, "Only the authorization code flow is offered.")
    if query.get("code_challenge_method") != "S256" or not query.get("code_challenge"):
        raise HTTPException(400, "PKCE with S256 is required.")
    return request


LoginRequest = Annotated[Request, Depends(check_request)]


@router.get(f"{OPENID}/auth")
def show_login(request: LoginRequest) -> HTMLResponse:
    """Show the login form."""
    return render_login(request)


@router.post(f"{OPENID}/auth")
def accept_login(
    request: LoginRequest,
    issuer: TheIssuer,
    username: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
) -> Response:
    """Check name and password; send the browser back to the hub with a code, or show the form again."""
    name = username.strip().lower()
    if not issuer.knows(name, password):
        return render_login(request, name, "Name or password is wrong. Please try again.")
    query = request.query_params
    code = issuer.tokens.issue_code(name, query["redirect_uri"], query["code_challenge"], query.get("nonce"))
    target = query["redirect_uri"] + "?" + urlencode({"code": code, "state": query.get("state", "")})
    return RedirectResponse(target, status_code=303)


def render_login(request: Request, name: str = "", error: str = "") -> HTMLResponse:
    """Render the form; it posts to the address it came from, which carries the whole request."""
    page = PAGES.get_template("login.html").render(
        action=f"{request.url.path}?{request.url.query}", name=name, error=error
    )
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": "frame-ancestors 'none'"}
    return HTMLResponse(page, status_code=401 if error else 200, headers=headers)


@router.post(f"{OPENID}/token")
def grant_tokens(
    request: Request,
    issuer: TheIssuer,
    credentials: Annotated[HTTPBasicCredentials | None, Depends(HTTPBasic(auto_error=False))],
    grant_type: Annotated[str, Form()],
    code: Annotated[str, Form()] = "",
    redirect_uri: Annotated[str, Form()] = "",
    code_verifier: Annotated[str, Form()] = "",
    refresh_token: Annotated[str, Form()] = "",
    client_id: Annotated[str, Form()] = "",
    client_secret: Annotated[str, Form()] = "",
) -> JSONResponse:
    """Exchange a code, or a refresh token that has not been used yet, for tokens."""
    if credentials:
        client_id, client_secret = credentials.username, credentials.password
    known = hmac.compare_digest(client_secret.encode(), issuer.client_secret.encode())
    if client_id != issuer.client_id or not known:
        return refuse("invalid_client", 401)
    if grant_type == "authorization_code":
        grant = issuer.tokens.redeem_code(code, redirect_uri, code_verifier)
    elif grant_type == "refresh_token":
        grant = issuer.tokens.redeem_refresh(refresh_token)
    else:
        return refuse("unsupported_grant_type")
    if grant is None or grant.name not in issuer.people:
        return refuse("invalid_grant")
    answer = issuer.tokens.issue_tokens(grant, issuer.describe(grant.name))
    return JSONResponse(answer | {"expires_in": ACCESS_LIFETIME_S}, headers={"Cache-Control": "no-store"})


def refuse(error: str, status: int = 400) -> JSONResponse:
    """Answer as RFC 6749, section 5.2 has it."""
    return JSONResponse({"error": error}, status_code=status)


@router.get(f"{OPENID}/userinfo")
def read_userinfo(request: Request, issuer: TheIssuer) -> JSONResponse:
    """Return the claims of the person an access token belongs to, as they are now."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    name = issuer.tokens.find_person(token) if scheme.lower() == "bearer" else None
    if name is None or name not in issuer.people:
        return refuse("invalid_token", 401)
    return JSONResponse(issuer.describe(name))


@router.get(f"{OPENID}/logout")
def end_session(issuer: TheIssuer, id_token_hint: str = "", post_logout_redirect_uri: str = "") -> Response:
    """Forget the person's tokens and send the browser back to the hub (RP-Initiated Logout 1.0)."""
    issuer.tokens.forget(id_token_hint)
    if issuer.returns_to(post_logout_redirect_uri, "/hub/login"):
        return RedirectResponse(post_logout_redirect_uri, status_code=303)
    return HTMLResponse(PAGES.get_template("goodbye.html").render())


@router.get("/health")
def read_health() -> dict[str, str]:
    """Say that the issuer is up."""
    return {"status": "ok"}


def create_issuer(issuer: Issuer) -> FastAPI:
    """Return the application that serves ``issuer``."""
    app = FastAPI(title="Aurelius loopback issuer", openapi_url=None)
    app.state.issuer = issuer
    app.include_router(router)
    return app


def main() -> None:
    """Serve until told to stop."""
    settings = HubSettings()
    check_loopback(settings.issuer_host)
    app = create_issuer(build_issuer(settings))
    # No access log: the query of a login request is nobody's business.
    uvicorn.run(app, host=settings.issuer_host, port=settings.issuer_port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
