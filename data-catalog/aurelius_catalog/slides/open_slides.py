"""The slides a process holds open, so that a thousand tiles open a slide once."""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from openslide import (
    PROPERTY_NAME_MPP_X,
    PROPERTY_NAME_MPP_Y,
    PROPERTY_NAME_OBJECTIVE_POWER,
    PROPERTY_NAME_VENDOR,
    AbstractSlide,
    OpenSlideCache,
    OpenSlideError,
)
from pydicom import dcmread

from aurelius_catalog.records import InstanceRecord, SlideLevel, SlideRecord
from aurelius_catalog.slides import tiles
from aurelius_catalog.slides.placement import place_file, read_placement
from aurelius_catalog.slides.stored_slide import choose_instances, open_files
from aurelius_deidentify.media_types import DICOM

#: Slides held open, seconds until one is opened anew, bytes of decoded tiles that all of them keep together.
MOST_SLIDES = 16
KEPT_S = 600.0
CACHE_BYTES = 128 << 20
#: What places a DICOM slide on the glass.
_PLACING = ("ImageOrientationSlide", "TotalPixelMatrixOriginSequence")


class SlideSource(Protocol):
    """Where one person's slides lie, and whether that person may read them."""

    @property
    def place(self) -> str:
        """Address of the index: a slide of another catalog is another slide."""
        ...

    @property
    def files(self) -> Path:
        """Folder of the catalog's files."""
        ...

    def note_reading(self, SeriesInstanceUID: str) -> None:
        """Make sure that the person may read a series, and that the audit log says so."""
        ...

    def list_instances(self, SeriesInstanceUID: str) -> Sequence[InstanceRecord]:
        """Return the files of a series that the person may read."""
        ...


@dataclass(frozen=True)
class OpenedSlide:
    """A slide that is open; ``version`` changes with its content, ``instances`` are what it consists of."""

    slide: AbstractSlide
    record: SlideRecord
    version: str
    instances: tuple[InstanceRecord, ...]
    paths: tuple[Path, ...]
    until: float = field(default_factory=lambda: time.monotonic() + KEPT_S)

    @property
    def is_good(self) -> bool:
        """Whether it may still be used: it is not old, its files are there, and nothing of it was found damaged."""
        try:
            return time.monotonic() < self.until and all(map(Path.exists, self.paths)) and self.slide.level_count > 0
        except OpenSlideError:  # after its first error OpenSlide answers nothing else any more
            return False

    def read_region(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Read ``(y, x, c)`` uint8 RGB of one level, ``(height, width, 3)``; see `tiles.read_region`."""
        return tiles.read_region(self.slide, level, x, y, width, height)

    def make_tile(self, level: int, column: int, row: int) -> bytes:
        """Make one DeepZoom tile as JPEG; see `tiles.make_tile`."""
        return tiles.make_tile(self.slide, level, column, row)


class OpenSlides:
    """Slides held open for everybody; rights are checked each time one is taken.

    A slide that is put back is closed once the last tile in work is done with it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._gates = [Lock() for _ in range(64)]
        self._opened: OrderedDict[tuple[str, str], OpenedSlide] = OrderedDict()
        self._cache = OpenSlideCache(CACHE_BYTES)

    def take(self, source: SlideSource, SeriesInstanceUID: str) -> OpenedSlide:
        """Return an open slide, and make sure that the person may see it and the audit log says so.

        Raises
        ------
        NotFound, PermissionDenied, Withdrawn
            As for any series.
        InvalidRequest
            If the series is no slide, or nothing here reads it.
        """
        key = (source.place, SeriesInstanceUID)
        held = self._find(key)
        if held is not None:
            source.note_reading(SeriesInstanceUID)
            return held
        with self._gates[hash(key) % len(self._gates)]:  # of many requests for one slide, only the first opens it
            held = self._find(key)
            if held is not None:
                source.note_reading(SeriesInstanceUID)
                return held
            made = self._open(source.files, SeriesInstanceUID, source.list_instances(SeriesInstanceUID))
            with self._lock:
                self._opened[key] = made
                while len(self._opened) > MOST_SLIDES:
                    self._opened.popitem(last=False)
            return made

    def _find(self, key: tuple[str, str]) -> OpenedSlide | None:
        with self._lock:
            held = self._opened.get(key)
            if held is None:
                return None
            if not held.is_good:
                del self._opened[key]
                return None
            self._opened.move_to_end(key)
            return held

    def _open(self, files: Path, SeriesInstanceUID: str, instances: Sequence[InstanceRecord]) -> OpenedSlide:
        chosen = choose_instances(instances)
        slide = open_files(files, chosen)
        slide.set_cache(self._cache)
        version = hashlib.sha256("".join(each.sha256 for each in chosen).encode()).hexdigest()[:32]
        paths = tuple(files / each.path for each in chosen)
        return OpenedSlide(
            slide, _describe(slide, SeriesInstanceUID, chosen[0], paths[0]), version, tuple(chosen), paths
        )


def _describe(slide: AbstractSlide, SeriesInstanceUID: str, held: InstanceRecord, path: Path) -> SlideRecord:
    """Describe an open slide; ``held`` is its finest level, or the slide file, and lies at ``path``."""
    properties = slide.properties
    mpp_x, mpp_y = (_read_positive(properties.get(name)) for name in (PROPERTY_NAME_MPP_X, PROPERTY_NAME_MPP_Y))
    width, height = slide.dimensions
    if held.media_type == DICOM:
        placement = read_placement(dcmread(path, stop_before_pixels=True, specific_tags=[*_PLACING]))
    else:
        placement = place_file(width * (mpp_x or 1.0) / 1000, height * (mpp_y or 1.0) / 1000)
    sizes = zip(slide.level_dimensions, slide.level_downsamples, strict=True)
    return SlideRecord(
        SeriesInstanceUID=SeriesInstanceUID,
        vendor=properties.get(PROPERTY_NAME_VENDOR, "unknown"),
        tile_px=tiles.TILE_PX,
        overlap_px=tiles.OVERLAP_PX,
        levels=tuple(SlideLevel(width=width, height=height, downsample=by) for (width, height), by in sizes),
        mpp_x=mpp_x,
        mpp_y=mpp_y,
        objective_power=_read_positive(properties.get(PROPERTY_NAME_OBJECTIVE_POWER)),
        origin_mm=placement and placement.origin_mm,
        ImageOrientationSlide=placement and placement.orientation,
    )


def _read_positive(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None


#: The slides of this process.
OPEN_SLIDES = OpenSlides()
