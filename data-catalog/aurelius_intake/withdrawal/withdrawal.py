"""Taking a patient out of the house for good: images, labels, findings, originals and the way back to them.

What stays are tombstones. The patient's is their pseudonym, an HMAC that means nothing without the vault's key, so that
later arrivals are recognised; studies, series and instances are known by their new UIDs, so that a frozen dataset and
an audit record still say what they were about.

A withdrawal is written down before it begins and struck out when nothing is left to do. Every step can be done again,
so one that was cut off at any moment is finished by `finish_withdrawals`.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, exists, select

from aurelius_catalog.access.person import Action, Person
from aurelius_catalog.durable_files import sync_folder, write_durably
from aurelius_catalog.errors import InvalidRequest, NotFound
from aurelius_catalog.index.audit_log import append_event, record_event
from aurelius_catalog.index.database import open_engine, writing
from aurelius_catalog.index.schema import studies
from aurelius_catalog.index.tombstones import is_withdrawn
from aurelius_catalog.local.forgetting import Tombstone, forget_rows, list_forgotten
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import Identity, Vault
from aurelius_intake.vault.reidentification import refuse_telltale
from aurelius_intake.withdrawal.originals import Patient
from aurelius_intake.withdrawal.places import ForgottenPatient, forget_everywhere

__all__ = ["Withdrawal", "finish_withdrawals", "is_withdrawn", "withdraw_patient"]
log = logging.getLogger("aurelius.withdrawal")


@dataclass(frozen=True)
class Withdrawal:
    """What was removed by this call.

    Parameters
    ----------
    pseudonym
        Whose it was.
    studies, series, instances, labels, predictions, datasets
        How many went from the index; datasets are those that were marked.
    originals
        How many files went from the identified zone.
    pending
        How many objects of the patient are on their way through the intake at this moment: they will be refused, and
        what is left of them is removed when the withdrawal is finished.
    """

    pseudonym: str
    studies: int
    series: int
    instances: int
    labels: int
    predictions: int
    datasets: int
    originals: int
    pending: int


@dataclass(frozen=True)
class WithdrawalPlan:
    """What is written down, in the identified zone, before anything is removed."""

    pseudonym: str
    person: str
    reason: str
    site: str | None = field(repr=False)
    PatientID: str | None = field(repr=False)

    @property
    def patient(self) -> Patient:
        """Whose originals to look for."""
        return Patient(self.pseudonym, self.site, self.PatientID)


def withdraw_patient(
    settings: IntakeSettings, vault: Vault, patient: str | tuple[str, str], person: Person, reason: str
) -> Withdrawal:
    """Remove everything of a patient, and refuse what comes later. It cannot be undone; doing it again is harmless.

    Parameters
    ----------
    settings, vault
        Of the house.
    patient
        The pseudonym, or site and PatientID, which may be of somebody who never came.
    person
        The steward.
    reason
        Why; it stays with the tombstones and must not name the patient.

    Raises
    ------
    PermissionDenied
        If the person is no steward.
    InvalidRequest
        If there is no reason, or it names the patient.
    NotFound
        If nobody has this pseudonym.
    """
    person.require(Action.STEWARD)
    engine = open_engine(settings)
    pseudonym = patient if isinstance(patient, str) else vault.pseudonyms.name_patient(*patient)
    identity = vault.recall_identity(pseudonym) if vault.knows(pseudonym) else None
    if identity is None and not isinstance(patient, str):
        identity = Identity(patient[0], patient[1].strip(), ())
    if identity is None and not _is_anybody(engine, pseudonym):
        raise NotFound(f"There is no patient {pseudonym}. A pseudonym looks like AUR-ABCDEFGHIJKLMNOP.")
    if not reason.strip():
        raise InvalidRequest("Say in a few words why, without the patient's name or numbers.")
    if identity is not None:
        refuse_telltale(reason, identity)
    site, PatientID = (identity.site, identity.PatientID) if identity else (None, None)
    plan = WithdrawalPlan(pseudonym, person.name, reason.strip(), site, PatientID)
    place = _name_plan(settings, pseudonym)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_durably(place, json.dumps(asdict(plan)).encode())
    return _carry_out(settings, vault, engine, plan)


def finish_withdrawals(settings: IntakeSettings, vault: Vault) -> None:
    """Finish what was begun and cut off, or was waiting for objects on their way; quick where there is nothing."""
    for path in sorted((settings.identified / "withdrawals").glob("[!.]*.json")):
        _carry_out(settings, vault, open_engine(settings), WithdrawalPlan(**json.loads(path.read_text())))


def _carry_out(settings: IntakeSettings, vault: Vault, engine: Engine, plan: WithdrawalPlan) -> Withdrawal:
    pseudonym, person = plan.pseudonym, Person.of(plan.person, ())
    with writing(engine) as connection:  # from here on nobody sees anything of it
        fresh = not is_withdrawn(connection, pseudonym)
        deleted = forget_rows(connection, Tombstone(pseudonym, person.name, plan.reason, datetime.now(UTC)))
        if fresh or deleted.instances:
            record_event(connection, person, "withdraw", pseudonym, {"reason": plan.reason, **vars(deleted)})
        uids = list_forgotten(connection, pseudonym)
    files = forget_everywhere(ForgottenPatient(settings, vault, plan.patient, uids))
    originals, pending = files.removed, files.pending
    done = Withdrawal(pseudonym, **vars(deleted), originals=originals, pending=pending)
    if not pending:
        vault.forget(pseudonym)  # last: it says what is left to be removed
        append_event(engine, person, "withdrawal finished", pseudonym, {"originals": originals})
        _name_plan(settings, pseudonym).unlink(missing_ok=True)
        sync_folder(settings.identified / "withdrawals")
    log.info(
        "withdrew a patient: %d instances, %d originals, %d still on their way", deleted.instances, originals, pending
    )
    return done


def _name_plan(settings: IntakeSettings, pseudonym: str) -> Path:
    return settings.identified / "withdrawals" / f"{pseudonym}.json"


def _is_anybody(engine: Engine, pseudonym: str) -> bool:
    with engine.begin() as connection:
        if is_withdrawn(connection, pseudonym):
            return True
        return bool(connection.execute(select(exists().where(studies.c.PatientID == pseudonym))).scalar())
