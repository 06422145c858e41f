"""Delivery into a site's inbox of objects that came over a network: whole, and safe from a power cut, or not at all."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aurelius_catalog.durable_files import sync_file, sync_folder
from aurelius_intake.zone.folders import Zone, find_free

UID_VALUE = re.compile(r"[0-9][0-9.]{0,63}")
ATTEMPTS = 5


@dataclass(frozen=True)
class ArrivedObject:
    """An object that has arrived whole.

    Parameters
    ----------
    path
        The file, outside of the inbox.
    SOPInstanceUID
        Names the file in the inbox; what is no UID does not get into a name.
    """

    path: Path
    SOPInstanceUID: str


class Arrivals:
    """Objects that are still arriving by one way in: a folder of the identified zone beside the inbox.

    Parameters
    ----------
    zone
        The identified zone.
    way
        Name of the way in, such as ``dimse``; also that of its folder in each inbox.
    """

    def __init__(self, zone: Zone, way: str) -> None:
        self.zone, self.way = zone, way
        self.folder = zone.root / "arriving" / way
        shutil.rmtree(self.folder, ignore_errors=True)  # what an earlier process left was never acknowledged
        self.folder.mkdir(parents=True, mode=0o700)

    def deliver(self, drafts: Sequence[ArrivedObject], site: str, batch: str) -> None:
        """Move objects into ``inbox/<site>/<way>/<batch>/``; on return they survive a power cut.

        Raises
        ------
        OSError
            If the disk does not take them; those not yet moved are where they were.
        """
        for draft in drafts:
            sync_file(draft.path)
        move_into(drafts, self.zone.inbox / site / self.way / batch, self.zone.inbox)

    def sweep(self, age_s: float) -> None:
        """Remove what has not grown for so long that nobody can be sending it any more."""
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # delivered in this moment
                if path.stat().st_mtime < time.time() - age_s:
                    path.unlink()


def move_into(drafts: Sequence[ArrivedObject], folder: Path, root: Path) -> None:
    """Move synced files into a folder below ``root``, under free names, and sync the folders.

    Raises
    ------
    OSError
        If the folder cannot be made or written; drafts not yet moved are where they were.
    """
    changed = {folder}
    for draft in drafts:
        name = f"{draft.SOPInstanceUID}.dcm" if UID_VALUE.fullmatch(draft.SOPInstanceUID) else "object.dcm"
        for attempt in range(ATTEMPTS):
            changed |= _make_folders(folder, root)
            try:
                draft.path.rename(find_free(folder / name))
                break
            except FileNotFoundError:  # the pipeline took what was there and tidied the folder up in this moment
                if attempt == ATTEMPTS - 1 or not draft.path.exists():
                    raise
    for each in changed:
        with suppress(FileNotFoundError):  # tidied up again: the files are in other hands already
            sync_folder(each)


def _make_folders(folder: Path, root: Path) -> set[Path]:
    """Make a folder; returns the parents that got a new entry."""
    missing = []
    while folder != root and not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(parents=True, exist_ok=True)
    return {each.parent for each in missing}
