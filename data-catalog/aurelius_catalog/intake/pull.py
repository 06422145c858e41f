"""Pulling studies from a DICOMweb server (PS3.18: QIDO-RS, WADO-RS) into a site's inbox, each object once."""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests
from dicomweb_client import DICOMwebClient
from pydicom import dcmread
from pydicom.datadict import tag_for_keyword

from aurelius_catalog.errors import CatalogError, InvalidRequest, NotFound, PermissionDenied, Unreachable
from aurelius_catalog.intake.delivery import UID_VALUE, Draft
from aurelius_catalog.intake.disk_guard import has_room
from aurelius_catalog.intake.journal import Journal, SeriesName
from aurelius_catalog.intake.parts import PartReader
from aurelius_catalog.intake.sites import Site
from aurelius_catalog.settings import CatalogSettings

log = logging.getLogger("aurelius.intake.pull")
T = TypeVar("T")

SECRET_VARIABLE = "AURELIUS_PULL_SECRET"  # noqa: S105 - the name of it
PAGE = 1000
#: What is waited for before it is looked at: enough to sync several small objects at once.
BLOCK_BYTES = 1 << 18
TIMEOUT_S = (10, 120)
ATTEMPTS = 6
#: As the server stores them: no server need decode anything for us (PS3.18 section 8.7.3.5.2).
ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})


class Withheld(Unreachable):
    """The server answers, but not with what was asked for."""


@dataclass(frozen=True)
class FoundStudy:
    """What a server says of a study, as far as one needs it to choose."""

    StudyInstanceUID: str
    StudyDate: str
    ModalitiesInStudy: str
    n_instances: str


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
    site
        Where the server is.
    journal
        Of the site; held by the caller while something is fetched.
    wait_s
        Seconds before the first repetition after an error that may pass; doubled each time.

    Raises
    ------
    InvalidRequest
        If the site has no server, or its secret cannot be used.
    """

    def __init__(self, settings: CatalogSettings, site: Site, journal: Journal, wait_s: float = 1.0) -> None:
        if site.pull is None:
            raise InvalidRequest(f"sites.toml gives no `pull` address for {journal.site}.")
        logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)  # it quotes addresses with UIDs
        self.settings, self.journal, self.wait_s, self.address = settings, journal, wait_s, site.pull
        self.session = open_session(settings, site)
        self.client = DICOMwebClient(site.pull, session=self.session, permissive_uid=True, timeout=TIMEOUT_S)
        self.client.set_http_retry_params(retry=False)  # repeated here, where a broken connection counts as well

    def find_studies(self, conditions: Mapping[str, str]) -> list[FoundStudy]:
        """Ask the server for studies, by DICOM keywords and values as QIDO-RS knows them.

        Raises
        ------
        InvalidRequest
            If a keyword is no attribute.
        """
        filters = {
            "ModalitiesInStudy" if keyword == "Modality" else keyword: conditions[keyword] for keyword in conditions
        }
        for keyword in filters:
            if tag_for_keyword(keyword) is None:
                raise InvalidRequest(f"{keyword!r} is no DICOM attribute: write it as in PatientID or StudyDate.")
        fields = ["StudyInstanceUID", "StudyDate", "ModalitiesInStudy", "NumberOfStudyRelatedInstances"]

        def search(limit: int, offset: int) -> list[dict[str, Any]]:
            return self.client.search_for_studies(limit=limit, offset=offset, fields=fields, search_filters=filters)

        found = self._list_all(search, "StudyInstanceUID")
        return [FoundStudy(*(_read_value(entry, keyword) for keyword in fields)) for entry in found]

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
        found = self._list_all(
            lambda limit, offset: self.client.search_for_series(StudyInstanceUID, limit=limit, offset=offset),
            "SeriesInstanceUID",
        )
        if not found:
            raise NotFound("The server has no such study.")
        ended = [self._pull_series(SeriesName(StudyInstanceUID, _read_value(e, "SeriesInstanceUID"))) for e in found]
        return Pulled(sum(e.fetched for e in ended), sum(e.there for e in ended), sum(e.missing for e in ended))

    def _pull_series(self, series: SeriesName) -> Pulled:
        study, uid = series.StudyInstanceUID, series.SeriesInstanceUID
        found = self._list_all(
            lambda limit, offset: self.client.search_for_instances(study, uid, limit=limit, offset=offset),
            "SOPInstanceUID",
        )
        listed = {_read_value(entry, "SOPInstanceUID") for entry in found}
        there = listed & self.journal.list_arrived(series)
        address = f"{self.address}/studies/{study}/series/{uid}"
        if not there:  # in one stream; from where that breaks off, one by one: nothing is sent twice
            try:
                self._fetch(series, address, listed)
            except requests.RequestException as error:
                log.warning("the stream of a series broke off (%s); going on one by one", type(error).__name__)
        for instance in sorted(listed - self.journal.list_arrived(series)):
            with suppress(NotFound, Withheld):  # counted as missing; the others go on
                self._persist(self._fetch, series, f"{address}/instances/{instance}", {instance}, attempts=3)
        arrived = listed & self.journal.list_arrived(series)
        return Pulled(len(arrived - there), len(there), len(listed - arrived))

    def _fetch(self, series: SeriesName, address: str, wanted: set[str]) -> None:
        """Land what one answer brings, as its parts become whole."""
        headers = {"Accept": ACCEPT}
        with self.session.get(address, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            answer.raise_for_status()
            reader = PartReader(answer.headers.get("Content-Type", ""), self.journal.folder)
            try:
                for block in answer.iter_content(BLOCK_BYTES):
                    if not has_room(self.settings, BLOCK_BYTES):
                        raise InvalidRequest(
                            "There is too little free disk. Pull again when there is more: it goes on."
                        )
                    self._land(series, reader.feed(block), wanted)
            finally:
                reader.discard()

    def _land(self, series: SeriesName, parts: Sequence[Path], wanted: set[str]) -> None:
        drafts: list[Draft] = []
        for path in parts:
            uid = _read_uid(path)
            if uid in wanted and uid not in {draft.SOPInstanceUID for draft in drafts}:
                wanted = wanted - {uid}
                drafts.append(Draft(path, uid))
            else:
                log.warning("the server sent something that was not asked for; it is left out")
                path.unlink()
        if drafts:
            self.journal.land(series, drafts)

    def _list_all(self, search: Callable[[int, int], list[dict[str, Any]]], keyword: str) -> list[dict[str, Any]]:
        """Ask page by page; a server that ignores the limit is asked once more than needed."""
        found: dict[str, dict[str, Any]] = {}
        while True:
            page = self._persist(search, PAGE, len(found))
            new = {_read_value(entry, keyword): entry for entry in page}
            new = {uid: entry for uid, entry in new.items() if UID_VALUE.fullmatch(uid) and uid not in found}
            found |= new
            if not new or len(page) < PAGE:
                return list(found.values())

    def _persist(self, call: Callable[..., T], *arguments: Any, attempts: int = ATTEMPTS) -> T:
        """Repeat what fails for a reason that may pass; errors say what happened without the address asked for."""
        for number in range(attempts):
            try:
                return call(*arguments)
            except requests.RequestException as error:
                said = _explain(error)
            if not isinstance(said, Unreachable):
                break
            log.warning("%s", said)
            if number < attempts - 1:
                time.sleep(self.wait_s * 2**number)
        raise said


def open_session(settings: CatalogSettings, site: Site) -> requests.Session:
    """Return a session that carries the site's secret: ``user:password``, or a bearer token.

    Raises
    ------
    InvalidRequest
        If the secret's file cannot be read, or others may read it.
    """
    session = requests.Session()
    session.trust_env = False  # no proxy and no .netrc: only what sites.toml says is asked
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
    secret = os.environ.get(SECRET_VARIABLE, "")
    if not secret and site.pull_secret is not None:
        secret = _read_secret(settings.home / site.pull_secret)
    user, colon, password = secret.partition(":")
    if colon:
        session.auth = (user, password)
    elif secret:
        session.headers["Authorization"] = f"Bearer {secret}"
    return session


def _read_secret(file: Path) -> str:
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise InvalidRequest(f"Others may read {file.name}: chmod 600 it, and change the password.")
        return file.read_text("utf-8").strip()
    except OSError as error:
        raise InvalidRequest(f"{file.name} cannot be read: {error.strerror}.") from None


def _explain(error: requests.RequestException) -> CatalogError:
    code = error.response.status_code if error.response is not None else 0
    if not code:
        what = type(error).__name__
        return Unreachable(f"The server does not answer ({what}). Pull again later: what has arrived stays.")
    if code in TEMPORARY:
        return Withheld(f"The server answers {code}. Pull again later: what has arrived stays.")
    if code in (401, 403):
        return PermissionDenied(f"The server answers {code}: check pull_secret in sites.toml, or {SECRET_VARIABLE}.")
    if code == 404:
        return NotFound("The server answers 404: check `pull` in sites.toml, and the UID.")
    return InvalidRequest(f"The server answers {code} to what was asked; it may not know one of the attributes.")


def _read_value(entry: Mapping[str, Any], keyword: str) -> str:
    """Return an attribute of a DICOM JSON object as text, several values joined; empty if it is not there."""
    values = entry.get(f"{tag_for_keyword(keyword):08X}", {}).get("Value") or []
    return "/".join(str(value) for value in values)


def _read_uid(path: Path) -> str:
    try:
        return str(dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).get("SOPInstanceUID", ""))
    except Exception:  # no DICOM: nobody asked for that
        return ""
