"""The desk where every object that came in gets its disposition."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections import defaultdict
from pathlib import Path
from threading import Event

from sqlalchemy.exc import OperationalError

from aurelius_catalog.deidentified import DeidentifiedFile, DeidentifiedStudy, read_deidentified
from aurelius_catalog.deidentify import Deidentifier, PseudonymKey, read_identified, write_deidentified
from aurelius_catalog.errors import CatalogError, NotDeidentifiable
from aurelius_catalog.intake.check import find_refusal
from aurelius_catalog.intake.inbox import Inbox
from aurelius_catalog.intake.items import FINAL, IntakeItem, Items, State
from aurelius_catalog.intake.zone import Zone
from aurelius_catalog.local import LocalStore
from aurelius_catalog.person import Person
from aurelius_catalog.settings import CatalogSettings

log = logging.getLogger("aurelius.intake")

#: Where the original of an object that ended is kept.
FOLDERS = {
    State.STORED: "processed",
    State.DUPLICATE: "processed",
    State.QUARANTINED: "quarantine",
    State.FAILED: "failed",
}
PATIENCE_S = 5
Ready = tuple[IntakeItem, DeidentifiedFile]


class Desk:
    """Takes studies from the inboxes, one after the other, and gives every file of them a disposition.

    Whatever moment the process dies at, the next one continues: a file leaves the inbox only after its end was
    recorded, the record is made only after the catalog holds the study, and doing any step again changes nothing,
    because de-identification gives the same bytes again and the catalog leaves alone what it has.

    Parameters
    ----------
    settings
        Where the house keeps its state.
    key
        For pseudonyms and UIDs.
    """

    def __init__(self, settings: CatalogSettings, key: PseudonymKey) -> None:
        self.zone = Zone(settings)
        self.items = Items(self.zone.database)
        self.inbox = Inbox(self.zone, settings.intake_quiet_s)
        self.store = LocalStore(settings, Person.service("intake"))
        self.key = key

    def recover(self) -> None:
        """Finish what an earlier process had decided but not carried out, and drop its drafts."""
        shutil.rmtree(self.zone.drafts, ignore_errors=True)
        for item in self.items.list_unsettled():
            self._settle(item)

    def work(self, stop: Event) -> int:
        """Take every study that came to rest; returns how many files were given a disposition."""
        taken = 0
        for site in self.zone.list_sites():
            deidentifier = Deidentifier(self.key, site)
            for paths in self.inbox.collect(site):
                if stop.is_set():
                    return taken
                try:
                    taken += self._take_study(site, paths, deidentifier, stop)
                except (OSError, OperationalError) as error:
                    # A full disk or a busy index is no file's fault: everything stays where it is for the next round.
                    log.error("a study of %s must wait %d s: %s", site, PATIENCE_S, _explain(error))
                    stop.wait(PATIENCE_S)
                except Exception as error:
                    log.error("a study of %s is skipped for now: unexpected %s", site, type(error).__name__)
                    stop.wait(PATIENCE_S)
        return taken

    def _take_study(self, site: str, paths: list[Path], deidentifier: Deidentifier, stop: Event) -> int:
        self.zone.drafts.mkdir(parents=True, exist_ok=True, mode=0o700)
        ready: list[Ready] = []
        for path in paths:
            if stop.is_set():
                return 0  # the study will be taken whole next time
            ready += self._take_file(site, path, deidentifier)
        if ready:
            self._store(site, ready)
        return len(paths)

    def _take_file(self, site: str, path: Path, deidentifier: Deidentifier) -> list[Ready]:
        """Return the de-identified file, or nothing if it got its disposition already."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        name = str(path.relative_to(self.zone.inbox / site))
        item = self.items.receive(site, name, digest, str(path.relative_to(self.zone.root)))
        if item.state in FINAL:
            self._settle(item)
            return []
        try:
            return self._deidentify(item, path, deidentifier)
        except NotDeidentifiable as error:
            self._end(item, State.QUARANTINED, str(error))
        except OSError:
            raise
        except Exception as error:
            log.error("item %d: unexpected %s", item.id, type(error).__name__)
            self._end(item, State.FAILED, f"Unexpected {type(error).__name__}: please report it, without the file.")
        return []

    def _deidentify(self, item: IntakeItem, path: Path, deidentifier: Deidentifier) -> list[Ready]:
        dataset = read_identified(path)
        refusal = find_refusal(dataset)
        if refusal:
            self._end(item, State.QUARANTINED, refusal)
            return []
        SOPInstanceUID = str(dataset.get("SOPInstanceUID") or "")
        twin = self.items.find_twin(item, SOPInstanceUID) if SOPInstanceUID else None
        if twin is not None and twin.sha256 == item.sha256:
            self._end(item, State.DUPLICATE, f"The same content came before, as item {twin.id}.")
            return []
        if twin is not None:
            self._end(item, State.QUARANTINED, f"Conflict: item {twin.id} has the same UID and other content.")
            return []
        item = self.items.advance(item, State.CHECKED, SOPInstanceUID=SOPInstanceUID)
        draft = self.zone.drafts / f"{item.id}.dcm"
        write_deidentified(dataset, draft, deidentifier)
        file = read_deidentified(draft)
        return [(self.items.advance(item, State.DEIDENTIFIED), file)]

    def _store(self, site: str, ready: list[Ready]) -> None:
        try:
            self.store.add_study(DeidentifiedStudy(site, tuple(file for _, file in ready)))
        except (OSError, OperationalError):
            raise
        except Exception as error:
            self._store_apart(site, ready, error)
            return
        ended = [self._record_end(item, State.STORED, None) for item, _ in ready]
        self.items.sync()
        for item in ended:
            self._settle(item)

    def _store_apart(self, site: str, ready: list[Ready], error: Exception) -> None:
        """Store the other series of a study although one of them cannot be stored."""
        series: dict[str, list[Ready]] = defaultdict(list)
        for item, file in ready:
            series[str(file.dataset.SeriesInstanceUID)].append((item, file))
        if len(series) > 1:
            for part in series.values():
                self._store(site, part)
            return
        said = str(error) if isinstance(error, CatalogError) else f"unexpected {type(error).__name__}"
        for item, _ in ready:
            self._end(item, State.FAILED, f"The catalog could not take its series: {said}")

    def _end(self, item: IntakeItem, state: State, reason: str | None) -> None:
        """Record how an object ended, then move its original to where that is kept."""
        item = self._record_end(item, state, reason)
        self.items.sync()
        self._settle(item)

    def _record_end(self, item: IntakeItem, state: State, reason: str | None) -> IntakeItem:
        location = self.zone.place(FOLDERS[state], item.site, item.name, item.id)
        log.info("item %d: %s%s", item.id, state, f" - {reason}" if reason else "")
        return self.items.advance(item, state, reason=reason, location=location)

    def _settle(self, item: IntakeItem) -> None:
        beside = item.reason if item.state in (State.QUARANTINED, State.FAILED) else None
        self.zone.move(item.site, item.name, item.location, beside)
        self.items.advance(item, item.state, settled=True)


def _explain(error: OSError | OperationalError) -> str:
    """Say what is wrong without the file names that an error's own text may hold."""
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
