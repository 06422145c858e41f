"""Watching a site's inbox: which files have come to rest, and which of them belong together."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from aurelius_intake.foreign.recognition import find_principal
from aurelius_intake.receiving.header_peek import MARK_AT, META_AT, NOTHING, HeaderPeek, glance_at
from aurelius_intake.zone.folders import Zone

#: Objects that refer to others, which should be there first.
DERIVED = frozenset({"KO", "PR", "RTDOSE", "RTPLAN", "RTSTRUCT", "SEG", "SR"})
#: Of a file so much is read to see where it belongs; all of it where that does not tell.
GLANCE_BYTES = 16 * 1024


@dataclass(frozen=True)
class Waiting:
    """A file of an inbox as it was at one moment.

    Parameters
    ----------
    path
        Where it is.
    stamp
        Time of its last change in ns, and its size in bytes: other ones mean another content.
    changed
        When it last changed or was moved here, in seconds since 1970.
    glance
        What its header says first.
    """

    path: Path
    stamp: tuple[int, int]
    changed: float
    glance: HeaderPeek


@dataclass(frozen=True)
class StudyBatch:
    """Files of a site that came to rest and belong together: a study, or something that is no DICOM object.

    Parameters
    ----------
    site
        The clinic.
    key
        Tells batches apart: the StudyInstanceUID, or a path.
    files
        Those of a study are sorted by series.
    """

    site: str
    key: str
    files: tuple[Waiting, ...]

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.stamp[1] for file in self.files)

    @property
    def is_study(self) -> bool:
        """Whether they are DICOM objects of one study."""
        return self.files[0].glance.is_object


class Inbox:
    """The inboxes of all sites.

    Parameters
    ----------
    zone
        The folders.
    quiet_s
        Seconds a file, and every other file of its study, must not have changed before they are taken.
    """

    def __init__(self, zone: Zone, quiet_s: float) -> None:
        self.zone = zone
        self.quiet_s = quiet_s
        self._seen: dict[str, dict[Path, Waiting]] = {}

    def collect(self, site: str) -> list[StudyBatch]:
        """Return what came to rest in the inbox of a site; studies of derived objects only come last."""
        before = self._seen.get(site, {})
        now = self._seen[site] = {}
        border = time.time() - self.quiet_s
        groups: dict[str, list[Waiting]] = defaultdict(list)
        for path in self.zone.list_waiting(site):
            try:
                seen = now[path] = _look(path, before.get(path))
            except FileNotFoundError:  # taken back by whoever put it there
                continue
            groups[seen.glance.StudyInstanceUID or _find_principal(path)].append(seen)
        resting = [entry for entry in groups.items() if all(seen.changed <= border for seen in entry[1])]
        resting.sort(key=lambda entry: all(seen.glance.Modality in DERIVED for seen in entry[1]))
        return [StudyBatch(site, key, tuple(sorted(group, key=_order))) for key, group in resting]


def _look(path: Path, before: Waiting | None) -> Waiting:
    status = os.stat(path)
    stamp = (status.st_mtime_ns, status.st_size)
    glance = before.glance if before and before.stamp == stamp else _glance_at_file(path)
    return Waiting(path, stamp, max(status.st_mtime, status.st_ctime), glance)


def _glance_at_file(path: Path) -> HeaderPeek:
    try:
        with path.open("rb", buffering=0) as file:
            start = file.read(GLANCE_BYTES)
            glance = glance_at(start)
            if glance.is_object or glance.is_directory or start[MARK_AT:META_AT] != b"DICM":
                return glance
            return glance_at(start + file.read())
    except FileNotFoundError:
        raise
    except OSError:  # the pipeline will try again, and say why if it cannot be read
        return NOTHING


def _find_principal(path: Path) -> str:
    try:
        return str(find_principal(path))
    except OSError:  # a name so long that no other can be made of it
        return str(path)


def _order(file: Waiting) -> tuple[bool, str, str]:
    return file.glance.Modality in DERIVED, file.glance.SeriesInstanceUID, str(file.path)
