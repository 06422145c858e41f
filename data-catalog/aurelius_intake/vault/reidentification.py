"""Re-identification by two stewards: one asks and says why, another agrees in time, then the first may look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, select, update

from aurelius_catalog.access.person import Action, Person
from aurelius_catalog.errors import InvalidRequest, NotFound, PermissionDenied
from aurelius_catalog.index.audit_log import append_event
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault.maps import write_maps
from aurelius_intake.vault.tables import requests
from aurelius_intake.vault.vault import Identity, Vault

#: What is asked for, where it is not one patient: the maps of all of them.
EVERYBODY = "*"


class ReidentificationState(StrEnum):
    """Where a request stands."""

    ASKED = "asked"
    APPROVED = "approved"
    OPENED = "opened"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Request:
    """A steward's request to know who is behind a pseudonym, or behind all (`EVERYBODY`)."""

    id: int
    pseudonym: str
    reason: str
    asked_by: str
    asked_at: str
    expires_at: str
    approved_by: str | None = None
    opened_at: str | None = None

    @property
    def state(self) -> ReidentificationState:
        """Where it stands at this moment."""
        if self.opened_at is not None:
            return ReidentificationState.OPENED
        if datetime.now(UTC) > datetime.fromisoformat(self.expires_at):
            return ReidentificationState.EXPIRED
        return ReidentificationState.APPROVED if self.approved_by else ReidentificationState.ASKED


class Reidentifications:
    """The two-steward rule over a vault. Every step, and every refusal, is in the audit log; no identity is.

    Parameters
    ----------
    settings
        Say how long a request lives, and where exports are written.
    vault
        Holds the identities, and the requests, sealed: nobody without the key can write an approval into it.
    engine
        Of the index, for the audit log.
    """

    def __init__(self, settings: IntakeSettings, vault: Vault, engine: Engine) -> None:
        self.settings = settings
        self.vault = vault
        self.engine = engine

    def ask(self, person: Person, pseudonym: str, reason: str) -> Request:
        """Ask for one patient's identity, or for the maps of all (`EVERYBODY`).

        Raises
        ------
        PermissionDenied
            If the person is no steward.
        InvalidRequest
            If there is no reason, or it names the patient.
        NotFound
            If the vault knows no such patient.
        """
        self._require_steward(person)
        reason = reason.strip()
        if not reason:
            raise InvalidRequest("Say in a few words why, without the patient's name or numbers.")
        now = datetime.now(UTC)
        end = now + timedelta(hours=self.settings.approval_hours)
        with self.vault.begin() as connection:
            if pseudonym != EVERYBODY:
                refuse_telltale(reason, self.vault.read_identity(connection, pseudonym))
            # The number binds the seal, so the row is made first.
            key = connection.execute(insert(requests).values(sealed=b"")).inserted_primary_key
            number = int(key[0]) if key else 0
            request = Request(number, pseudonym, reason, person.name, now.isoformat(), end.isoformat())
            self._note(person, "ask to open", request, reason=reason)
            self._put(connection, request)
        return request

    def approve(self, person: Person, number: int) -> Request:
        """Agree to another steward's request.

        Raises
        ------
        PermissionDenied
            If the person is no steward, or the one who asked.
        InvalidRequest
            If it is too late, or somebody agreed before.
        NotFound
            If there is no such request.
        """

        def agree(request: Request) -> Request:
            if request.asked_by == person.name:
                raise PermissionDenied("It takes two: another steward than the one who asked must agree.")
            if request.state is not ReidentificationState.ASKED:
                raise InvalidRequest(f"Request {number} cannot be approved: it is {request.state} already.")
            return replace(request, approved_by=person.name)

        with self.vault.begin() as connection:
            request = self._change(connection, person, number, agree)
            self._note(person, "approve opening", request, asked_by=request.asked_by)
        return request

    def open(self, person: Person, number: int) -> Identity:
        """Tell who is behind a pseudonym, once, to the steward who asked.

        Raises
        ------
        PermissionDenied
            If the person did not ask.
        InvalidRequest
            If nobody agreed, it is too late, or it was opened before.
        NotFound
            If there is no such request, or the patient was withdrawn since.
        """
        with self.vault.begin() as connection:
            request = self._use(connection, person, number, for_all=False)
            identity = self.vault.read_identity(connection, request.pseudonym)
            self._note_use(person, "open pseudonym", request)
        return identity

    def export(self, person: Person, number: int) -> Path:
        """Write the maps of all patients into the identified zone, once, for the steward who asked.

        Returns
        -------
        Path
            The folder of ``patid_mapping.csv`` and ``uid_mapping.csv``; the same refusals as `open` has.
        """
        folder = self.settings.identified / "exports" / str(number)
        with self.vault.begin() as connection:
            request = self._use(connection, person, number, for_all=True)
            self._note_use(person, "export maps", request)
            write_maps(self.vault, connection, folder)
        return folder

    def list_requests(self, person: Person) -> list[Request]:
        """Return every request there was, newest first."""
        self._require_steward(person)
        with self.vault.begin() as connection:
            rows = connection.execute(select(requests).order_by(requests.c.id.desc())).all()
            return [Request(**self.vault.decrypt_row(requests, row.id, row.sealed)) for row in rows]

    # -- inside ----------------------------------------------------------------------------------

    def _use(self, connection: Connection, person: Person, number: int, *, for_all: bool) -> Request:
        def spend(request: Request) -> Request:
            if request.asked_by != person.name:
                raise PermissionDenied(f"Request {number} can be opened by the steward who asked only.")
            if (request.pseudonym == EVERYBODY) is not for_all:
                raise InvalidRequest(f"Request {number} is for {'one patient' if for_all else 'the maps of all'}.")
            if request.state is not ReidentificationState.APPROVED:
                hint = (
                    "another steward must approve it first"
                    if request.state is ReidentificationState.ASKED
                    else "ask anew"
                )
                raise InvalidRequest(f"Request {number} cannot be opened: it is {request.state}; {hint}.")
            return replace(request, opened_at=datetime.now(UTC).isoformat())

        return self._change(connection, person, number, spend)

    def _change(
        self, connection: Connection, person: Person, number: int, change: Callable[[Request], Request]
    ) -> Request:
        self._require_steward(person)
        sealed = connection.execute(select(requests.c.sealed).where(requests.c.id == number)).scalar()
        if sealed is None:
            raise NotFound(f"There is no request {number}.")
        request = Request(**self.vault.decrypt_row(requests, number, sealed))
        try:
            changed = change(request)
        except (PermissionDenied, InvalidRequest) as error:
            self._note(person, "refused opening", request, why=str(error))
            raise
        self._put(connection, changed)
        return changed

    def _put(self, connection: Connection, request: Request) -> None:
        sealed = self.vault.encrypt_row(requests, request.id, asdict(request))
        connection.execute(update(requests).where(requests.c.id == request.id).values(sealed=sealed))

    def _require_steward(self, person: Person) -> None:
        try:
            person.require(Action.STEWARD)
        except PermissionDenied as error:
            append_event(self.engine, person, "refused opening", "vault", {"why": str(error)})
            raise

    def _note_use(self, person: Person, action: str, request: Request) -> None:
        """Record before anything is told: what cannot be recorded is not told."""
        self._note(person, action, request, approved_by=request.approved_by, reason=request.reason)

    def _note(self, person: Person, action: str, request: Request, **detail: str | None) -> None:
        append_event(self.engine, person, action, request.pseudonym, {"request": request.id, **detail})


def refuse_telltale(reason: str, identity: Identity) -> None:
    """Refuse a reason that itself says who the patient is: it will stand in the audit log.

    Raises
    ------
    InvalidRequest
        If it does.
    """
    words = set(reason.casefold().replace("^", " ").replace(",", " ").replace(".", " ").split())
    names = {part for name in identity.PatientNames for part in name.casefold().replace("^", " ").split()}
    telltale = {part for part in names if len(part) > 2} | {identity.PatientID.strip().casefold()}
    if words & telltale:
        raise InvalidRequest("The reason names the patient. It is kept in the audit log: leave out names and numbers.")
