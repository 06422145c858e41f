"""The release review over HTTP, for stewards; what it answers is identified and kept by no browser."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from aurelius_catalog.errors import InvalidRequest
from aurelius_deidentify.pixels import MaskRegion
from aurelius_intake.access import Steward
from aurelius_intake.review.flagged import MEANINGS, FlaggedStudy
from aurelius_intake.review.release import ReleaseReview, WaitingObject
from aurelius_intake.settings import read_settings

router = APIRouter(prefix="/desk")
NO_STORE = {"Cache-Control": "no-store"}
ItemId = Annotated[int, Path(ge=0, lt=2**63)]


class Release(BaseModel):
    """A steward's yes."""

    reason: str
    regions: list[tuple[int, int, int, int]] = Field(default_factory=list, max_length=1000)


class Rejection(BaseModel):
    """A steward's no."""

    reason: str


@cache
def open_review() -> ReleaseReview:
    """Return this process's release review."""
    return ReleaseReview(read_settings())


Opened = Annotated[ReleaseReview, Depends(open_review)]


@router.get("")
def list_waiting(steward: Steward, review: Opened) -> JSONResponse:
    """Return what waits for a decision."""
    waiting = [_to_json(each) for each in review.list_waiting()]
    return JSONResponse(waiting + [_to_flag(each) for each in review.flagged.list_waiting()], headers=NO_STORE)


@router.get("/study-{uid}/image")
def read_slice(steward: Steward, review: Opened, uid: str, frame: int = 0) -> Response:
    """Return one slice of a flagged study as PNG."""
    return Response(review.flagged.render(uid, frame), media_type="image/png", headers=NO_STORE)


@router.post("/study-{uid}/release", status_code=204)
def accept(steward: Steward, review: Opened, uid: str, decision: Release) -> None:
    """Accept a flagged study as it is stored."""
    if decision.regions:
        raise InvalidRequest("The study is stored already: nothing can be blacked out in it here.")
    review.flagged.accept(uid, steward, decision.reason)


@router.post("/study-{uid}/reject", status_code=204)
def refuse(steward: Steward, uid: str, decision: Rejection) -> None:
    """Say how a stored study is taken out."""
    raise InvalidRequest("The study is stored already: withdraw its patient (`aurelius withdraw`), or accept it.")


@router.get("/{item_id}/image")
def read_image(steward: Steward, review: Opened, item_id: ItemId, frame: int = 0) -> Response:
    """Return one frame of a waiting object as PNG."""
    return Response(review.render(item_id, frame), media_type="image/png", headers=NO_STORE)


@router.post("/{item_id}/release", status_code=204)
def release(steward: Steward, review: Opened, item_id: ItemId, decision: Release) -> None:
    """Let an object through, with regions to be blacked out."""
    review.release(item_id, steward, decision.reason, [_to_region(region) for region in decision.regions])


@router.post("/{item_id}/reject", status_code=204)
def reject(steward: Steward, review: Opened, item_id: ItemId, decision: Rejection) -> None:
    """Refuse an object for good."""
    review.reject(item_id, steward, decision.reason)


def _to_region(values: tuple[int, int, int, int]) -> MaskRegion:
    if max(values) >= 2**31:
        raise InvalidRequest("A region is [x, y, width, height] in pixels.")
    return MaskRegion(*values)


def _to_json(waiting: WaitingObject) -> dict[str, Any]:
    item, original = waiting.item, waiting.original
    return {
        "id": item.id,
        "site": item.site,
        "state": item.state,
        "reason": item.reason,
        "received_at": item.received_at.isoformat(),
        "Modality": original.Modality,
        "SOPClass": original.SOPClass,
        "Rows": original.Rows,
        "Columns": original.Columns,
        "frames": original.frames,
        "has_image": original.has_image,
        "words": list(waiting.words),
        "regions": [[region.x, region.y, region.width, region.height] for region in waiting.regions],
    }


def _to_flag(study: FlaggedStudy) -> dict[str, Any]:
    return {
        "id": f"study-{study.StudyInstanceUID}",
        "site": study.site,
        "state": "flagged",
        "reason": MEANINGS[study.flag],
        "received_at": study.received_at.isoformat(),
        "Modality": study.Modality,
        "SOPClass": "",
        "Rows": study.Rows,
        "Columns": study.Columns,
        "frames": study.slices,
        "has_image": study.slices > 0,
        "words": [],
        "regions": [],
    }
