"""Files of an inbox in memory, as the pipeline takes them."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from aurelius_intake.receiving.header_peek import NOTHING, HeaderPeek, glance_at
from aurelius_intake.receiving.inbox import StudyBatch, Waiting
from aurelius_intake.zone.items import Arrival, IntakeItem

#: Of a study so much is held in memory at a time.
CHUNK_BYTES, CHUNK_FILES = 64 * 2**20, 256
#: A file that cannot be read is waited for so long; perhaps somebody is about to allow it.
UNREADABLE_S = 600.0
#: Errors that are the machine's and not the file's.
SHORTAGES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS})
UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Source:
    """A file of an inbox.

    Parameters
    ----------
    path
        Where it is.
    content
        All of it; empty where it is too large, or cannot be read.
    glance
        What its header says first.
    arrival
        What its record says.
    """

    path: Path
    content: bytes
    glance: HeaderPeek
    arrival: Arrival

    @property
    def is_readable(self) -> bool:
        """Whether the intake may read it."""
        return self.arrival.digest != UNREADABLE

    def is_same(self, twin: IntakeItem) -> bool:
        """Whether an item came with the same content."""
        if twin.digest.startswith("blake3:"):
            return twin.digest == self.arrival.digest
        return twin.digest == hashlib.sha256(self.content).hexdigest()  # taken by an earlier version


def read_portions(batch: StudyBatch, inbox: Path) -> Iterator[list[Source]]:
    """Yield the files of a study in portions that fit into memory; what is gone is left out.

    Parameters
    ----------
    batch
        The files.
    inbox
        Folder of the site.
    """
    portion: list[Source] = []
    held = 0
    for file in batch.files:
        source = read_source(file, inbox)
        if source is None:
            continue
        portion.append(source)
        held += len(source.content)
        if held >= CHUNK_BYTES or len(portion) >= CHUNK_FILES:
            yield portion
            portion, held = [], 0
    if portion:
        yield portion


def read_source(waiting: Waiting, inbox: Path) -> Source | None:
    """Read one file; None if it is gone, or may become readable yet."""
    path = waiting.path
    name = str(path.relative_to(inbox))
    try:
        with path.open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            content = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        return _give_up(path, name, error)
    unchanged = waiting.stamp == (status.st_mtime_ns, len(content))
    glance = waiting.glance if unchanged else glance_at(content)
    uids = glance.SOPInstanceUID or None, glance.StudyInstanceUID or None
    return Source(path, content, glance, Arrival(name, f"blake3:{blake3(content).hexdigest()}", *uids))


def read_large(paths: tuple[Path, ...], inbox: Path) -> Source | None:
    """Hash files that make up one object, the one that stands for it first, without holding them in memory."""
    name, *companions = (str(path.relative_to(inbox)) for path in paths)
    hasher = blake3()
    try:
        for path in paths:
            hash_file(path, hasher)
    except FileNotFoundError:
        return None
    except OSError as error:
        return _give_up(paths[0], name, error)
    arrival = Arrival(name, f"blake3:{hasher.hexdigest()}", companions=tuple(companions))
    return Source(paths[0], b"", NOTHING, arrival)


def hash_file(path: Path, hasher: blake3) -> None:
    """Hash a file of any size."""
    hasher.update_mmap(path)


def _give_up(path: Path, name: str, error: OSError) -> Source | None:
    if error.errno in SHORTAGES:
        raise error
    status = path.lstat()
    rested_s = time.time() - max(status.st_mtime, status.st_ctime)
    return Source(path, b"", NOTHING, Arrival(name, UNREADABLE)) if rested_s > UNREADABLE_S else None
