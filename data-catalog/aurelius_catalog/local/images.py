"""Finding and reading the images of the catalog on this machine, with one person's eyes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import SecretStr

from aurelius_catalog import search
from aurelius_catalog.access.person import Person
from aurelius_catalog.dicom.byte_ranges import Span, fill_spans, read_spans
from aurelius_catalog.dicom.frame_locations import is_encapsulated, strip_items
from aurelius_catalog.errors import PermissionDenied
from aurelius_catalog.index import reads
from aurelius_catalog.index.audit_log import append_event, record_event
from aurelius_catalog.index.database import open_engine, writing
from aurelius_catalog.index.frame_cache import PLACES
from aurelius_catalog.local.reading_log import OPENINGS
from aurelius_catalog.records import (
    InstanceRecord,
    SeriesRecord,
    SlideRecord,
    StudyRecord,
)
from aurelius_catalog.settings import CatalogSettings

if TYPE_CHECKING:
    from aurelius_catalog.slides.open_slides import OpenedSlide


class LocalImages:
    """What of the `Store` protocol looks for images and reads them.

    Parameters
    ----------
    settings
        Where index and files are.
    person
        Whose eyes these are: every method refuses what this person may not do.
    """

    def __init__(self, settings: CatalogSettings, person: Person) -> None:
        self.settings = settings
        self.person = person
        self._engine = open_engine(settings)
        self._files = settings.files

    def __reduce__(self) -> tuple[type[Self], tuple[CatalogSettings, Person]]:
        # Another process opens the index anew, and needs no key of the vault for it.
        return type(self), (self.settings.model_copy(update={"vault_key": SecretStr("")}), self.person)

    # -- looking ---------------------------------------------------------------------------------

    def find_series(self, **keywords: object) -> list[SeriesRecord]:
        """Return the visible series that match; see `Store.find_series`."""
        with self._engine.begin() as connection:
            return search.find_page(connection, self.person, keywords, None)

    def find_page(self, keywords: Mapping[str, object], limit: int, offset: int = 0) -> list[SeriesRecord]:
        """Return a page of the visible series that match; see `Store.find_page`."""
        with self._engine.begin() as connection:
            return search.find_page(connection, self.person, keywords, limit, offset)

    def count_series(self, keywords: Mapping[str, object]) -> int:
        """Return how many visible series match; see `Store.count_series`."""
        with self._engine.begin() as connection:
            return search.count_series(connection, self.person, keywords, self.settings.idc_index)

    def count_values(self, keywords: Mapping[str, object], keyword: str) -> dict[Any, int]:
        """Return how many visible series have which value; see `Store.count_values`."""
        with self._engine.begin() as connection:
            return search.count_values(connection, self.person, keywords, keyword, self.settings.idc_index)

    def read_table(self, keywords: Mapping[str, object]) -> pa.Table:
        """Return everything that matches as one table; see `Store.read_table`."""
        with self._engine.begin() as connection:
            return search.read_table(connection, self.person, keywords, self.settings.idc_index)

    def find_studies(self, keywords: Mapping[str, object], limit: int, offset: int = 0) -> list[StudyRecord]:
        """Return a page of the visible studies that have a series that matches, with counts over all their series."""
        with self._engine.begin() as connection:
            return search.find_studies(connection, self.person, keywords, limit, offset)

    def find_instances(
        self, keywords: Mapping[str, object], limit: int, offset: int = 0
    ) -> list[tuple[InstanceRecord, SeriesRecord]]:
        """Return a page of the visible instances that match, each with its series."""
        with self._engine.begin() as connection:
            return search.find_instances(connection, self.person, keywords, limit, offset)

    def get_series(self, SeriesInstanceUID: str) -> SeriesRecord:
        """Return one series; see `Store.get_series`."""
        with self._engine.begin() as connection:
            return reads.get_series(connection, self.person, SeriesInstanceUID)

    def list_instances(self, SeriesInstanceUID: str) -> list[InstanceRecord]:
        """Return the instances of a series in slice order, and record that the series was opened."""
        with self._engine.begin() as connection:
            reads.get_series(connection, self.person, SeriesInstanceUID)
            listed = reads.list_instances(connection, SeriesInstanceUID)
        append_event(self._engine, self.person, "open series", SeriesInstanceUID, {"instances": len(listed)})
        OPENINGS.note_opening(self._engine, self.person, SeriesInstanceUID)
        return listed

    def note_reading(self, SeriesInstanceUID: str) -> None:
        """Make sure the person may read a series and that the audit log says so; see `Openings.note_reading`."""
        OPENINGS.note_reading(self._engine, self.person, SeriesInstanceUID)

    def read_frame(self, instance: InstanceRecord, index: int) -> bytes:
        """Return one frame as stored; see `Store.read_frame`.

        Raises
        ------
        IndexError
            If the instance has no such frame.
        """
        offset, length = instance.frames[index]
        self.note_reading(instance.SeriesInstanceUID)
        with self._path(instance).open("rb") as file:
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
        return PLACES.find_spans(self._engine, self._files, SeriesInstanceUID, frames)

    def recall_spans(self, SeriesInstanceUID: str, frames: Sequence[tuple[str, int]]) -> list[Span] | None:
        """Return the same as `find_spans` where neither it nor `note_reading` need ask the index; None where one does.

        Raises
        ------
        NotFound
            If the series has no such frame.
        """
        if not OPENINGS.is_noted(self._engine, self.person, SeriesInstanceUID):
            return None
        return PLACES.recall_spans(self._engine, self._files, SeriesInstanceUID, frames)

    def read_file(self, SOPInstanceUID: str) -> bytes:
        """Return a whole file as stored, and record that it was opened."""
        return self.find_file(SOPInstanceUID)[0].read_bytes()

    def find_file(self, SOPInstanceUID: str) -> tuple[Path, str]:
        """Return where a file is and its media type, and record that it was opened; slides are too large to hand out.

        Nobody may write to it: it is the catalog's own.
        """
        instance = self._visible(SOPInstanceUID)
        with writing(self._engine) as connection:
            record_event(connection, self.person, "open instance", SOPInstanceUID)
        return self._path(instance), instance.media_type

    def list_headers(self, SeriesInstanceUID: str, SOPInstanceUID: str | None = None) -> dict[str, str]:
        """Return the headers of a series, or of one instance, as DICOM JSON text without long values; by their UIDs."""
        self.note_reading(SeriesInstanceUID)
        with self._engine.begin() as connection:
            return reads.list_headers(connection, SeriesInstanceUID, SOPInstanceUID)

    # -- slides ----------------------------------------------------------------------------------

    def describe_slide(self, SeriesInstanceUID: str) -> SlideRecord:
        """Return the levels of a slide; see `Store.describe_slide`."""
        return self._take_slide(SeriesInstanceUID).record

    def read_slide_region(
        self, SeriesInstanceUID: str, level: int, x: int, y: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Return a region of a slide; see `aurelius_catalog.slides.tiles.read_region`."""
        return self._take_slide(SeriesInstanceUID).read_region(level, x, y, width, height)

    def read_slide_tile(self, SeriesInstanceUID: str, level: int, column: int, row: int) -> bytes:
        """Return a DeepZoom tile of a slide; see `aurelius_catalog.slides.tiles.make_tile`."""
        return self._take_slide(SeriesInstanceUID).make_tile(level, column, row)

    def _take_slide(self, SeriesInstanceUID: str) -> OpenedSlide:
        from aurelius_catalog.slides.open_slides import OPEN_SLIDES  # OpenSlide is wanted for slides only

        return OPEN_SLIDES.take(self, SeriesInstanceUID)

    # -- inside --------------------------------------------------------------------------------------

    def _visible(self, SOPInstanceUID: str) -> InstanceRecord:
        with self._engine.begin() as connection:
            instance = reads.get_instance(connection, SOPInstanceUID)
            try:
                reads.get_series(connection, self.person, instance.SeriesInstanceUID)
            except PermissionDenied:  # which names the series: more than somebody who may not see it needs to know
                raise PermissionDenied(
                    f"{self.person.name} may not open instance {SOPInstanceUID}: it is in none of your projects or "
                    "sites. A data steward can tell you who to ask for access."
                ) from None
        return instance

    def _locate(self, frames: Sequence[tuple[InstanceRecord, int]]) -> list[Span]:
        """Return where frames lie, once it is sure that the person may read them."""
        for uid in {instance.SeriesInstanceUID for instance, _ in frames}:
            self.note_reading(uid)
        return [Span(f"{self._files}/{instance.path}", *instance.frames[index]) for instance, index in frames]

    def _path(self, instance: InstanceRecord) -> Path:
        return self._files / instance.path
