"""Pulling studies from a site's DICOMweb server into its inbox, each object once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydicom import dcmread

from aurelius_catalog.errors import InvalidRequest, NotFound
from aurelius_catalog.hosting.free_space import has_room
from aurelius_catalog.hosting.multipart_reader import PartReader
from aurelius_intake.receiving.delivery import ArrivedObject
from aurelius_intake.receiving.dicomweb_client import RemoteServer, Withheld
from aurelius_intake.receiving.pull_journal import Journal, SeriesName
from aurelius_intake.settings import IntakeSettings

log = logging.getLogger("aurelius.intake.pull")

#: What is waited for before it is looked at: enough to sync several small objects at once.
BLOCK_BYTES = 1 << 18
#: How often a single object is asked for before the others go on without it.
ATTEMPTS = 3


@dataclass(frozen=True)
class Pulled:
    """How the pull of a study ended: instances fetched now, there before, and not given by the server."""

    fetched: int
    there: int
    missing: int


class Puller:
    """Fetches what a site's server holds and has not arrived yet.

    Parameters
    ----------
    settings
        Say how much disk must stay free.
    server
        Where from.
    journal
        Of the site; held by the caller.
    """

    def __init__(self, settings: IntakeSettings, server: RemoteServer, journal: Journal) -> None:
        self.settings, self.server, self.journal = settings, server, journal

    def pull_study(self, StudyInstanceUID: str) -> Pulled:
        """Bring every instance of a study that has not arrived into the inbox.

        Raises
        ------
        NotFound
            If the server has no such study.
        Unreachable
            If the server does not answer any more; what arrived has arrived.
        InvalidRequest
            If there is too little free disk.
        """
        found = self.server.list_series(StudyInstanceUID)
        if not found:
            raise NotFound("The server has no such study.")
        ended = [self._pull_series(SeriesName(StudyInstanceUID, series)) for series in found]
        return Pulled(sum(e.fetched for e in ended), sum(e.there for e in ended), sum(e.missing for e in ended))

    def _pull_series(self, series: SeriesName) -> Pulled:
        listed = self.server.list_instances(series.StudyInstanceUID, series.SeriesInstanceUID)
        there = listed & self.journal.list_arrived(series)
        path = f"studies/{series.StudyInstanceUID}/series/{series.SeriesInstanceUID}"
        if not there:  # in one stream; from where that breaks off, one by one: nothing is sent twice
            try:
                self._fetch(series, path, set(listed))
            except httpx.HTTPError as error:
                log.warning("the stream of a series broke off (%s); going on one by one", type(error).__name__)
        for uid in sorted(listed - self.journal.list_arrived(series)):
            with suppress(NotFound, Withheld):  # counted as missing; the others go on
                self.server.persist(self._fetch, series, f"{path}/instances/{uid}", {uid}, attempts=ATTEMPTS)
        arrived = listed & self.journal.list_arrived(series)
        return Pulled(len(arrived - there), len(there), len(listed - arrived))

    def _fetch(self, series: SeriesName, path: str, wanted: set[str]) -> None:
        """Land what one answer brings, as its parts become whole."""
        with self.server.open_stream(path) as answer:
            reader = PartReader(answer.headers.get("Content-Type", ""), self.journal.folder)
            try:
                for block in answer.iter_bytes(BLOCK_BYTES):
                    if not has_room(self.settings, BLOCK_BYTES):
                        raise InvalidRequest(
                            "There is too little free disk. Pull again when there is more: it goes on."
                        )
                    self._land(series, reader.feed(block), wanted)
            finally:
                reader.discard()

    def _land(self, series: SeriesName, parts: Sequence[Path], wanted: set[str]) -> None:
        drafts: list[ArrivedObject] = []
        for path in parts:
            uid = _read_uid(path)
            if uid in wanted:
                wanted.discard(uid)
                drafts.append(ArrivedObject(path, uid))
            else:
                log.warning("the server sent something that was not asked for; it is left out")
                path.unlink()
        if drafts:
            self.journal.land(series, drafts)


def _read_uid(path: Path) -> str:
    try:
        return str(dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).get("SOPInstanceUID", ""))
    except Exception:  # no DICOM: nobody asked for that
        return ""
