"""Watching a site's inbox: which files have come to rest, and which of them belong together."""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from aurelius_catalog.intake.zone import Zone

#: Objects that refer to others, which should be there first.
DERIVED = frozenset({"KO", "PR", "RTDOSE", "RTPLAN", "RTSTRUCT", "SEG", "SR"})
GROUPING = ["StudyInstanceUID", "SeriesInstanceUID", "Modality"]


@dataclass(frozen=True)
class Glance:
    """What is read of a header to group a file: empty strings for what is no DICOM file."""

    StudyInstanceUID: str = ""
    SeriesInstanceUID: str = ""
    Modality: str = ""


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
        self._glances: dict[tuple[Path, int, int], Glance] = {}

    def collect(self, site: str) -> list[list[Path]]:
        """Return the studies of a site that came to rest, each as its files sorted by series.

        A file that is no DICOM object stands alone. Studies of derived objects only come last.
        """
        studies: dict[str, list[tuple[Glance, Path]]] = defaultdict(list)
        busy: set[str] = set()
        seen: dict[tuple[Path, int, int], Glance] = {}
        border = time.time() - self.quiet_s
        for path in self.zone.list_waiting(site):
            try:
                status = path.stat()
            except FileNotFoundError:  # taken back by whoever put it there
                continue
            stamp = (path, status.st_mtime_ns, status.st_size)
            glance = seen[stamp] = self._glances.get(stamp) or glance_at(path)
            group = glance.StudyInstanceUID or str(path)
            studies[group].append((glance, path))
            if max(status.st_mtime, status.st_ctime) > border:
                busy.add(group)
        self._glances = {key: glance for key, glance in self._glances.items() if not _lies_in(key[0], self.zone, site)}
        self._glances |= seen
        resting = [files for group, files in studies.items() if group not in busy]
        resting.sort(key=lambda files: all(glance.Modality in DERIVED for glance, _ in files))
        return [[path for _, path in sorted(files, key=_order)] for files in resting]


def glance_at(path: Path) -> Glance:
    """Read the few attributes that say where a file belongs; anything unreadable belongs to itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = dcmread(path, stop_before_pixels=True, specific_tags=GROUPING)
            return Glance(*(str(header.get(keyword) or "") for keyword in GROUPING))
    except Exception:  # whatever it is, the desk will look at the file itself and say why
        return Glance()


def _order(entry: tuple[Glance, Path]) -> tuple[bool, str, str]:
    glance, path = entry
    return (glance.Modality in DERIVED, glance.SeriesInstanceUID, str(path))


def _lies_in(path: Path, zone: Zone, site: str) -> bool:
    return path.is_relative_to(zone.inbox / site)
