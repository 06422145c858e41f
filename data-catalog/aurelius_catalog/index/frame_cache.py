"""A cache of frame locations: what the service looks up for every frame it hands out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select

from aurelius_catalog.dicom.byte_ranges import Span
from aurelius_catalog.errors import NotFound
from aurelius_catalog.index.schema import instances

#: How many series are kept; of one with 300 slices 100 kB, of a large slide 2 MB.
MANY = 64


class _Place(NamedTuple):
    """The file of an instance, and offset and length of each of its frames: ``(frames, 2)`` int64."""

    path: str
    frames: NDArray[np.int64]


_Places = dict[str, _Place]


class FrameCache:
    """The places of frames, of the series that were asked for last; rights are the caller's to check."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._series: OrderedDict[tuple[str, str], _Places] = OrderedDict()

    def find_spans(
        self, engine: Engine, folder: Path, SeriesInstanceUID: str, frames: Sequence[tuple[str, int]]
    ) -> list[Span]:
        """Return where frames lie, in the order they are asked for.

        Parameters
        ----------
        engine
            The index.
        folder
            Of the files.
        SeriesInstanceUID
            The series that all of them belong to.
        frames
            SOPInstanceUID and number of each frame, counted from 0.

        Raises
        ------
        NotFound
            If the series has no such frame.
        """
        known = self._recall(engine, SeriesInstanceUID, frames)
        if known is None:
            known = self._read(engine, SeriesInstanceUID)
        return _list_spans(known, folder, SeriesInstanceUID, frames)

    def recall_spans(
        self, engine: Engine, folder: Path, SeriesInstanceUID: str, frames: Sequence[tuple[str, int]]
    ) -> list[Span] | None:
        """Return the same as `find_spans` where that need not ask the index; None where it does."""
        known = self._recall(engine, SeriesInstanceUID, frames)
        return None if known is None else _list_spans(known, folder, SeriesInstanceUID, frames)

    def _recall(self, engine: Engine, uid: str, frames: Sequence[tuple[str, int]]) -> _Places | None:
        key = (engine.url.render_as_string(), uid)
        with self._lock:
            known = self._series.get(key)
            if known is not None:
                self._series.move_to_end(key)
        return known if known is not None and all(instance in known for instance, _ in frames) else None

    def _read(self, engine: Engine, uid: str) -> _Places:
        known = _read_places(engine, uid)  # a series may have grown by an instance that came late
        with self._lock:
            self._series[engine.url.render_as_string(), uid] = known
            while len(self._series) > MANY:
                self._series.popitem(last=False)
        return known


def _list_spans(known: _Places, folder: Path, SeriesInstanceUID: str, frames: Sequence[tuple[str, int]]) -> list[Span]:
    spans = []
    for uid, number in frames:
        place = known.get(uid)
        if place is None or not 0 <= number < len(place.frames):
            raise NotFound(f"Series {SeriesInstanceUID} has no frame {number} of an instance {uid}.")
        offset, length = place.frames[number].tolist()
        spans.append(Span(f"{folder}/{place.path}", offset, length))
    return spans


def _read_places(engine: Engine, SeriesInstanceUID: str) -> _Places:
    columns = (instances.c.SOPInstanceUID, instances.c.path, instances.c.frames)
    with engine.begin() as connection:
        rows = connection.execute(select(*columns).where(instances.c.SeriesInstanceUID == SeriesInstanceUID)).all()
    return {uid: _Place(path, np.array(frames, np.int64).reshape(-1, 2)) for uid, path, frames in rows}


#: The places this process knows.
PLACES = FrameCache()
