"""A hot copy of a frozen dataset: one OME-Zarr image per series, whole or not there."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr
import zarr
from zarr.errors import GroupNotFoundError

from aurelius_catalog.datasets.cluster import run_cluster
from aurelius_catalog.datasets.contents import DatasetContents
from aurelius_catalog.datasets.frozen_series import FrozenSeries
from aurelius_catalog.datasets.labels import read_labels
from aurelius_catalog.datasets.ome_zarr import read_image, write_image, write_label, write_several
from aurelius_catalog.durable_files import sync_file_system
from aurelius_catalog.errors import (
    AureliusError,
    InvalidRequest,
    InvalidVolume,
    NotFound,
    PermissionDenied,
    Unreachable,
)

if TYPE_CHECKING:
    from distributed import Client

#: What the label map of a series is called below it.
LABEL = "newest"
Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class ZarrCopy:
    """A folder with the OME-Zarr images of a dataset.

    Parameters
    ----------
    folder
        Where it is.
    SeriesInstanceUIDs
        The series it holds.
    written, removed
        Those that this call wrote, and those it took away because their patient was withdrawn.
    skipped
        Series that cannot be arrays, such as reports, or could not be read: SeriesInstanceUID and why.
    """

    folder: Path
    SeriesInstanceUIDs: tuple[str, ...]
    written: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        text = f"{len(self.SeriesInstanceUIDs)} series in {self.folder}, {len(self.written)} written now"
        text += f", {len(self.removed)} removed" if self.removed else ""
        return f"<ZarrCopy: {text}{f', {len(self.skipped)} skipped' if self.skipped else ''}>"

    def _repr_html_(self) -> str:
        rows = "".join(f"<li><code>{uid}</code>: {escape(why)}</li>" for uid, why in self.skipped.items())
        return f"<p>{escape(repr(self)[1:-1])}</p>{f'<ul>{rows}</ul>' if rows else ''}"

    def __len__(self) -> int:
        return len(self.SeriesInstanceUIDs)

    def __iter__(self) -> Iterator[str]:
        return iter(self.SeriesInstanceUIDs)

    def __getitem__(self, SeriesInstanceUID: str) -> xr.DataArray:
        return open_image(self._find_one(SeriesInstanceUID))

    def label(self, SeriesInstanceUID: str) -> xr.DataArray | None:
        """Open the label map of a series lazily; None if it has none."""
        path = self._find_one(SeriesInstanceUID) / "labels" / LABEL
        return open_image(path) if path.is_dir() else None

    def volumes(self, SeriesInstanceUID: str) -> list[xr.DataArray]:
        """Open every volume of a series lazily, where images differ in size or plane, or slices are missing."""
        return [open_image(path) for path in list_volumes(self.folder / SeriesInstanceUID)]

    def _find_one(self, SeriesInstanceUID: str) -> Path:
        found = list_volumes(self.folder / SeriesInstanceUID)
        if len(found) > 1:
            raise InvalidVolume(f"This series holds {len(found)} volumes: `copy.volumes(uid)` opens each.")
        return found[0]


def open_image(path: Path) -> xr.DataArray:
    """Open an image or a label map of a copy lazily.

    Raises
    ------
    NotFound
        If there is none.
    """
    try:
        return read_image(zarr.open_group(path, mode="r"))
    except (FileNotFoundError, KeyError) as error:  # a group that is not found is a FileNotFoundError, too
        raise _miss(path) from error


def list_volumes(path: Path) -> list[Path]:
    """Return where the volumes of a series lie in a copy: most have one, the series itself.

    Raises
    ------
    NotFound
        If there is no such series.
    """
    try:
        about: Any = zarr.open_group(path, mode="r").attrs["aurelius"]
    except (FileNotFoundError, KeyError) as error:
        raise _miss(path) from error
    return [path / name for name in about["volumes"]] if "volumes" in about else [path]


def _miss(path: Path) -> NotFound:
    return NotFound(f"{path} is no image of a dataset's copy. `dataset.to_zarr(folder)` makes one.")


def copy_dataset(
    dataset: DatasetContents,
    folder: Path,
    *,
    client: Client | None = None,
    workers: int = 2,
    progress: Progress | None = None,
) -> ZarrCopy:
    """Bring a folder to hold exactly this dataset; see `FrozenDataset.to_zarr`."""
    folder.mkdir(parents=True, exist_ok=True)
    with _holding(folder):
        _claim(folder, dataset)
        _tidy(folder)
        removed = _remove(folder, dataset.withdrawn)
        missing = [series for series in dataset.series if not (folder / series.record.SeriesInstanceUID).is_dir()]
        tasks = [(series, dataset.segments, folder) for series in missing]
        outcomes: dict[str, str | None] = {}
        done = _run_here(tasks, workers) if client is None else run_cluster(client, write_series, tasks)
        for uid, reason in done:
            outcomes[uid] = reason
            if progress is not None:
                progress(len(dataset) - len(missing) + len(outcomes), len(dataset))
        _tidy(folder)
    held = tuple(uid for uid in dataset.remaining if (folder / uid).is_dir())
    written = tuple(uid for uid, reason in outcomes.items() if reason is None)
    return ZarrCopy(folder, held, written, removed, {uid: reason for uid, reason in outcomes.items() if reason})


def write_series(series: FrozenSeries, segments: Mapping[str, int], folder: Path) -> tuple[str, str | None]:
    """Write one series, which appears under its name once it is whole and on disk; returns why not, if not."""
    uid = series.record.SeriesInstanceUID
    draft = Path(tempfile.mkdtemp(prefix=f".{uid}.", suffix=".part", dir=folder))
    try:
        record = series.record
        group = zarr.create_group(draft, overwrite=True)
        about = {"dataset": series.dataset_id, "SeriesInstanceUID": uid, "PatientID": record.PatientID}
        images = series.open_arrays()
        places = write_several(group, len(images), **about) if len(images) > 1 else [group]
        for place, image, label in zip(places, images, read_labels(series, segments, images), strict=True):
            write_image(place, image, **about, Modality=record.Modality)
            if label is not None and series.label is not None:
                write_label(place, LABEL, label, segments, SOPInstanceUID=series.label.annotation.SOPInstanceUID)
        sync_file_system(draft)
        draft.chmod(0o777 & ~_read_umask())
        if not (draft / "zarr.json").is_file():  # written first: a later call took it away, and what is here is a part
            raise FileNotFoundError(f"{draft.name} was taken away while it was written.")
        if not (folder / uid).is_dir():  # else a worker that was taken for dead had finished it
            os.rename(draft, folder / uid)
    except (Unreachable, PermissionDenied, OSError):  # nothing is wrong with the series: the next call goes on
        raise
    except (AureliusError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
        return uid, f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return uid, None


def _run_here(tasks: Sequence[Any], workers: int) -> Iterator[tuple[str, str | None]]:
    with ThreadPoolExecutor(max(1, workers)) as threads:
        futures = [threads.submit(write_series, *task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            threads.shutdown(cancel_futures=True)


def _claim(folder: Path, dataset: DatasetContents) -> None:
    """Make sure that the folder is for this dataset, and say so in it."""
    if any(entry.name != ".lock" for entry in folder.iterdir()):
        try:
            held = dict(zarr.open_group(folder, mode="r").attrs).get("aurelius")
        except GroupNotFoundError:
            held = None
        if not isinstance(held, dict) or held.get("dataset") != dataset.id:
            what = "a copy of another dataset" if isinstance(held, dict) else "other files"
            raise InvalidRequest(f"{folder} holds {what}: give this dataset a folder of its own.")
        return
    about = {"dataset": dataset.id, "name": dataset.name, "citation": dataset.citation, "segments": dataset.segments}
    zarr.create_group(folder, attributes={"aurelius": about})


def _remove(folder: Path, uids: Iterable[str]) -> tuple[str, ...]:
    gone = tuple(uid for uid in uids if (folder / uid).is_dir())
    for uid in gone:
        _discard(folder / uid)
    return gone


def _tidy(folder: Path) -> None:
    """Remove what was begun and is no longer written: by a call, or a worker, that was killed."""
    for leftover in folder.glob(".*.part"):
        _discard(leftover)


def _discard(path: Path) -> None:
    """Remove a folder: at once and whole for whoever reads it, or still writes into it."""
    trash = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=path.parent))
    os.rename(path, trash / "gone")
    shutil.rmtree(trash)


@contextmanager
def _holding(folder: Path) -> Iterator[None]:
    """Be the only one who writes here; the system lets go when the process ends, however it does."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidRequest(f"A copy is being written into {folder} at this moment: wait for it.") from None
        yield


def _read_umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
