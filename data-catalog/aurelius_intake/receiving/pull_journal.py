"""What has arrived by pull: remembered in the identified zone, so that nothing is fetched twice."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from aurelius_catalog.durable_files import sync_file, sync_folder
from aurelius_catalog.errors import InvalidRequest
from aurelius_intake.receiving.delivery import ArrivedObject, move_into
from aurelius_intake.zone.folders import Zone

TABLE = """
CREATE TABLE IF NOT EXISTS arrived (
    site TEXT NOT NULL, study TEXT NOT NULL, series TEXT NOT NULL, instance TEXT NOT NULL,
    at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (site, study, series, instance)
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class SeriesName:
    """A series on the server that is pulled from, as it calls it."""

    StudyInstanceUID: str
    SeriesInstanceUID: str


class Journal:
    """The instances of one site that have arrived whole, and the folder where others are arriving.

    An object is written and synced, then entered here, then moved to the inbox. Whenever the process dies, the next
    one finishes the move of what was entered, and drops what was not, which will be fetched again.

    Parameters
    ----------
    zone
        The identified zone.
    site
        Whose inbox.
    """

    def __init__(self, zone: Zone, site: str) -> None:
        self.zone, self.site = zone, site
        self.root = zone.root / "pulls"
        self.folder = self.root / site
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self.root / "journal.sqlite"
        file.touch(mode=0o600)
        self._database = sqlite3.connect(file, timeout=30, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(TABLE)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep a second pull of the site out, and put in order what an earlier one left.

        Raises
        ------
        InvalidRequest
            If the site is being pulled already.
        """
        with (self.root / f"{self.site}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InvalidRequest(f"A pull of {self.site} is running already.") from None
            self._recover()
            yield

    def list_arrived(self, series: SeriesName) -> set[str]:
        """Return the SOPInstanceUIDs of a series that have arrived."""
        rows = self._database.execute(
            "SELECT instance FROM arrived WHERE site = ? AND study = ? AND series = ?",
            (self.site, series.StudyInstanceUID, series.SeriesInstanceUID),
        )
        return {row[0] for row in rows}

    def land(self, series: SeriesName, drafts: Sequence[ArrivedObject]) -> None:
        """Enter objects that are whole, then move them to the inbox."""
        named = []
        for draft in drafts:
            sync_file(draft.path)
            path = draft.path.rename(self.folder / f"{draft.SOPInstanceUID}.dcm")
            named.append(ArrivedObject(path, draft.SOPInstanceUID))
        sync_folder(self.folder)
        values = [(self.site, series.StudyInstanceUID, series.SeriesInstanceUID, each.SOPInstanceUID) for each in named]
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany(
            "INSERT OR IGNORE INTO arrived (site, study, series, instance) VALUES (?, ?, ?, ?)", values
        )
        self._database.execute("COMMIT")
        self._move(series, named)

    def _recover(self) -> None:
        for path in self.folder.iterdir():
            row = self._database.execute(
                "SELECT study, series FROM arrived WHERE site = ? AND instance = ?", (self.site, path.stem)
            ).fetchone()
            if row is None:
                path.unlink()  # not finished, or not entered: it will be fetched again
            else:
                self._move(SeriesName(*row), [ArrivedObject(path, path.stem)])

    def _move(self, series: SeriesName, drafts: Sequence[ArrivedObject]) -> None:
        inbox = self.zone.inbox / self.site
        inbox.mkdir(exist_ok=True)
        move_into(drafts, inbox / "pull" / series.StudyInstanceUID / series.SeriesInstanceUID, self.zone.inbox)
