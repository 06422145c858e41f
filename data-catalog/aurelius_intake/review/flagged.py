"""Studies that are stored, and flagged: a steward should have looked at them once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, String, cast, select, update

from aurelius_catalog.access.person import Action, Person
from aurelius_catalog.errors import InvalidRequest, NotFound
from aurelius_catalog.index.audit_log import record_event
from aurelius_catalog.index.database import writing
from aurelius_catalog.index.schema import instances, series, studies
from aurelius_intake.review.originals import render_original

#: What each flag means to the person who looks.
MEANINGS = {"face": "A face could be drawn from these thin slices of a head. Accept it, or withdraw the patient."}
#: Added to a flag once a steward has looked; the flag itself stays, for those who use the study.
ACCEPTED = "-accepted"


@dataclass(frozen=True)
class FlaggedStudy:
    """One study that waits for a look.

    Parameters
    ----------
    StudyInstanceUID, site
        Which it is; the UID is the new one.
    flag
        Why it waits: a key of `MEANINGS`.
    Modality, Rows, Columns, slices
        Of its largest series.
    received_at
        When that series came.
    """

    StudyInstanceUID: str
    site: str
    flag: str
    Modality: str
    Rows: int
    Columns: int
    slices: int
    received_at: datetime


class FlaggedStudies:
    """Shows flagged studies, and keeps that a steward accepted them.

    Parameters
    ----------
    engine
        Of the index.
    files
        Folder of the catalog's files.
    """

    def __init__(self, engine: Engine, files: Path) -> None:
        self._engine, self._files = engine, files

    def list_waiting(self) -> list[FlaggedStudy]:
        """Return the studies nobody has accepted yet, by arrival."""
        flagged = select(studies).where(cast(studies.c.flags, String) != "[]")
        with self._engine.connect() as connection:
            rows = connection.execute(flagged).mappings().all()
            waiting = [
                _describe(connection, row["StudyInstanceUID"], row["site"], flag)
                for row in rows
                for flag in row["flags"]
                if flag in MEANINGS and f"{flag}{ACCEPTED}" not in row["flags"]
            ]
        return sorted(waiting, key=lambda study: study.received_at)

    def render(self, StudyInstanceUID: str, slice_number: int) -> bytes:
        """Return one slice of the study's largest series as PNG, counted from 0.

        Raises
        ------
        NotFound
            If there is no such study or slice.
        """
        with self._engine.connect() as connection:
            largest = _find_largest(connection, StudyInstanceUID)
            paths = select(instances.c.path).where(instances.c.SeriesInstanceUID == largest["SeriesInstanceUID"])
            found = list(connection.execute(paths.order_by(instances.c.InstanceNumber, instances.c.path)).scalars())
        if len(found) == 1:
            return render_original(self._files / found[0], slice_number)
        if not 0 <= slice_number < len(found):
            raise NotFound(f"There is no slice {slice_number}; the first is 0, the last {len(found) - 1}.")
        return render_original(self._files / found[slice_number], 0)

    def accept(self, StudyInstanceUID: str, person: Person, reason: str) -> None:
        """Keep that a steward looked at a study and accepts its flags. Doing it again changes nothing.

        Raises
        ------
        PermissionDenied
            If the person is no steward.
        InvalidRequest
            If the reason is missing.
        NotFound
            If there is no such study.
        """
        person.require(Action.STEWARD)
        if not reason.strip():
            raise InvalidRequest("Say why.")
        this = studies.c.StudyInstanceUID == StudyInstanceUID
        with writing(self._engine) as connection:
            flags = connection.execute(select(studies.c.flags).where(this)).scalar()
            if flags is None:
                raise NotFound("There is no such study.")
            wanted = {*flags, *(f"{flag}{ACCEPTED}" for flag in flags if flag in MEANINGS)}
            if wanted == set(flags):
                return
            connection.execute(update(studies).where(this).values(flags=sorted(wanted)))
            record_event(connection, person, "accept", StudyInstanceUID, {"reason": reason.strip(), "flags": flags})


def _describe(connection: Connection, StudyInstanceUID: str, site: str, flag: str) -> FlaggedStudy:
    largest = _find_largest(connection, StudyInstanceUID)
    return FlaggedStudy(
        StudyInstanceUID,
        site,
        flag,
        largest["Modality"],
        largest["Rows"] or 0,
        largest["Columns"] or 0,
        largest["n_frames"],
        largest["received_at"],
    )


def _find_largest(connection: Connection, StudyInstanceUID: str) -> Any:
    """Return the row of the study's series of most frames."""
    statement = select(series).where(series.c.StudyInstanceUID == StudyInstanceUID)
    ordered = statement.order_by(series.c.n_frames.desc(), series.c.SeriesInstanceUID)
    row = connection.execute(ordered).mappings().first()
    if row is None:
        raise NotFound("There is no such study.")
    return row
