"""The places that keep something of a patient, each with the function by which it forgets them.

A place that keeps something new is registered here; the vault itself is not, as it is the last to forget: until then
it says what is left to be removed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Table

from aurelius_catalog.local import forgetting
from aurelius_intake.certificates.certificate import forget_certificates
from aurelius_intake.receiving.pull_journal import arrived, forget_pulls
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import Vault, tables
from aurelius_intake.vault.maps import forget_maps
from aurelius_intake.withdrawal.annotation_files import forget_annotation_files
from aurelius_intake.withdrawal.originals import Patient, forget_originals
from aurelius_intake.zone.item_table import items

#: Every table that names patients, studies, series or instances: forgotten, or kept on purpose.
TABLES: tuple[Table, ...] = (
    *forgetting.FORGOTTEN,
    *forgetting.KEPT,
    items,
    arrived,
    tables.patients,
    tables.studies,
)


@dataclass(frozen=True)
class ForgottenPatient:
    """Whom to forget.

    Parameters
    ----------
    settings, vault
        Of the house.
    patient
        Whose.
    uids
        The new UIDs of what the catalog held, by kind: ``study``, ``series``, ``instance``.
    """

    settings: IntakeSettings
    vault: Vault
    patient: Patient
    uids: Mapping[str, Collection[str]]

    def list_uids(self, kind: str) -> Collection[str]:
        """Return the new UIDs of a kind."""
        return self.uids.get(kind, ())


@dataclass(frozen=True)
class ForgottenFiles:
    """How many originals were removed, and how many objects are still on their way."""

    removed: int = 0
    pending: int = 0


def _forget_originals(whom: ForgottenPatient) -> ForgottenFiles:
    return ForgottenFiles(*forget_originals(whom.settings, whom.vault, whom.patient, whom.list_uids("instance")))


def _forget_pulls(whom: ForgottenPatient) -> None:
    forget_pulls(whom.settings.identified, whom.vault.recall_uids(whom.patient.pseudonym))


#: In this order, after the rows of the index; each can be called again.
PLACES: tuple[Callable[[ForgottenPatient], ForgottenFiles | None], ...] = (
    lambda whom: forgetting.forget_files(whom.settings.files, whom.list_uids("study")),
    lambda whom: forget_certificates(whom.settings, whom.list_uids("study")),
    lambda whom: forget_annotation_files(whom.settings, whom.list_uids("series")),
    _forget_originals,
    _forget_pulls,
    lambda whom: forget_maps(whom.settings, whom.patient.pseudonym),
)


def forget_everywhere(whom: ForgottenPatient) -> ForgottenFiles:
    """Remove everything of a patient but the rows of the index and of the vault."""
    done = [place(whom) or ForgottenFiles() for place in PLACES]
    return ForgottenFiles(sum(each.removed for each in done), sum(each.pending for each in done))
