"""The journal of what has arrived by pull, so that nothing is fetched twice; identified zone only."""

from __future__ import annotations

import fcntl
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Column, MetaData, Table, Text, bindparam, delete, select, text
from sqlalchemy.dialects.sqlite import insert

from aurelius_catalog.durable_files import sync_file, sync_folder
from aurelius_catalog.errors import InvalidRequest
from aurelius_intake.database import migrate, open_database, writing
from aurelius_intake.receiving.delivery import ArrivedObject, move_into
from aurelius_intake.zone.folders import Zone

#: Its revisions are in `aurelius_intake/migrations/pulls`.
metadata = MetaData()
arrived = Table(
    "arrived",
    metadata,
    Column("site", Text, primary_key=True),
    Column("study", Text, primary_key=True),
    Column("series", Text, primary_key=True),
    Column("instance", Text, primary_key=True),
    Column("at", Text, nullable=False, server_default=text("CURRENT_TIMESTAMP")),
    sqlite_with_rowid=False,
)


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
        self._engine = open_database(self.root / "journal.sqlite")
        with writing(self._engine) as connection:
            migrate(connection, "pulls", metadata)

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
        mine = (
            arrived.c.site == self.site,
            arrived.c.study == series.StudyInstanceUID,
            arrived.c.series == series.SeriesInstanceUID,
        )
        with self._engine.begin() as connection:
            return set(connection.execute(select(arrived.c.instance).where(*mine)).scalars())

    def land(self, series: SeriesName, drafts: Sequence[ArrivedObject]) -> None:
        """Enter objects that are whole, then move them to the inbox."""
        named = []
        for draft in drafts:
            sync_file(draft.path)
            path = draft.path.rename(self.folder / f"{draft.SOPInstanceUID}.dcm")
            named.append(ArrivedObject(path, draft.SOPInstanceUID))
        sync_folder(self.folder)
        place = {"site": self.site, "study": series.StudyInstanceUID, "series": series.SeriesInstanceUID}
        with writing(self._engine) as connection:
            rows = [{**place, "instance": each.SOPInstanceUID} for each in named]
            connection.execute(insert(arrived).on_conflict_do_nothing(), rows)
        self._move(series, named)

    def _recover(self) -> None:
        for path in self.folder.iterdir():
            mine = (arrived.c.site == self.site, arrived.c.instance == path.stem)
            with self._engine.begin() as connection:
                row = connection.execute(select(arrived.c.study, arrived.c.series).where(*mine)).first()
            if row is None:
                path.unlink()  # not finished, or not entered: it will be fetched again
            else:
                self._move(SeriesName(*row), [ArrivedObject(path, path.stem)])

    def _move(self, series: SeriesName, drafts: Sequence[ArrivedObject]) -> None:
        inbox = self.zone.inbox / self.site
        inbox.mkdir(exist_ok=True)
        move_into(drafts, inbox / "pull" / series.StudyInstanceUID / series.SeriesInstanceUID, self.zone.inbox)


def forget_pulls(root: Path, SOPInstanceUIDs: Collection[str]) -> None:
    """Forget what arrived of a patient; what is fetched again will be refused.

    Parameters
    ----------
    root
        The identified zone's folder.
    SOPInstanceUIDs
        The original ones.
    """
    file = root / "pulls" / "journal.sqlite"
    if not file.exists():
        return
    engine = open_database(file)
    with writing(engine) as connection:
        migrate(connection, "pulls", metadata)
        if SOPInstanceUIDs:
            statement = delete(arrived).where(arrived.c.instance == bindparam("uid"))
            connection.execute(statement, [{"uid": uid} for uid in SOPInstanceUIDs])
    engine.dispose()
