"""A site's DICOMweb server (PS3.18: QIDO-RS, WADO-RS), asked patiently and without a word in errors that identifies."""

from __future__ import annotations

import logging
import os
import ssl
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydicom.datadict import tag_for_keyword

from aurelius_catalog.errors import AureliusError, InvalidRequest, NotFound, PermissionDenied, Unreachable
from aurelius_intake.receiving.delivery import UID_VALUE
from aurelius_intake.receiving.sites import Site

log = logging.getLogger("aurelius.intake.pull")
T = TypeVar("T")

SECRET_VARIABLE = "AURELIUS_PULL_SECRET"  # noqa: S105 - the name of it
PAGE = 1000
TIMEOUT = httpx.Timeout(120, connect=10)
ATTEMPTS = 6
#: As the server stores them: no server need decode anything for us (PS3.18 section 8.7.3.5.2).
ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
ACCEPT_JSON = "application/dicom+json, application/json"
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


class RemoteServer:
    """A DICOMweb server.

    Parameters
    ----------
    site
        With the address in ``pull``.
    home
        What ``pull_secret`` is relative to.
    wait_s
        Seconds before the first repetition after an error that may pass; doubled each time.

    Raises
    ------
    InvalidRequest
        If the site has no server, or its secret cannot be used.
    """

    def __init__(self, site: Site, home: Path, wait_s: float = 1.0) -> None:
        if site.pull is None:
            raise InvalidRequest("sites.toml gives no `pull` address for this site.")
        for name in ("httpx", "httpcore"):  # they quote addresses with UIDs
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.address, self.wait_s = site.pull, wait_s
        self.client = open_client(site, home)

    def find_studies(self, conditions: Mapping[str, str]) -> list[FoundStudy]:
        """Ask for studies, by DICOM keywords and values as QIDO-RS knows them.

        Raises
        ------
        InvalidRequest
            If a keyword is no attribute.
        """
        filters = {"ModalitiesInStudy" if name == "Modality" else name: value for name, value in conditions.items()}
        for keyword in filters:
            if tag_for_keyword(keyword) is None:
                raise InvalidRequest(f"{keyword!r} is no DICOM attribute: write it as in PatientID or StudyDate.")
        fields = ["StudyInstanceUID", "StudyDate", "ModalitiesInStudy", "NumberOfStudyRelatedInstances"]
        found = self._list_all("studies", "StudyInstanceUID", {**filters, "includefield": fields})
        return [FoundStudy(*(_read_value(entry, keyword) for keyword in fields)) for entry in found.values()]

    def list_series(self, study: str) -> list[str]:
        """Return the SeriesInstanceUIDs of a study; none if there is no such study."""
        return list(self._list_all(f"studies/{study}/series", "SeriesInstanceUID"))

    def list_instances(self, study: str, series: str) -> set[str]:
        """Return the SOPInstanceUIDs of a series."""
        return set(self._list_all(f"studies/{study}/series/{series}/instances", "SOPInstanceUID"))

    @contextmanager
    def open_stream(self, path: str) -> Iterator[httpx.Response]:
        """Begin to retrieve what is at a path, as objects in a multipart answer.

        Raises
        ------
        httpx.HTTPError
            If the server does not give it.
        """
        with self.client.stream("GET", f"{self.address}/{path}", headers={"Accept": ACCEPT}) as answer:
            answer.raise_for_status()
            yield answer

    def persist(self, call: Callable[..., T], *arguments: Any, attempts: int = ATTEMPTS) -> T:
        """Repeat what fails for a reason that may pass; what is raised in the end names no address."""
        for number in range(attempts):
            try:
                return call(*arguments)
            except httpx.HTTPError as error:
                failure = _explain(error)
            if not isinstance(failure, Unreachable):
                break
            log.warning("%s", failure)
            if number < attempts - 1:
                time.sleep(self.wait_s * 2**number)
        raise failure

    def _list_all(
        self, path: str, keyword: str, parameters: Mapping[str, str | list[str]] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Ask page by page; a server that ignores the limit is asked once more than needed."""
        found: dict[str, dict[str, Any]] = {}
        while True:
            page = self.persist(self._search, path, {**(parameters or {}), "limit": PAGE, "offset": len(found)})
            new = {_read_value(entry, keyword): entry for entry in page}
            new = {uid: entry for uid, entry in new.items() if UID_VALUE.fullmatch(uid) and uid not in found}
            found |= new
            if not new or len(page) < PAGE:
                return found

    def _search(self, path: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Ask for one page (PS3.18 section 10.6); an empty one may have no content."""
        answer = self.client.get(f"{self.address}/{path}", params=parameters, headers={"Accept": ACCEPT_JSON})
        answer.raise_for_status()
        try:
            page = answer.json() if answer.content else []
        except ValueError:
            raise httpx.DecodingError("The answer is not JSON.", request=answer.request) from None
        return [page] if isinstance(page, dict) else page


def open_client(site: Site, home: Path) -> httpx.Client:
    """Return a client that carries the site's secret: ``user:password``, or a bearer token.

    Raises
    ------
    InvalidRequest
        If the secret's file cannot be read, or others may read it.
    """
    secret = os.environ.get(SECRET_VARIABLE, "")
    if not secret and site.pull_secret is not None:
        secret = _read_secret(home / site.pull_secret)
    user, colon, password = secret.partition(":")
    return httpx.Client(
        auth=(user, password) if colon else None,
        headers={"Authorization": f"Bearer {secret}"} if secret and not colon else None,
        verify=_read_authorities(),
        timeout=TIMEOUT,
        follow_redirects=True,
        trust_env=False,  # no proxy and no .netrc: only what sites.toml says is asked
    )


def _read_authorities() -> ssl.SSLContext | bool:
    """Return whom to trust: the certificates in ``REQUESTS_CA_BUNDLE``, a file or a folder, or those of the library."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE")
    if not bundle:
        return True
    folder = Path(bundle).is_dir()
    return ssl.create_default_context(cafile=None if folder else bundle, capath=bundle if folder else None)


def _read_secret(file: Path) -> str:
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise InvalidRequest(f"Others may read {file.name}: chmod 600 it, and change the password.")
        return file.read_text("utf-8").strip()
    except OSError as error:
        raise InvalidRequest(f"{file.name} cannot be read: {error.strerror}.") from None


def _explain(error: httpx.HTTPError) -> AureliusError:
    code = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else 0
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
