"""Decisions about objects, and the findings in those that wait for one; identified zone only.

An approval belongs to a content, by its digest: wherever that content comes in again, it holds.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from aurelius_catalog.durable_files import write_durably
from aurelius_deidentify.pixels import MaskRegion, PixelVerdict, Word


@dataclass(frozen=True)
class Approval:
    """A steward's word that an object may be stored.

    Parameters
    ----------
    person, reason
        Who let it through, and why.
    at
        When (UTC).
    regions
        What is blacked out first; none: the pixels stay as they are.
    hidden
        Whether an overlay is hidden behind the pixel values, where the person could not see it: it is cleared.
    """

    person: str
    reason: str
    at: datetime
    regions: tuple[MaskRegion, ...] = ()
    hidden: bool = False

    @property
    def verdict(self) -> PixelVerdict:
        """The verdict that takes the place of the program's own."""
        outcome: Any = "mask" if self.regions or self.hidden else "clean"
        return PixelVerdict(outcome, "A steward looked at it and let it through.", self.regions, method="person")


class Approvals:
    """The approvals and findings below the identified zone, one small file each.

    Parameters
    ----------
    root
        The identified zone's folder.
    """

    def __init__(self, root: Path) -> None:
        self._approvals, self._findings = root / "approvals", root / "findings"

    def find(self, digest: str) -> Approval | None:
        """Return the approval of a content; None if nobody let it through."""
        content = _read_json(self._approvals / _name_file(digest))
        if content is None:
            return None
        regions = tuple(MaskRegion(**region) for region in content["regions"])
        return Approval(
            content["person"], content["reason"], datetime.fromisoformat(content["at"]), regions, content["hidden"]
        )

    def record(self, digest: str, approval: Approval) -> None:
        """Keep an approval; on return it survives a power cut."""
        _write_json(self._approvals / _name_file(digest), {**asdict(approval), "at": approval.at.isoformat()})

    def note_verdict(self, number: int, verdict: PixelVerdict) -> None:
        """Keep what was found in an item's pixels, words included, for the person who will decide."""
        _write_json(self._findings / f"{number}.json", asdict(verdict))

    def read_verdict(self, number: int) -> PixelVerdict | None:
        """Return what was found in an item's pixels; None if nobody looked."""
        content = _read_json(self._findings / f"{number}.json")
        if content is None:
            return None
        words = tuple(Word(w["text"], w["confidence"], MaskRegion(**w["region"])) for w in content["words"])
        regions = tuple(MaskRegion(**region) for region in content["regions"])
        return PixelVerdict(content["outcome"], content["reason"], regions, words, content["method"])

    def forget(self, number: int, digest: str) -> None:
        """Remove what was found in an item and decided about its content."""
        self.forget_verdict(number)
        (self._approvals / _name_file(digest)).unlink(missing_ok=True)

    def forget_verdict(self, number: int) -> None:
        """Remove what was found in an item's pixels: it has been decided."""
        (self._findings / f"{number}.json").unlink(missing_ok=True)


def _name_file(digest: str) -> str:
    return f"{digest.rpartition(':')[2]}.json"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_durably(path, json.dumps(content).encode())
