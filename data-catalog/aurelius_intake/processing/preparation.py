"""The preparation of a batch: from files in an inbox to de-identified drafts, searched for identifying values."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import replace
from functools import cache

from pydicom import Dataset

from aurelius_catalog.access.projects import load_rules
from aurelius_catalog.errors import AureliusError, NotDeidentifiable
from aurelius_deidentify.header import Deidentifier, Profile, PseudonymKey
from aurelius_deidentify.residue.scanner import ResidueScanner
from aurelius_intake.foreign.recognition import ForeignFile, read_foreign
from aurelius_intake.processing.batch import Findings, PreparedObject
from aurelius_intake.processing.drafting import Drafter, Refused, StudyDraft
from aurelius_intake.processing.sources import Source, read_large, read_portions
from aurelius_intake.receiving.archive import count_listed, is_archive, name_draft, unpack
from aurelius_intake.receiving.header_peek import HeaderPeek, glance_at
from aurelius_intake.receiving.inbox import GLANCE_BYTES, StudyBatch
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.zone.folders import Zone
from aurelius_intake.zone.items import FINAL, IntakeItem, IntakeItems, ItemState

log = logging.getLogger("aurelius.intake")
RESIDUE = "Residue: something that identifies the patient is left in what would be given away"
NOT_READABLE = "The file may not be read: allow it to the intake, and send it again."
NOTHING_KNOWN = "This is not a DICOM Part 10 file, nor anything else that is known here."


class Preparation:
    """De-identifies batches; what it makes is visible to no one.

    Parameters
    ----------
    settings
        Where the projects are.
    zone, items
        The folders and the records of the identified zone.
    key, profile
        What pseudonyms are made with, and what is done to headers.
    """

    def __init__(
        self, settings: IntakeSettings, zone: Zone, items: IntakeItems, key: PseudonymKey, profile: Profile
    ) -> None:
        self.settings, self.zone, self.items = settings, zone, items
        self.drafter = Drafter(zone.root, profile)
        self.find_deidentifier = cache(lambda site: Deidentifier(key, site, profile))
        self._piles = 0

    def prepare(self, batch: StudyBatch) -> PreparedObject:
        """Take every file of a batch as far as it goes without the catalog.

        Raises
        ------
        OSError, sqlalchemy.exc.OperationalError
            If disk or records cannot be written; the batch stays where it is.
        """
        self._piles += 1
        drafts = self.zone.drafts / f"{os.getpid()}-{self._piles}"
        drafts.mkdir(parents=True, exist_ok=True, mode=0o700)
        prepared = PreparedObject(batch.site, self.find_deidentifier(batch.site).open_study(), drafts)
        try:
            if batch.is_study:
                for sources in read_portions(batch, self.zone.inbox / batch.site):
                    self._take_objects(prepared, sources)
            else:
                self._take_other(prepared, batch)
            self._record_progress(prepared)
        except BaseException:
            shutil.rmtree(drafts, ignore_errors=True)
            raise
        return prepared

    def _take_objects(self, prepared: PreparedObject, sources: list[Source]) -> None:
        """Draft DICOM objects; what may not be drafted gets its disposition."""
        received = self.items.receive(prepared.site, [source.arrival for source in sources])
        drafts: list[StudyDraft] = []
        for source, (item, twin) in zip(sources, received, strict=True):
            if self._may_go_on(prepared, source, item, twin):
                drafts += self._draft(prepared, source, item)
        self._search(prepared, drafts)

    def _take_other(self, prepared: PreparedObject, batch: StudyBatch) -> None:
        """Take what belongs to no study: an archive, a DICOMDIR, a slide with its companions, or anything."""
        paths = tuple(sorted((file.path for file in batch.files), key=lambda path: str(path) != batch.key))
        source = read_large(paths, self.zone.inbox / batch.site)
        if source is None:
            return
        understood = self._understand(source)
        if isinstance(understood, ForeignFile):
            source = _name(source, understood.header)
        [(item, twin)] = self.items.receive(prepared.site, [source.arrival])
        if self._may_go_on(prepared, source, item, twin):
            self._search(prepared, self._draft(prepared, source, item, understood))

    def _understand(self, source: Source) -> ForeignFile | Exception | None:
        """Read what is no DICOM, because its UID must be known first; why it cannot be read is said with its record."""
        try:
            projects = load_rules(self.settings.projects_file).keys()
            return read_foreign(source.path, projects) if source.is_readable else None
        except OSError:
            raise
        except Exception as error:
            return error

    def _may_go_on(self, prepared: PreparedObject, source: Source, item: IntakeItem, twin: IntakeItem | None) -> bool:
        findings = Findings(self._name_patient(prepared.site, source.glance))
        if item.state in FINAL:
            prepared.unsettled.append(item)
        elif not source.is_readable:
            prepared.end(item, ItemState.FAILED, NOT_READABLE)
        elif twin is None:
            return True
        elif source.is_same(twin):
            prepared.end(item, ItemState.DUPLICATE, f"The same content came before, as item {twin.id}.", findings)
        else:
            reason = f"Conflict: item {twin.id} has the same UID and other content."
            prepared.end(item, ItemState.CONFLICT, reason, findings)
        return False

    def _draft(
        self,
        prepared: PreparedObject,
        source: Source,
        item: IntakeItem,
        understood: ForeignFile | Exception | None = None,
    ) -> list[StudyDraft]:
        """Write the de-identified draft of a file; what gets none gets its disposition."""
        try:
            if isinstance(understood, ForeignFile):
                return [self.drafter.draft_foreign(prepared, item, understood)]
            if source.glance.is_object:
                return [self.drafter.draft(prepared, item, source.content)]
            return self._draft_other(prepared, source, item, understood)
        except Refused as refused:
            prepared.end(item, ItemState.QUARANTINED, str(refused), refused.findings)
        except AureliusError as error:  # foreseen: it cannot be de-identified, or has not what the index needs
            findings = Findings(self._name_patient(prepared.site, source.glance))
            prepared.end(item, ItemState.QUARANTINED, str(error), findings)
        except OSError:
            raise
        except Exception as error:
            log.error("item %d: unexpected %s", item.id, type(error).__name__)
            message = f"Unexpected {type(error).__name__}: please report it, without the file."
            prepared.end(item, ItemState.FAILED, message)
        return []

    def _draft_other(
        self, prepared: PreparedObject, source: Source, item: IntakeItem, trouble: Exception | None
    ) -> list[StudyDraft]:
        with source.path.open("rb") as file:
            start = file.read(GLANCE_BYTES)
        if glance_at(start).is_directory:
            message = f"A DICOMDIR; it lists {count_listed(source.path)} files, which come in by themselves."
            prepared.end(item, ItemState.LISTED, message)
        elif is_archive(source.path, start):
            count = unpack(source.path, name_draft(source.path, item.id), self.settings)
            prepared.end(item, ItemState.UNPACKED, f"An archive of {count} files, which come in by themselves.")
        elif trouble is not None:
            raise trouble
        elif start[128:132] == b"DICM":
            return [self.drafter.draft(prepared, item, source.path.read_bytes())]
        else:
            raise NotDeidentifiable(NOTHING_KNOWN)
        return []

    def _search(self, prepared: PreparedObject, drafts: list[StudyDraft]) -> None:
        """Look in every byte of the drafts for everything that identifies the patient."""
        if not drafts:
            return
        scanner = ResidueScanner(prepared.session.identifiers)
        prepared.residue_values = len(scanner.values)
        for draft in drafts:
            places = draft.find_residue(scanner)
            if places:
                prepared.session.take_back(draft.out)
                reason = f"{RESIDUE}, in {', '.join(places)}."
                prepared.end(draft.ready.item, ItemState.QUARANTINED, reason, draft.ready.findings)
            else:
                prepared.ready.append(draft.ready)

    def _record_progress(self, prepared: PreparedObject) -> None:
        """Record who waits to be stored, and whose it is: somebody may withdraw the patient at this moment."""
        for pseudonym in prepared.people:
            ids = [ready.item.id for ready in prepared.ready if ready.findings.pseudonym == pseudonym]
            self.items.mark_deidentified(ids, pseudonym)

    def _name_patient(self, site: str, glance: HeaderPeek) -> str | None:
        if not glance.is_object:
            return None
        return self.find_deidentifier(site).key.name_patient(
            site, glance.PatientID or f"study {glance.StudyInstanceUID}"
        )


def _name(source: Source, header: Dataset) -> Source:
    """Give a file the names its sidecar gives it, as a DICOM header would have."""
    SOPInstanceUID, StudyInstanceUID = str(header.SOPInstanceUID), str(header.StudyInstanceUID)
    arrival = replace(source.arrival, SOPInstanceUID=SOPInstanceUID, StudyInstanceUID=StudyInstanceUID)
    glance = replace(
        source.glance,
        SOPInstanceUID=SOPInstanceUID,
        StudyInstanceUID=StudyInstanceUID,
        PatientID=str(header.PatientID),
    )
    return replace(source, arrival=arrival, glance=glance)
