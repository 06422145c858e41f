"""The pipeline in which every object that came in gets its disposition."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

from sqlalchemy.exc import OperationalError

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import AureliusError, Withdrawn
from aurelius_catalog.hosting.free_space import has_room
from aurelius_catalog.index.audit_log import append_event
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.deidentified import DeidentifiedStudy
from aurelius_catalog.local.store import LocalStore
from aurelius_deidentify.header import load_profile
from aurelius_deidentify.residue.scanner import ResidueReport
from aurelius_intake.certificates.certificate import CertifiedObject, issue_certificate
from aurelius_intake.certificates.page import load_template
from aurelius_intake.metrics import STUDY_SECONDS
from aurelius_intake.processing.batch import FOLDERS, PreparedObject, ReadyObject
from aurelius_intake.processing.flags import find_flags
from aurelius_intake.processing.preparation import Preparation
from aurelius_intake.processing.sources import SHORTAGES
from aurelius_intake.receiving.archive import name_draft, reveal
from aurelius_intake.receiving.inbox import Inbox, StudyBatch
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import Vault
from aurelius_intake.zone.folders import Zone
from aurelius_intake.zone.items import IntakeItem, IntakeItems, ItemState

log = logging.getLogger("aurelius.intake")
PATIENCE_S = 5.0
WITHDRAWN = "Withdrawn: this patient's images must not come in again."
#: Whose reasons are written beside the original.
EXPLAINED = frozenset({ItemState.CONFLICT, ItemState.QUARANTINED, ItemState.FAILED})


class Pipeline:
    """Takes batches from the inboxes, one after the other, and gives every file of them a disposition.

    Whatever moment the process dies at, the next one continues: a file leaves the inbox only after its end was
    recorded, the record is made only after the catalog holds the study, and doing any step again changes nothing,
    because de-identification gives the same bytes again and the catalog leaves alone what it has.

    While one batch waits for the disk, the next is de-identified.

    Parameters
    ----------
    settings
        Where the house keeps its state.
    vault
        Gives the key of pseudonyms, and keeps the way back.
    observe
        Is told how many seconds each batch took.
    """

    def __init__(
        self, settings: IntakeSettings, vault: Vault, observe: Callable[[float], None] = STUDY_SECONDS.observe
    ) -> None:
        self.settings = settings
        self.vault = vault
        self.zone = Zone(settings)
        self.items = IntakeItems(self.zone.database)
        self.inbox = Inbox(self.zone, settings.intake_quiet_s)
        self.store = LocalStore(settings, Person.service("intake"))
        self.profile = load_profile(settings.intake_profile)
        self.preparation = Preparation(settings, self.zone, self.items, vault.pseudonyms, self.profile)
        self._observe = observe
        self._full = False
        load_template()  # the certificate's page: compiled now, not in the midst of the first study

    def recover(self) -> None:
        """Finish what an earlier process had decided but not carried out, and drop its drafts."""
        shutil.rmtree(self.zone.drafts, ignore_errors=True)
        self._settle(self.items.list_unsettled())

    def work(self, stop: Event) -> int:
        """Take every batch that came to rest; returns how many files were given a disposition."""
        return sum(self.take(self.inbox.collect(site), stop) for site in self.zone.list_sites())

    def take(self, batches: Iterable[StudyBatch], stop: Event) -> int:
        """Take batches of files; returns how many files were given a disposition."""
        taken = 0
        with ThreadPoolExecutor(1, "finish") as finisher:
            pending: Future[int] | None = None
            for batch in batches:
                if stop.is_set() or not self._finds_room(batch):
                    break
                following = self._begin(batch, finisher, stop)
                taken += self._await(pending, stop)
                pending = following
            return taken + self._await(pending, stop)

    def _begin(self, batch: StudyBatch, finisher: ThreadPoolExecutor, stop: Event) -> Future[int] | None:
        try:
            return finisher.submit(self._finish, self.preparation.prepare(batch))
        except (OSError, OperationalError) as error:
            self._wait(error, stop)
        except Exception as error:
            log.error("a study of %s is skipped for now: unexpected %s", batch.site, type(error).__name__)
            stop.wait(PATIENCE_S)
        return None

    def _await(self, pending: Future[int] | None, stop: Event) -> int:
        try:
            return pending.result() if pending else 0
        except (OSError, OperationalError) as error:
            self._wait(error, stop)
        except Exception as error:
            log.error("a study is skipped for now: unexpected %s", type(error).__name__)
            stop.wait(PATIENCE_S)
        return 0

    def _wait(self, error: OSError | OperationalError, stop: Event) -> None:
        # A full disk or a busy index is no file's fault: everything stays where it is for the next round.
        log.error("a study must wait %g s: %s", PATIENCE_S, _explain(error))
        stop.wait(PATIENCE_S)

    def _finds_room(self, batch: StudyBatch) -> bool:
        """Whether the batch may be taken; what changes about that is said once."""
        full = not has_room(self.settings, batch.size_bytes)
        if full != self._full:
            reserve = self.settings.intake_reserve_mb
            if full:
                log.error("the disk is too full: nothing is taken until %d MiB stay free", reserve)
            else:
                log.info("there is room again: files are taken")
        self._full = full
        return not full

    # -- finishing -------------------------------------------------------------------------------

    def _finish(self, prepared: PreparedObject) -> int:
        try:
            if prepared.ready:
                self._store(prepared, prepared.ready)
            self._record(prepared)
        finally:
            shutil.rmtree(prepared.drafts, ignore_errors=True)
        self._observe(time.monotonic() - prepared.started)
        return len(prepared.endings) + len(prepared.unsettled)

    def _store(self, prepared: PreparedObject, ready: Sequence[ReadyObject]) -> None:
        files = tuple(each.file for each in ready)
        flags = find_flags(files) | prepared.flags
        study = DeidentifiedStudy(prepared.site, files, flags, frozenset(prepared.projects))
        try:
            self.store.check_not_withdrawn(study)
            self._remember(prepared, study)
            self.store.add_study(study)
        except (OSError, OperationalError):
            raise
        except Withdrawn:
            for pseudonym in study.patients:
                if self.store.has_withdrawn(pseudonym):  # at this very moment, perhaps
                    self.vault.forget(pseudonym)
            self._end_all(prepared, ready, ItemState.QUARANTINED, WITHDRAWN)
        except Exception as error:
            self._store_apart(prepared, ready, error)
        else:
            self._certify(prepared, study, ready)
            self._end_all(prepared, ready, ItemState.STORED, None)

    def _remember(self, prepared: PreparedObject, study: DeidentifiedStudy) -> None:
        """Seal the way back before anybody can see what it leads back from."""
        for pseudonym, (PatientID, PatientName) in prepared.people.items():
            self.vault.remember(
                site=prepared.site,
                PatientID=PatientID,
                PatientName=PatientName,
                pseudonym=pseudonym,
                StudyInstanceUID=study.StudyInstanceUID,
                uids=prepared.session.uids,
                evidence=prepared.session.identifiers,
            )

    def _certify(self, prepared: PreparedObject, study: DeidentifiedStudy, ready: Sequence[ReadyObject]) -> None:
        scanned = sum(file.size_bytes for file in study.files)
        issue_certificate(
            self.settings,
            site=study.site,
            StudyInstanceUID=study.StudyInstanceUID,
            profile=self.profile,
            objects=[CertifiedObject(each.file.SOPInstanceUID, each.file.sha256, each.summary, 0) for each in ready],
            touched=prepared.session.touched,
            residue=ResidueReport(prepared.residue_values, scanned, 0),
            signer=self.vault.sign,
            public_key=self.vault.public_key,
        )

    def _store_apart(self, prepared: PreparedObject, ready: Sequence[ReadyObject], error: Exception) -> None:
        """Store the other series of a study although one of them cannot be stored."""
        series: dict[str, list[ReadyObject]] = defaultdict(list)
        for each in ready:
            series[each.file.SeriesInstanceUID].append(each)
        if len(series) > 1:
            for part in series.values():
                self._store(prepared, part)
            return
        message = str(error) if isinstance(error, AureliusError) else f"unexpected {type(error).__name__}"
        self._end_all(prepared, ready, ItemState.FAILED, f"The catalog could not take its series: {message}")

    def _end_all(
        self, prepared: PreparedObject, ready: Iterable[ReadyObject], state: ItemState, reason: str | None
    ) -> None:
        for each in ready:
            prepared.end(each.item, state, reason, each.findings)

    def _record(self, prepared: PreparedObject) -> None:
        """Record how every object ended, in one transaction, then move the originals to where they are kept."""
        profile = self.preparation.drafter.profile
        changes: list[dict[str, Any]] = [
            {
                "id": ending.item.id,
                "state": ending.state,
                "reason": ending.reason,
                "pseudonym": ending.findings.pseudonym,
                "profile": profile if ending.findings.actions else None,
                "actions": ending.findings.actions,
                "verdict": ending.findings.verdict,
                "location": self._place(ending.item, ending.state),
            }
            for ending in prepared.endings
        ]
        self.items.update(changes)
        self.items.sync()
        ids = [ending.item.id for ending in prepared.endings]
        counted = Counter(ending.state for ending in prepared.endings)
        if ids:
            message = ", ".join(f"{number} {state}" for state, number in counted.items())
            log.info("%s: %s (items %d to %d)", prepared.site, message, min(ids), max(ids))
        turned_away = {str(state): number for state, number in counted.items() if state in EXPLAINED}
        if turned_away:
            append_event(open_engine(self.settings), self.store.person, "turn away", prepared.site, turned_away)
        for ending in prepared.endings:
            if ending.state in EXPLAINED:
                log.info("item %d: %s - %s", ending.item.id, ending.state, ending.reason)
        ended = [replace(ending.item, **change) for ending, change in zip(prepared.endings, changes, strict=True)]
        self._settle([*prepared.unsettled, *ended])

    def _place(self, item: IntakeItem, state: ItemState) -> str:
        return self.zone.place(FOLDERS[state], item.site, item.name, item.id)

    def _settle(self, ended: Sequence[IntakeItem]) -> None:
        """Move originals to where their records say they are."""
        moved = []
        for item in ended:
            beside = item.reason if item.state in EXPLAINED else None
            try:
                if item.state == ItemState.UNPACKED:
                    archive = self.zone.inbox / item.site / item.name
                    reveal(name_draft(archive, item.id), archive)
                self.zone.move(item.site, [item.name, *item.companions], item.location, beside)
            except OSError as error:
                if error.errno in SHORTAGES:
                    raise
                log.error("item %d cannot be moved out of the inbox: %s", item.id, _explain(error))
            else:
                moved.append(item)
        for site in {item.site for item in moved}:
            self.zone.tidy(site, [item.name for item in moved if item.site == site])
        self.items.settle([item.id for item in moved])


def _explain(error: OSError | OperationalError) -> str:
    """Say what is wrong without the file names that an error's own text may hold."""
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
