"""The images of the catalog on this machine, read with one person's rights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aurelius_catalog.dicom.byte_ranges import Span, fill_spans, read_spans
from aurelius_catalog.dicom.frame_locations import is_encapsulated, strip_items
from aurelius_catalog.errors import PermissionDenied
from aurelius_catalog.index import reads
from aurelius_catalog.index.audit_log import append_event, record_event
from aurelius_catalog.index.database import writing
from aurelius_catalog.index.frame_cache import PLACES
from aurelius_catalog.local.context import LocalContext
from aurelius_catalog.local.reading_log import OPENINGS
from aurelius_catalog.records import InstanceRecord


class LocalImages:
    """What of the `Store` protocol reads images; every reading is allowed and recorded."""

    def __init__(self, context: LocalContext) -> None:
        self._context = context

    def list_instances(self, SeriesInstanceUID: str) -> list[InstanceRecord]:
        """Return the instances of a series in slice order, and record that the series was opened."""
        with self._context.engine.begin() as connection:
            reads.get_series(connection, self._context.person, SeriesInstanceUID)
            listed = reads.list_instances(connection, SeriesInstanceUID)
        append_event(
            self._context.engine, self._context.person, "open series", SeriesInstanceUID, {"instances": len(listed)}
        )
        OPENINGS.note_opening(self._context.engine, self._context.person, SeriesInstanceUID)
        return listed

    def note_reading(self, SeriesInstanceUID: str) -> None:
        """Make sure the person may read a series and that the audit log says so; see `Openings.note_reading`."""
        OPENINGS.note_reading(self._context.engine, self._context.person, SeriesInstanceUID)

    def read_frame(self, instance: InstanceRecord, index: int) -> bytes:
        """Return one frame as stored; see `Store.read_frame`.

        Raises
        ------
        IndexError
            If the instance has no such frame.
        """
        offset, length = instance.frames[index]
        self.note_reading(instance.SeriesInstanceUID)
        with self.find_path(instance).open("rb") as file:
            data = os.pread(file.fileno(), length, offset)
        return strip_items(data) if is_encapsulated(instance.TransferSyntaxUID) else data

    def read_frames(self, frames: Sequence[tuple[InstanceRecord, int]]) -> list[bytes]:
        """Return many frames as stored, read side by side; see `Store.read_frames`.

        Raises
        ------
        IndexError
            If an instance has no such frame.
        """
        found = read_spans(self._locate(frames))
        return [
            strip_items(data) if is_encapsulated(instance.TransferSyntaxUID) else data
            for (instance, _), data in zip(frames, found, strict=True)
        ]

    def fill_frames(self, frames: Sequence[tuple[InstanceRecord, int]], out: NDArray[np.uint8]) -> None:
        """Read native frames straight into an array; see `Store.fill_frames`.

        Raises
        ------
        IndexError
            If an instance has no such frame.
        """
        fill_spans(self._locate(frames), out)

    def find_spans(self, SeriesInstanceUID: str, frames: Sequence[tuple[str, int]]) -> list[Span]:
        """Return where frames of a series lie, after `note_reading`; ``frames`` holds SOPInstanceUIDs and numbers."""
        self.note_reading(SeriesInstanceUID)
        return PLACES.find_spans(self._context.engine, self._context.files, SeriesInstanceUID, frames)

    def recall_spans(self, SeriesInstanceUID: str, frames: Sequence[tuple[str, int]]) -> list[Span] | None:
        """Return the same as `find_spans` where neither it nor `note_reading` need ask the index; None where one does.

        Raises
        ------
        NotFound
            If the series has no such frame.
        """
        if not OPENINGS.is_noted(self._context.engine, self._context.person, SeriesInstanceUID):
            return None
        return PLACES.recall_spans(self._context.engine, self._context.files, SeriesInstanceUID, frames)

    def read_file(self, SOPInstanceUID: str) -> bytes:
        """Return a whole file as stored, and record that it was opened."""
        return self.find_file(SOPInstanceUID)[0].read_bytes()

    def find_file(self, SOPInstanceUID: str) -> tuple[Path, str]:
        """Return where a file is and its media type, and record that it was opened; slides are too large to hand out.

        Nobody may write to it: it is the catalog's own.
        """
        instance = self._visible(SOPInstanceUID)
        with writing(self._context.engine) as connection:
            record_event(connection, self._context.person, "open instance", SOPInstanceUID)
        return self.find_path(instance), instance.media_type

    def list_headers(self, SeriesInstanceUID: str, SOPInstanceUID: str | None = None) -> dict[str, str]:
        """Return the headers of a series, or of one instance, as DICOM JSON text without long values; by their UIDs."""
        self.note_reading(SeriesInstanceUID)
        with self._context.engine.begin() as connection:
            return reads.list_headers(connection, SeriesInstanceUID, SOPInstanceUID)

    def find_path(self, instance: InstanceRecord) -> Path:
        """Return where the file of an instance lies."""
        return self._context.files / instance.path

    def _visible(self, SOPInstanceUID: str) -> InstanceRecord:
        with self._context.engine.begin() as connection:
            instance = reads.get_instance(connection, SOPInstanceUID)
            try:
                reads.get_series(connection, self._context.person, instance.SeriesInstanceUID)
            except PermissionDenied:  # which names the series: more than somebody who may not see it needs to know
                raise PermissionDenied(
                    f"{self._context.person.name} may not open instance {SOPInstanceUID}: it is in none of your "
                    "projects or sites. A data steward can tell you who to ask for access."
                ) from None
        return instance

    def _locate(self, frames: Sequence[tuple[InstanceRecord, int]]) -> list[Span]:
        """Return where frames lie, once it is sure that the person may read them."""
        for uid in {instance.SeriesInstanceUID for instance, _ in frames}:
            self.note_reading(uid)
        return [Span(f"{self._context.files}/{instance.path}", *instance.frames[index]) for instance, index in frames]
