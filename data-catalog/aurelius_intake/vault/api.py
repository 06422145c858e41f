"""The two-steward rule over HTTP: the hub's login says who asks and who agrees. Mounted by the intake's service."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from aurelius_catalog.access.person import Person
from aurelius_catalog.hosting.login import current_person
from aurelius_catalog.index.database import open_engine
from aurelius_intake.settings import read_settings
from aurelius_intake.vault.lifecycle import open_vault
from aurelius_intake.vault.reidentification import Reidentifications, Request

router = APIRouter(prefix="/vault")
Asking = Annotated[Person, Depends(current_person)]


class ReidentificationRequest(BaseModel):
    """Whose identity is wanted (``*``: the maps of all patients), and why."""

    pseudonym: str = Field(max_length=64)
    reason: str = Field(max_length=1000)


@cache
def open_reidentifications() -> Reidentifications:
    """Return this process's two-steward rule; the key is needed from the first question on, not before."""
    settings = read_settings()
    return Reidentifications(settings, open_vault(settings), open_engine(settings))


@router.get("/requests")
def list_requests(person: Asking) -> list[dict[str, Any]]:
    """List every request there was, newest first."""
    return [_describe(request) for request in open_reidentifications().list_requests(person)]


@router.post("/requests")
def ask(question: ReidentificationRequest, person: Asking) -> dict[str, Any]:
    """Ask to know who is behind a pseudonym."""
    return _describe(open_reidentifications().ask(person, question.pseudonym, question.reason))


@router.post("/requests/{number}/approve")
def approve(number: int, person: Asking) -> dict[str, Any]:
    """Agree to another steward's request."""
    return _describe(open_reidentifications().approve(person, number))


@router.post("/requests/{number}/open")
def open_request(number: int, person: Asking) -> dict[str, str]:
    """Tell who it is, once, to the steward who asked."""
    identity = open_reidentifications().open(person, number)
    names = "; ".join(identity.PatientNames)
    return {"site": identity.site, "PatientID": identity.PatientID, "PatientName": names}


@router.post("/requests/{number}/export")
def export_maps(number: int, person: Asking) -> dict[str, str]:
    """Write the maps of all patients into the identified zone, and say where; they do not travel."""
    folder = open_reidentifications().export(person, number)
    return {"folder": str(folder.relative_to(read_settings().identified.parent))}


def _describe(request: Request) -> dict[str, Any]:
    return {**asdict(request), "state": request.state}
