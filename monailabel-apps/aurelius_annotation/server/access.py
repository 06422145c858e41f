"""MONAI Label's login, answered by the hub: the password is one of the person's hub tokens."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException

from aurelius_annotation.server.dependencies import ContextDependency, Viewer
from aurelius_catalog.hosting.login import person_for_token

router = APIRouter(prefix="/auth")


@router.get("/")
async def describe_login() -> dict[str, str | bool]:
    """Tell the client that it must log in; asked before every call, so answered without looking anything up."""
    return {"enabled": True, "client_id": "aurelius-annotation", "realm": "Aurelius"}


@router.post("/token")
def give_token(
    context: ContextDependency, username: Annotated[str, Form()], password: Annotated[str, Form()]
) -> dict[str, str]:
    """Exchange user name and hub token for the bearer the client sends from now on: the same hub token.

    So a token that is revoked at the hub ends the session here too.
    """
    token = password.strip()
    person = person_for_token(token) if token else None
    if person is None or person.name != username.strip():
        raise HTTPException(
            401,
            "User name and access token do not belong together, or the token has expired. Make a new one on the "
            "annotation page and paste it as the password.",
            {"WWW-Authenticate": "Bearer"},
        )
    context.tickets.remember(person)
    return {"access_token": token, "token_type": "Bearer"}


@router.get("/token/valid")
def confirm_token(person: Viewer) -> dict[str, str]:
    """Answer 200 to a bearer that is still valid; 401 comes from the login itself."""
    return {"username": person.name}
