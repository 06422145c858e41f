"""Withdrawing a patient over HTTP, where the hub's login says who does it. Mounted by the intake's service."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.hosting.login import current_person
from aurelius_intake.settings import read_settings
from aurelius_intake.vault import Vault, open_vault
from aurelius_intake.withdrawal.withdrawal import withdraw_patient

router = APIRouter()


class WithdrawalRequest(BaseModel):
    """Whom to withdraw, by pseudonym or as the hospital knows them, and why."""

    pseudonym: str = Field("", max_length=64)
    site: str = Field("", max_length=64)
    PatientID: str = Field("", max_length=64)
    reason: str = Field(max_length=1000)


@cache
def open_shared_vault() -> Vault:
    """Return this process's vault; the key is needed from the first question on, not before."""
    return open_vault(read_settings())


@router.post("/withdrawals")
def withdraw(request: WithdrawalRequest, person: Annotated[Person, Depends(current_person)]) -> dict[str, Any]:
    """Remove everything of a patient, and say how much it was."""
    if bool(request.pseudonym) is bool(request.site and request.PatientID):
        raise InvalidRequest("Name the patient by pseudonym, or by site and PatientID.")
    patient = request.pseudonym or (request.site, request.PatientID)
    return asdict(withdraw_patient(read_settings(), open_shared_vault(), patient, person, request.reason))
