"""Verification of a dataset: every byte read again and compared with what was frozen."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path

from sqlalchemy import Connection, select

from aurelius_catalog.errors import DatasetDamaged
from aurelius_catalog.index.dataset_hash import name_content
from aurelius_catalog.index.dataset_register import CHUNK, list_objects
from aurelius_catalog.index.schema import instances
from aurelius_catalog.records import DatasetCheck, DatasetObject, DatasetRecord

#: Files read side by side: hashing lets go of the interpreter.
READERS = 4


@dataclass(frozen=True)
class DatasetVerification:
    """What `FrozenDataset.verify` found, over all series.

    Parameters
    ----------
    record
        The dataset.
    checks
        One per series.
    """

    record: DatasetRecord
    checks: tuple[DatasetCheck, ...]

    @property
    def ok(self) -> bool:
        """Whether every file that should be there is there, byte by byte as it was frozen."""
        return not self.changed and not self.missing

    def __bool__(self) -> bool:
        return self.ok

    @property
    def intact(self) -> int:
        """How many files are what they were."""
        return sum(check.intact for check in self.checks)

    @property
    def size_bytes(self) -> int:
        """How many bytes were read."""
        return sum(check.size_bytes for check in self.checks)

    @property
    def changed(self) -> tuple[str, ...]:
        """SOPInstanceUIDs of files that are not the ones that were frozen."""
        return tuple(uid for check in self.checks for uid in check.changed)

    @property
    def missing(self) -> tuple[str, ...]:
        """SOPInstanceUIDs of files that should be there and are not."""
        return tuple(uid for check in self.checks for uid in check.missing)

    @property
    def withdrawn(self) -> tuple[str, ...]:
        """SOPInstanceUIDs of files whose patient was withdrawn."""
        return tuple(uid for check in self.checks for uid in check.withdrawn)

    def __repr__(self) -> str:
        text = f"{self.intact} of {self.record.n_instances + self.record.n_labels} files intact"
        differences = {"changed": self.changed, "missing": self.missing, "withdrawn": self.withdrawn}
        text += "".join(f", {len(uids)} {word}" for word, uids in differences.items() if uids)
        return f"<{'OK' if self.ok else 'DAMAGED'}: {text} ({self.size_bytes:,} bytes read)>"

    def _repr_html_(self) -> str:
        differences = {"changed": self.changed, "missing": self.missing, "withdrawn": self.withdrawn}
        lists = "".join(
            f"<details><summary>{len(uids)} {word}</summary><code>{escape(' '.join(uids))}</code></details>"
            for word, uids in differences.items()
            if uids
        )
        return f"<p>{escape(repr(self)[1:-1])}</p>{lists}"


def check_list(connection: Connection, record: DatasetRecord) -> list[DatasetObject]:
    """Return what a dataset holds, once it is certain that its list is the one its id was made of.

    Raises
    ------
    DatasetDamaged
        If somebody changed the list.
    """
    held = list_objects(connection, record.id)
    hashes: dict[str, list[str]] = defaultdict(list)
    for item in held:
        hashes[item.role].append(item.sha256)
    if name_content(hashes["image"], hashes["label"], record.profiles) != record.id:
        raise DatasetDamaged(
            f"The list of the files of dataset {record.name} is not the one it was frozen with: the index was changed "
            "from outside. Restore it from a safe copy."
        )
    return held


def find_paths(connection: Connection, objects: Iterable[DatasetObject]) -> dict[str, str]:
    """Return where the files are, by SOPInstanceUID, below the catalog's folder of files."""
    uids = [item.SOPInstanceUID for item in objects if not item.withdrawn]
    paths: dict[str, str] = {}
    for start in range(0, len(uids), CHUNK):
        chosen = instances.c.SOPInstanceUID.in_(uids[start : start + CHUNK])
        rows = connection.execute(select(instances.c.SOPInstanceUID, instances.c.path).where(chosen))
        paths.update((uid, path) for uid, path in rows)
    return paths


def verify_files(objects: Iterable[DatasetObject], paths: Mapping[str, str], folder: Path) -> Iterator[DatasetCheck]:
    """Read every file again, one series after the other.

    Parameters
    ----------
    objects
        What the dataset holds, in the order of their series.
    paths
        Where each file is below ``folder``, by SOPInstanceUID.
    """
    with ThreadPoolExecutor(READERS) as threads:
        for uid, group in groupby(objects, lambda item: item.SeriesInstanceUID):
            listed = list(group)
            present = [item for item in listed if not item.withdrawn]
            places = [folder / paths.get(item.SOPInstanceUID, item.SOPInstanceUID) for item in present]
            found = dict(zip(present, threads.map(_hash_file, places), strict=True))
            right = [item for item, sha256 in found.items() if sha256 == item.sha256]
            yield DatasetCheck(
                SeriesInstanceUID=uid,
                intact=len(right),
                size_bytes=sum(item.size_bytes for item in right),
                changed=tuple(item.SOPInstanceUID for item, is_ in found.items() if is_ not in (None, item.sha256)),
                missing=tuple(item.SOPInstanceUID for item, is_ in found.items() if is_ is None),
                withdrawn=tuple(item.SOPInstanceUID for item in listed if item.withdrawn),
            )


def _hash_file(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
