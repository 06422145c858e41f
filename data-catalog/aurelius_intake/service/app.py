"""The intake over HTTP, for the data stewards: what came in, what waits for a person, what was proved, and STOW-RS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import RedirectResponse, Response

from aurelius_catalog.errors import InvalidRequest, KeyUnusable
from aurelius_catalog.hosting.host import create_service, mount_router
from aurelius_intake.access import require_steward
from aurelius_intake.certificates import api as certificates
from aurelius_intake.metrics import list_collectors
from aurelius_intake.receiving.sites import Site
from aurelius_intake.receiving.stow import StowRoutes
from aurelius_intake.review import api as review
from aurelius_intake.service.status import describe_status
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import api as vault
from aurelius_intake.vault import open_vault
from aurelius_intake.withdrawal import api as withdrawal
from aurelius_intake.zone.folders import Zone

#: What a steward's page shows and a metric may say: nothing with a file's name in it.
SHOWN = ("pending", "sites", "disk", "profile", "rate_per_minute", "changed_at", "running")
#: A path of this house: browsers take "//" and "\" for the beginning of another one.
HOUSE_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")


def create_app(settings: IntakeSettings, zone: Zone, sites: Mapping[str, Site]) -> FastAPI:
    """Make the application; every route but health, metrics and STOW-RS is for stewards only."""

    def describe() -> dict[str, Any]:
        described = describe_status(settings).to_json()
        return {"key": describe_key(settings), **{name: described[name] for name in SHOWN}}

    router = APIRouter()

    @router.get("/status")
    def read_status() -> dict[str, Any]:
        """Say what came in and what became of it, in numbers."""
        return describe()

    @router.get("/enter")
    def enter(next: str = "/") -> Response:
        """Log in at this service, then go on to a page of the house that asks it for things."""
        if not HOUSE_PATH.fullmatch(next):
            raise InvalidRequest("`next` must be a path of this house.")
        return RedirectResponse(next, 302, {"Cache-Control": "no-store"})

    guarded = APIRouter(dependencies=[Depends(require_steward)])  # of whatever is mounted: nothing is open by mistake
    for each in (router, review.router, certificates.router, vault.router, withdrawal.router):
        guarded.include_router(each)
    app = create_service("intake", collectors=list_collectors(describe))
    mount_router(app, guarded)
    mount_router(app, StowRoutes(settings, zone, sites).router)
    return app


def describe_key(settings: IntakeSettings) -> dict[str, Any]:
    """Say whether the vault opens, and if not, what to do about it."""
    try:
        open_vault(settings)
    except KeyUnusable as error:
        return {"usable": False, "reason": str(error)}
    return {"usable": True, "reason": None}
