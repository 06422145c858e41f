"""The release desk: what the program would not decide waits here for a data steward, who lets it through or not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aurelius_catalog.access.person import Action, Person
from aurelius_catalog.errors import AlreadyDecided, InvalidRequest, NotFound
from aurelius_catalog.index.audit_log import append_event
from aurelius_catalog.index.database import open_engine
from aurelius_deidentify.pixels import MaskRegion
from aurelius_intake.review.flagged import FlaggedStudies
from aurelius_intake.review.originals import Original, describe_original, put_back, render_original
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.zone.decisions import Approval, Approvals
from aurelius_intake.zone.folders import Zone
from aurelius_intake.zone.items import IntakeItem, IntakeItems, ItemState

#: What waits for a person.
WAITING = (ItemState.QUARANTINED, ItemState.CONFLICT)
LONGEST_REASON = 1000


@dataclass(frozen=True)
class WaitingObject:
    """One object that waits, as a steward sees it. Identified: never for the log.

    Parameters
    ----------
    item
        Its record.
    original
        What it says about itself.
    words
        Text found in its pixels.
    regions
        What the program proposes to black out.
    """

    item: IntakeItem
    original: Original
    words: tuple[str, ...]
    regions: tuple[MaskRegion, ...]


class ReleaseReview:
    """Shows stewards what waits, and carries out what they decide; every decision is in the audit log.

    Parameters
    ----------
    settings
        Where the house keeps its state.

    Attributes
    ----------
    flagged
        Stored studies that a steward should look at.
    """

    def __init__(self, settings: IntakeSettings) -> None:
        self.zone = Zone(settings)
        self.items = IntakeItems(self.zone.database)
        self.approvals = Approvals(self.zone.root)
        self._audit = open_engine(settings)
        self.flagged = FlaggedStudies(self._audit, settings.files)

    def list_waiting(self) -> list[WaitingObject]:
        """Return what waits for a decision, oldest first."""
        waiting = []
        for item in self.items.find(states=WAITING):
            if self._was_cut_off(item):
                self._end_release(item)
            else:
                waiting.append(self._describe(item))
        return waiting

    def render(self, item_id: int, frame: int = 0) -> bytes:
        """Return a frame of a waiting object as PNG.

        Raises
        ------
        NotFound
            If there is no such item, or its original is gone.
        InvalidRequest
            If the object has no image, or not this frame; a document's pages cannot be shown.
        NotDeidentifiable
            If its pixels cannot be decoded.
        """
        item = self._get(item_id)
        path = self._find_original(item)
        original = describe_original(path, item.digest)
        if original.document:
            raise InvalidRequest(
                f"This is a document ({original.document}, {path.stat().st_size // 1024} kB). Its pages cannot be "
                f"shown here: open the original of item {item.id} in the quarantine of {item.site}."
            )
        return render_original(path, frame)

    def release(self, item_id: int, person: Person, reason: str, regions: Iterable[MaskRegion] = ()) -> None:
        """Let an object through: it goes back into the inbox, with the regions to be blacked out on its way.

        What nobody can override (a file that was cut off, identifying values left in the output) still holds it back.
        Doing it again changes nothing.

        Raises
        ------
        PermissionDenied
            If the person is no steward.
        NotFound
            If there is no such item, or its original is gone.
        InvalidRequest
            If the reason is missing or names the patient, a region lies outside of the image, or another object is
            stored under this one's UID.
        AlreadyDecided
            If it was rejected, or does not wait any more.
        """
        person.require(Action.STEWARD)
        item = self._get(item_id)
        if item.state is ItemState.RELEASED:
            return
        self._require_waiting(item)
        if item.state is ItemState.CONFLICT:
            raise InvalidRequest("Another object is stored under the same UID: this one can only be rejected.")
        original = describe_original(self._find_original(item), item.digest)
        reason = _require_reason(reason, original)
        wanted = _require_inside(regions, original)
        self.approvals.record(
            item.digest, Approval(person.name, reason, datetime.now(UTC), wanted, original.hides_overlay)
        )
        detail = {"site": item.site, "reason": reason, "regions": len(wanted), "was": item.reason or ""}
        append_event(self._audit, person, "release", f"item {item.id}", detail)
        self._end_release(item)

    def reject(self, item_id: int, person: Person, reason: str) -> None:
        """Refuse an object for good; its original stays where it is. Doing it again changes nothing.

        Raises
        ------
        PermissionDenied
            If the person is no steward.
        NotFound
            If there is no such item.
        InvalidRequest
            If the reason is missing or names the patient.
        AlreadyDecided
            If it was released, or does not wait any more.
        """
        person.require(Action.STEWARD)
        item = self._get(item_id)
        if item.state is ItemState.REJECTED:
            return
        self._require_waiting(item)
        reason = _require_reason(reason, describe_original(self.zone.root / item.location, item.digest))
        detail = {"site": item.site, "reason": reason, "was": item.reason or ""}
        append_event(self._audit, person, "reject", f"item {item.id}", detail)
        self.items.advance(item, ItemState.REJECTED, reason=f"Rejected by {person.name}: {reason}")
        self.approvals.forget_verdict(item.id)

    def _end_release(self, item: IntakeItem) -> None:
        """Move an approved original back into the inbox; it may have been cut off on the way there."""
        inbox = self.zone.inbox / item.site
        inbox.mkdir(exist_ok=True)
        source = self.zone.root / item.location
        base = os.path.dirname(item.name) or "."
        beside = [source.parent / os.path.relpath(name, base) for name in item.companions]
        first, *_ = put_back([source, *beside], inbox, f"released-{item.id}")
        for note in source.parent.glob("*.reason.txt"):
            if source.name.startswith(note.name.removesuffix(".reason.txt")):
                note.unlink(missing_ok=True)
        location = str(first.relative_to(self.zone.root))
        self.items.advance(item, ItemState.RELEASED, location=location, settled=True)
        self.approvals.forget_verdict(item.id)

    def _was_cut_off(self, item: IntakeItem) -> bool:
        """Whether a release of the item was decided and begun, but not recorded."""
        is_gone = item.settled and not (self.zone.root / item.location).exists()
        return is_gone and self.approvals.find(item.digest) is not None

    def _describe(self, item: IntakeItem) -> WaitingObject:
        found = self.approvals.read_verdict(item.id)
        original = describe_original(self.zone.root / item.location, item.digest)
        if found is None:
            return WaitingObject(item, original, (), ())
        return WaitingObject(item, original, tuple(word.text for word in found.words), found.regions)

    def _get(self, item_id: int) -> IntakeItem:
        item = self.items.get(item_id)
        if item is None:
            raise NotFound(f"There is no item {item_id}.")
        return item

    def _require_waiting(self, item: IntakeItem) -> None:
        if item.state not in WAITING or not item.settled:
            raise AlreadyDecided(f"Item {item.id} does not wait for a decision: it is {item.state}.")

    def _find_original(self, item: IntakeItem) -> Path:
        path = self.zone.root / item.location
        if item.state not in WAITING or not path.is_file():
            raise NotFound(f"The original of item {item.id} is not in quarantine (any more).")
        return path


def _require_reason(reason: str, original: Original) -> str:
    """Return the reason, cut to size; it must be there, and must not name the patient."""
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise InvalidRequest(f"Say why, in at most {LONGEST_REASON} characters.")
    text = reason.casefold()
    if any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in original.names):
        raise InvalidRequest("The reason is kept in the audit log: leave out the patient's name, numbers and birthday.")
    return reason


def _require_inside(regions: Iterable[MaskRegion], original: Original) -> tuple[MaskRegion, ...]:
    wanted = tuple(regions)
    if any(region.x >= original.Columns or region.y >= original.Rows for region in wanted):
        raise InvalidRequest(f"A region lies outside of the image, which is {original.Columns} × {original.Rows}.")
    return wanted
