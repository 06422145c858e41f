"""The log of readings: rights asked before bytes leave, records written once an hour rather than once a frame."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock

from sqlalchemy import Engine

from aurelius_catalog.access.person import Person
from aurelius_catalog.index import reads
from aurelius_catalog.index.audit_log import append_event

#: How long the index's word that a person may see a series is believed.
RIGHTS_S = 5.0
#: How many pairs of a person and a series are remembered before the old ones are dropped.
MANY = 20_000


def _read_clock() -> datetime:
    return datetime.now(UTC)


class ReadingLog:
    """What this process has let people read, so that a thousand frames cost one look at the index.

    Parameters
    ----------
    now
        The clock; the records say which hour somebody read in.
    """

    def __init__(self, now: Callable[[], datetime] = _read_clock) -> None:
        self._now = now
        self._lock = Lock()
        self._allowed: dict[tuple[str, Person, str], float] = {}
        self._noted: dict[tuple[str, str, str], datetime] = {}

    def note_reading(self, engine: Engine, person: Person, SeriesInstanceUID: str) -> None:
        """Make sure that a person may read a series, and that the audit log says so before the first byte leaves.

        There is one record for each person, series and hour of the clock.

        Raises
        ------
        NotFound
            If the index holds no such series.
        Withdrawn
            If it did, until its patient was withdrawn.
        PermissionDenied
            If this person may not see it.
        """
        place = engine.url.render_as_string()
        if not self._is_allowed(place, person, SeriesInstanceUID):
            with engine.begin() as connection:
                reads.get_series(connection, person, SeriesInstanceUID)
            self._allow(place, person, SeriesInstanceUID)
        key = (place, person.name, SeriesInstanceUID)
        if self._noted.get(key) == self._hour():
            return
        with self._lock:  # of many threads that begin at once, one writes and the others wait for it
            if self._noted.get(key) != self._hour():
                append_event(engine, person, "read series", SeriesInstanceUID)
                self._note(key)

    def is_noted(self, engine: Engine, person: Person, SeriesInstanceUID: str) -> bool:
        """Whether `note_reading` has nothing to look up or to write: it was done a moment ago."""
        place = engine.url.render_as_string()
        noted = self._noted.get((place, person.name, SeriesInstanceUID))
        return noted == self._hour() and self._is_allowed(place, person, SeriesInstanceUID)

    def note_opening(self, engine: Engine, person: Person, SeriesInstanceUID: str) -> None:
        """Remember that a series was just opened: that record also covers the frames read within the hour."""
        place = engine.url.render_as_string()
        self._allow(place, person, SeriesInstanceUID)
        with self._lock:
            self._note((place, person.name, SeriesInstanceUID))

    def _is_allowed(self, place: str, person: Person, SeriesInstanceUID: str) -> bool:
        return time.monotonic() < self._allowed.get((place, person, SeriesInstanceUID), 0.0)

    def _allow(self, place: str, person: Person, SeriesInstanceUID: str) -> None:
        if len(self._allowed) >= MANY:
            self._allowed.clear()
        self._allowed[place, person, SeriesInstanceUID] = time.monotonic() + RIGHTS_S

    def _note(self, key: tuple[str, str, str]) -> None:
        hour = self._hour()
        if len(self._noted) >= MANY:
            self._noted = {each: noted for each, noted in self._noted.items() if noted == hour}
        self._noted[key] = hour

    def _hour(self) -> datetime:
        return self._now().replace(minute=0, second=0, microsecond=0)


#: The openings of this process.
OPENINGS = ReadingLog()
