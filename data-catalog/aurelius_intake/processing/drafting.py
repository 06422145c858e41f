"""One object at a time: from its bytes to a de-identified draft on disk."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from aurelius_catalog.dicom.frame_locations import locate_frames
from aurelius_catalog.errors import NotDeidentifiable
from aurelius_catalog.index.deidentified import DeidentifiedFile, describe_deidentified, read_masked
from aurelius_deidentify.header import DeidentifiedObject, Profile
from aurelius_deidentify.media_types import find_suffix
from aurelius_deidentify.pixels import PixelVerdict, judge_pixels, mask_pixels
from aurelius_deidentify.residue.false_positives import name_places
from aurelius_deidentify.residue.scanner import ResidueScanner, find_residue
from aurelius_intake.foreign.recognition import ForeignFile
from aurelius_intake.processing.admissibility import find_refusal
from aurelius_intake.processing.batch import Findings, PreparedObject, ReadyObject
from aurelius_intake.zone.decisions import Approvals
from aurelius_intake.zone.items import IntakeItem

#: Tag, VR and length in front of native pixel data.
PIXEL_HEADER_BYTES = 12
Pieces = tuple[bytes, memoryview, bytes]


class Refused(NotDeidentifiable):
    """Only a person may let this object through; ``findings`` are what is known of it."""

    def __init__(self, reason: str, findings: Findings) -> None:
        super().__init__(reason)
        self.findings = findings


class StudyDraft:
    """A draft, and its bytes until they were searched.

    Parameters
    ----------
    ready
        What is to be stored.
    out
        What de-identification made of it.
    pieces
        The file in three parts, the middle one its pixel data; None where it is too large to be held.
    """

    def __init__(self, ready: ReadyObject, out: DeidentifiedObject, pieces: Pieces | None) -> None:
        self.ready, self.out, self.pieces = ready, out, pieces

    def find_residue(self, scanner: ResidueScanner) -> list[str]:
        """Return where in it one of the values is left, coincidences apart: attributes, never the values."""
        if self.pieces is None:
            return self._search_file(scanner)
        head, pixels, tail = self.pieces
        if not (scanner.scan(head) or scanner.scan(pixels, (0, len(pixels))) or scanner.scan(tail)):
            return []
        content = b"".join(self.pieces)  # telling a coincidence takes the whole file
        hits = find_residue(scanner, content, (len(head), len(head) + len(pixels)))
        return (name_places(content, hits) or ["a place without a name"]) if hits else []

    def _search_file(self, scanner: ResidueScanner) -> list[str]:
        with (
            self.ready.file.path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            memoryview(data) as view,
        ):
            return ["the file"] if scanner.scan(view, (0, len(view))) else []


class Drafter:
    """Writes drafts.

    Parameters
    ----------
    root
        The identified zone, where people's decisions about single objects are.
    profile
        Is recorded with every object.
    """

    def __init__(self, root: Path, profile: Profile) -> None:
        self.approvals = Approvals(root)
        self.profile = f"{profile.name}@{profile.version}"
        self._profile_hash = profile.sha256

    def draft(self, prepared: PreparedObject, item: IntakeItem, content: bytes) -> StudyDraft:
        """De-identify a DICOM object.

        Raises
        ------
        NotDeidentifiable
            If it may not be given away; as `Refused` where it could be read.
        """
        out = prepared.session.rewrite(content)
        try:
            return self._judge(prepared, item, content, out)
        except Exception:
            prepared.session.take_back(out)  # what is not given away is not certified
            raise

    def _judge(self, prepared: PreparedObject, item: IntakeItem, content: bytes, out: DeidentifiedObject) -> StudyDraft:
        """Write the draft, unless something speaks against it."""
        approval = self.approvals.find(item.digest)
        findings = Findings(out.pseudonym, dict(out.actions))
        if refusal := find_refusal(out.original, pixels=out.pixels, approved=approval is not None):
            raise Refused(refusal, findings)
        verdict = approval.verdict if approval else judge_pixels(out.original, content, prepared.session.identifiers)
        findings = Findings(out.pseudonym, dict(out.actions), _describe(verdict))
        if verdict.outcome == "person":
            self.approvals.note_verdict(item.id, verdict)
            raise Refused(verdict.reason, findings)
        path = prepared.drafts / f"{item.id}.dcm"
        masked = (
            mask_pixels(b"".join((out.head, out.pixels, out.tail)), verdict.regions)
            if verdict.outcome == "mask"
            else None
        )
        file, pieces = self._write(path, out) if masked is None else self._write_masked(path, out, masked)
        prepared.people[out.pseudonym] = (out.PatientID, out.PatientName)
        return StudyDraft(ReadyObject(item, findings, file, verdict.summary), out, pieces)

    def draft_foreign(self, prepared: PreparedObject, item: IntakeItem, foreign: ForeignFile) -> StudyDraft:
        """Clean a file that is no DICOM object.

        Raises
        ------
        NotDeidentifiable
            If it may not be given away.
        """
        if (content := foreign.to_dicom()) is not None:
            draft = self.draft(prepared, item, content)
        else:
            out = prepared.session.rewrite(foreign.stub())
            path = prepared.drafts / f"{item.id}{find_suffix(foreign.media_type)}"
            foreign.write_clean(path)
            record = self._describe_profile(out)
            file = describe_deidentified(path, out, media_type=foreign.media_type, deidentification=record)
            prepared.people[out.pseudonym] = (out.PatientID, out.PatientName)
            summary = "clean by rule: whatever is no pixel of the image itself was left out"
            draft = StudyDraft(ReadyObject(item, Findings(out.pseudonym, dict(out.actions)), file, summary), out, None)
        prepared.session.identifiers |= foreign.evidence
        prepared.projects |= {foreign.project} if foreign.project else set()
        prepared.flags |= foreign.flags
        return draft

    def _write(self, path: Path, out: DeidentifiedObject) -> tuple[DeidentifiedFile, Pieces]:
        pieces = (out.head, out.pixels, out.tail)
        write_pieces(path, pieces)
        syntax = out.TransferSyntaxUID
        table = partial(_read_table, out)
        frames = locate_frames(out.pixels, len(out.head), out.header, syntax, table)
        record = self._describe_profile(out)
        file = describe_deidentified(path, out, frames=frames, TransferSyntaxUID=syntax, deidentification=record)
        return file, pieces

    def _write_masked(self, path: Path, out: DeidentifiedObject, masked: bytes) -> tuple[DeidentifiedFile, Pieces]:
        write_pieces(path, (masked,))
        file = read_masked(path, out, self._describe_profile(out))
        start = file.frames[0][0] - PIXEL_HEADER_BYTES if file.frames else len(masked)
        return file, (masked[:start], memoryview(masked)[start:], b"")

    def _describe_profile(self, out: DeidentifiedObject) -> dict[str, Any]:
        return {"profile": self.profile, "sha256": self._profile_hash, "actions": dict(out.actions)}


def write_pieces(path: Path, pieces: Iterable[bytes | memoryview]) -> int:
    """Write the pieces of a file one after the other; returns its size in bytes."""
    rest = [memoryview(piece) for piece in pieces if len(piece)]
    size = sum(map(len, rest))
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        while rest:
            written = os.writev(handle, rest)
            while rest and written >= len(rest[0]):
                written -= len(rest.pop(0))
            if written:
                rest[0] = rest[0][written:]
    finally:
        os.close(handle)
    return size


def _read_table(out: DeidentifiedObject) -> bytes | None:
    table: bytes | None = out.dataset.get("ExtendedOffsetTable")
    return table


def _describe(verdict: PixelVerdict) -> dict[str, Any]:
    regions = [[region.x, region.y, region.width, region.height] for region in verdict.regions]
    return {"outcome": verdict.outcome, "method": verdict.method, "reason": verdict.reason, "regions": regions}
