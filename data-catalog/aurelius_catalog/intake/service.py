"""The intake over HTTP, for the data stewards: what came in, what waits for a person, what was proved, and STOW-RS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import RedirectResponse, Response

from aurelius_catalog import certificate_api, withdrawal_api
from aurelius_catalog.errors import InvalidRequest, KeyUnusable
from aurelius_catalog.intake import desk_api
from aurelius_catalog.intake.access import require_steward
from aurelius_catalog.intake.metrics import list_collectors
from aurelius_catalog.intake.sites import Site
from aurelius_catalog.intake.status import describe_status
from aurelius_catalog.intake.stow import StowDoor
from aurelius_catalog.intake.zone import Zone
from aurelius_catalog.service.host import create_service, mount_router
from aurelius_catalog.settings import CatalogSettings
from aurelius_catalog.vault import open_vault, vault_api

#: What a steward's page shows and a metric may say: nothing with a file's name in it.
SHOWN = ("pending", "sites", "disk", "profile", "rate_per_minute", "changed_at", "running")
#: A path of this house: browsers take "//" and "\" for the beginning of another one.
HOUSE_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")


def create_app(settings: CatalogSettings, zone: Zone, sites: Mapping[str, Site]) -> FastAPI:
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
    for each in (router, certificate_api.router, desk_api.router, vault_api.router, withdrawal_api.router):
        guarded.include_router(each)
    app = create_service("intake", collectors=list_collectors(describe))
    mount_router(app, guarded)
    mount_router(app, StowDoor(settings, zone, sites).router)
    return app


def describe_key(settings: CatalogSettings) -> dict[str, Any]:
    """Say whether the vault opens, and if not, what to do about it."""
    try:
        open_vault(settings)
    except KeyUnusable as error:
        return {"usable": False, "reason": str(error)}
    return {"usable": True, "reason": None}
