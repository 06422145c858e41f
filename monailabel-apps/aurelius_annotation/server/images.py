"""The cache of images for 3D Slicer: one NRRD file per series, made once and found again by its content."""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path

import nrrd
import numpy as np
from numpy.typing import NDArray

from aurelius_catalog.durable_files import write_durably
from aurelius_catalog.errors import InvalidVolume
from aurelius_catalog.records import SeriesRecord
from aurelius_catalog.series import Series
from aurelius_catalog.store import Store

#: Part of every key: a change of what is written makes all older files unused.
FORMAT = "nrrd-1"
#: Bytes the cache may hold; the images unused for longest go first.
LIMIT_BYTES = 20 << 30


@dataclass(frozen=True)
class CachedImage:
    """One image file.

    Parameters
    ----------
    path
        The file.
    name
        What Slicer is to call it: unique among all series of the house, because Slicer reuses files by name.
    sha256
        Hash of the file, by which Slicer checks a file it reuses.
    shape
        Voxels along (i, j, k) = (column, row, slice).
    affine_lps
        4 x 4 float64; maps (i, j, k, 1) to mm, patient LPS.
    """

    path: Path
    name: str
    sha256: str
    shape: tuple[int, int, int]
    affine_lps: NDArray[np.float64]


class ImageCache:
    """Content-addressed images below one folder.

    Parameters
    ----------
    folder
        Where the files are; made if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, store: Store, record: SeriesRecord) -> CachedImage:
        """Return the image of a series, made now if it is not there yet.

        Parameters
        ----------
        store
            The store of the person who asks; that the series may be seen is checked there.
        record
            The series.

        Raises
        ------
        InvalidVolume
            If the series is no regular volume.
        """
        series = Series(store, record)
        digest = hashlib.sha256(FORMAT.encode())
        for instance in series.instances:
            digest.update(bytes.fromhex(instance.sha256))
        key = digest.hexdigest()[:32]
        card = self.folder / f"{key}.json"
        if not card.exists() or not (self.folder / f"{key}.nrrd").exists():
            self._make(series, key)
        path = self.folder / f"{key}.nrrd"
        os.utime(path)
        known = json.loads(card.read_text())
        affine = np.array(known["affine_lps"])
        return CachedImage(path, f"{key}.nrrd", known["sha256"], tuple(known["shape"]), affine)

    def _make(self, series: Series, key: str) -> None:
        image = series.to_xarray()
        if image.dims != ("z", "y", "x"):
            raise InvalidVolume("This series is not a volume of single slices, which is what can be annotated here.")
        data, affine = shrink(image.to_numpy()), image.attrs["affine_lps"]
        content = write_nrrd(data, np.array(affine))
        known = {"sha256": hashlib.sha256(content).hexdigest(), "shape": data.shape[::-1], "affine_lps": affine}
        self.folder.mkdir(parents=True, exist_ok=True)
        write_durably(self.folder / f"{key}.nrrd", content)
        write_durably(self.folder / f"{key}.json", json.dumps(known).encode())
        self._evict(keep=key)

    def _evict(self, keep: str) -> None:
        files = sorted(self.folder.glob("*.nrrd"), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for path in files:
            total += path.stat().st_size
            if total > LIMIT_BYTES and path.stem != keep:
                path.with_suffix(".json").unlink(missing_ok=True)
                path.unlink(missing_ok=True)


def shrink(image: NDArray[np.float32]) -> NDArray[np.int16] | NDArray[np.float32]:
    """Return the same values as int16 where nothing is lost by it (CT always, most MR), else as they are.

    Parameters
    ----------
    image
        (z, y, x) float32, in the unit of the series (Hounsfield units for CT).
    """
    rounded = np.rint(image)
    if np.array_equal(rounded, image) and image.size and image.min() >= -32768 and image.max() <= 32767:
        return rounded.astype(np.int16)
    return image


def write_nrrd(data: NDArray[np.generic], affine_lps: NDArray[np.float64]) -> bytes:
    """Return an NRRD file, gzip level 1.

    Parameters
    ----------
    data
        Voxels (z, y, x), int16 or float32 for an image, uint8 for a label.
    affine_lps
        4 x 4 float64; maps (i, j, k, 1) = (column, row, slice, 1) to mm, patient LPS.
    """
    header = {
        "space": "left-posterior-superior",
        "kinds": ["domain"] * 3,
        "space directions": affine_lps[:3, :3].T,
        "space origin": affine_lps[:3, 3],
        "encoding": "gzip",
    }
    buffer = io.BytesIO()
    nrrd.write(buffer, data, header, index_order="C", compression_level=1)
    return buffer.getvalue()
