"""The slides of the catalog on this machine: their levels, regions and tiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aurelius_catalog.local.context import LocalContext
from aurelius_catalog.local.images import LocalImages
from aurelius_catalog.records import InstanceRecord, SlideRecord

if TYPE_CHECKING:
    from aurelius_catalog.slides.open_slides import OpenedSlide


class LocalSlides:
    """What of the `Store` protocol reads slides; a `aurelius_catalog.slides.open_slides.SlideSource`."""

    def __init__(self, context: LocalContext, images: LocalImages) -> None:
        self._context = context
        self._images = images

    @property
    def place(self) -> str:
        """Address of the index: a slide of another catalog is another slide."""
        return self._context.settings.index_url

    @property
    def files(self) -> Path:
        """Folder of the catalog's files."""
        return self._context.files

    def note_reading(self, SeriesInstanceUID: str) -> None:
        """Make sure that the person may read a series, and that the audit log says so."""
        self._images.note_reading(SeriesInstanceUID)

    def list_instances(self, SeriesInstanceUID: str) -> Sequence[InstanceRecord]:
        """Return the files of a series that the person may read."""
        return self._images.list_instances(SeriesInstanceUID)

    def take_slide(self, SeriesInstanceUID: str) -> OpenedSlide:
        """Return an open slide; see `aurelius_catalog.slides.open_slides.OpenSlides.take`."""
        from aurelius_catalog.slides.open_slides import OPEN_SLIDES  # OpenSlide is wanted for slides only

        return OPEN_SLIDES.take(self, SeriesInstanceUID)

    def describe_slide(self, SeriesInstanceUID: str) -> SlideRecord:
        """Return the levels of a slide; see `Store.describe_slide`."""
        return self.take_slide(SeriesInstanceUID).record

    def read_slide_region(
        self, SeriesInstanceUID: str, level: int, x: int, y: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Return a region of a slide; see `aurelius_catalog.slides.tiles.read_region`."""
        return self.take_slide(SeriesInstanceUID).read_region(level, x, y, width, height)

    def read_slide_tile(self, SeriesInstanceUID: str, level: int, column: int, row: int) -> bytes:
        """Return a DeepZoom tile of a slide; see `aurelius_catalog.slides.tiles.make_tile`."""
        return self.take_slide(SeriesInstanceUID).make_tile(level, column, row)
