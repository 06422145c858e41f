"""The records of a batch on its way: what was found, what is ready to be stored, and what will not be."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aurelius_catalog.index.deidentified import DeidentifiedFile
from aurelius_deidentify.header import StudySession
from aurelius_intake.zone.items import IntakeItem, ItemState

#: Where the original of an object that ended is kept.
FOLDERS: Mapping[ItemState, str] = {
    ItemState.STORED: "processed",
    ItemState.DUPLICATE: "processed",
    ItemState.UNPACKED: "processed",
    ItemState.LISTED: "processed",
    ItemState.CONFLICT: "quarantine",
    ItemState.QUARANTINED: "quarantine",
    ItemState.FAILED: "failed",
}


@dataclass(frozen=True)
class Findings:
    """What was found out about an object on its way, for its record.

    Parameters
    ----------
    pseudonym
        Whose object it is; None if nobody could tell.
    actions
        How many attributes met which action.
    verdict
        What was decided about the pixels: outcome, method, reason; never the words.
    """

    pseudonym: str | None = None
    actions: Mapping[str, int] | None = None
    verdict: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ReadyObject:
    """An object whose de-identified draft is written.

    Parameters
    ----------
    item, findings
        Its record.
    file
        The draft.
    summary
        What to tell about the pixels in a certificate.
    """

    item: IntakeItem
    findings: Findings
    file: DeidentifiedFile
    summary: str


@dataclass(frozen=True)
class Disposition:
    """An object that has got its disposition."""

    item: IntakeItem
    state: ItemState
    reason: str | None
    findings: Findings


@dataclass
class PreparedObject:
    """A batch on its way.

    Parameters
    ----------
    site
        The clinic.
    session
        The de-identification of this study.
    drafts
        Folder of its drafts.
    ready, endings
        What waits to be stored, and what will not be.
    unsettled
        What an earlier process had decided about but not moved.
    people
        For each pseudonym PatientID and PatientName.
    projects, flags
        What files that are no DICOM say of their study: see `Foreign`.
    """

    site: str
    session: StudySession
    drafts: Path
    ready: list[ReadyObject] = field(default_factory=list)
    endings: list[Disposition] = field(default_factory=list)
    unsettled: list[IntakeItem] = field(default_factory=list)
    people: dict[str, tuple[str, str]] = field(default_factory=dict)
    projects: set[str] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)
    residue_values: int = 0
    started: float = field(default_factory=time.monotonic)

    def end(self, item: IntakeItem, state: ItemState, reason: str | None, findings: Findings | None = None) -> None:
        """Give an object its disposition."""
        self.endings.append(Disposition(item, state, reason, findings or Findings()))
