"""STOW-RS (PS3.18 section 10.5): objects sent to a site's inbox over HTTP, streamed to disk."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydicom import dcmread
from starlette.requests import ClientDisconnect

from aurelius_catalog.access.person import Action, Person
from aurelius_catalog.errors import InvalidRequest, NotFound, PermissionDenied
from aurelius_catalog.hosting.free_space import has_room
from aurelius_catalog.hosting.login import current_person
from aurelius_catalog.hosting.multipart_reader import PartReader
from aurelius_catalog.hosting.stow_responses import (
    JSON_TYPE,
    StoreOutcome,
    check_media_type,
    choose_status,
    describe_outcomes,
)
from aurelius_intake.metrics import RECEIVED, REFUSED
from aurelius_intake.receiving.delivery import UID_VALUE, Arrivals, ArrivedObject
from aurelius_intake.receiving.sites import Site
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.zone.folders import Zone

log = logging.getLogger("aurelius.intake.stow")

BLOCK_BYTES = 1 << 20
RETRY_S = 60
#: Failure reasons of PS3.18 table 10.5.3-2 / PS3.4 table B.2-1.
NOT_UNDERSTOOD, OTHER_STUDY = 0xC000, 0xA900
IDENTITY = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"]


@dataclass(frozen=True)
class Sent:
    """One part of a request, and why it is not taken, if it is not."""

    path: Path
    SOPClassUID: str = ""
    SOPInstanceUID: str = ""
    failure: int | None = None


class StowRoutes:
    """The STOW-RS routes of the intake.

    Parameters
    ----------
    settings
        Say how much disk must stay free.
    zone
        Where objects go.
    sites
        Who may send to which site, beside the stewards.
    """

    def __init__(self, settings: IntakeSettings, zone: Zone, sites: Mapping[str, Site]) -> None:
        self.settings, self.zone, self.sites = settings, zone, sites
        self.arrivals = Arrivals(zone, "stow")
        self.router = APIRouter(prefix="/stow")
        self.router.add_api_route("/{site}/studies", self.store, methods=["POST"])
        self.router.add_api_route("/{site}/studies/{study}", self.store, methods=["POST"])

    async def store(
        self, request: Request, person: Annotated[Person, Depends(current_person)], site: str, study: str | None = None
    ) -> Response:
        """Take objects; the answer comes once all of them are in the inbox and synced to disk.

        A request that breaks off leaves nothing behind.
        """
        self._check_sender(person, site)
        check_media_type(request.headers.get("content-type", ""))
        reader = PartReader(request.headers["content-type"], self.arrivals.folder)
        received: list[Path] = []
        try:
            await self._receive(request, reader, received)
            return await run_in_threadpool(self._deliver, received, site, study)
        except (ClientDisconnect, OSError) as error:
            self._refuse_full(isinstance(error, OSError))
            raise HTTPException(400, "The request broke off; nothing of it was taken. Send it again.") from None
        finally:
            reader.discard()
            for path in received:
                path.unlink(missing_ok=True)

    async def _receive(self, request: Request, reader: PartReader, received: list[Path]) -> None:
        announced = request.headers.get("content-length", "")
        self._refuse_full(not has_room(self.settings, int(announced) if announced.isdecimal() else 0))
        block = bytearray()
        async for chunk in request.stream():
            block += chunk
            if len(block) >= BLOCK_BYTES:
                received += await run_in_threadpool(self._write, reader, bytes(block))
                block.clear()
        received += await run_in_threadpool(self._write, reader, bytes(block))
        if not reader.is_whole:
            raise InvalidRequest("The body ends before its last boundary; nothing of it was taken. Send it again.")

    def _write(self, reader: PartReader, block: bytes) -> list[Path]:
        self._refuse_full(not has_room(self.settings, len(block)))
        return reader.feed(block)

    def _deliver(self, received: list[Path], site: str, study: str | None) -> Response:
        objects = [_look_at(path, study) for path in received]
        taken = [each for each in objects if each.failure is None]
        batch = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"
        self.arrivals.deliver([ArrivedObject(each.path, each.SOPInstanceUID) for each in taken], site, batch)
        RECEIVED.labels(site, "stow").inc(len(taken))
        REFUSED.labels("stow", "object").inc(len(objects) - len(taken))
        log.info("a request for %s brought %d objects, %d of them taken", site, len(objects), len(taken))
        outcomes = [StoreOutcome(each.SOPClassUID, each.SOPInstanceUID, each.failure) for each in objects]
        return JSONResponse(describe_outcomes(outcomes), choose_status(outcomes), media_type=JSON_TYPE)

    def _check_sender(self, person: Person, site: str) -> None:
        known = self.sites.get(site)
        if not person.may(Action.STEWARD) and (known is None or person.name not in known.senders):
            raise PermissionDenied(f"{person.name} may not send here: it takes a steward, or a sender of the site.")
        if known is None and site not in self.zone.list_sites():
            raise NotFound("There is no such site: add it to sites.toml, or make its folder in the inbox.")

    def _refuse_full(self, is_full: bool) -> None:
        if is_full:
            REFUSED.labels("stow", "disk").inc()
            log.error("a request is refused: too little free disk")
            detail = "There is too little free disk; nothing of this request was taken. Try again later."
            raise HTTPException(503, detail, {"Retry-After": str(RETRY_S)})


def _look_at(path: Path, study: str | None) -> Sent:
    values = dict.fromkeys(IDENTITY, "")
    with suppress(Exception):  # whatever it is that cannot be read, its sender is told
        header = dcmread(path, stop_before_pixels=True, specific_tags=list(IDENTITY))
        values = {keyword: str(header.get(keyword) or "") for keyword in IDENTITY}
    failure = None
    if not all(UID_VALUE.fullmatch(value) for value in values.values()):
        failure = NOT_UNDERSTOOD
    elif study is not None and values["StudyInstanceUID"] != study:
        failure = OTHER_STUDY
    return Sent(path, values["SOPClassUID"], values["SOPInstanceUID"], failure)
