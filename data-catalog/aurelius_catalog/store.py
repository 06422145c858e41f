"""The protocol of every store of the catalog, whether it reads the disk or asks the service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aurelius_catalog.access.person import Person
from aurelius_catalog.records import (
    AnnotationRecord,
    DatasetCheck,
    DatasetObject,
    DatasetRecord,
    DecisionAction,
    DecisionRecord,
    InstanceRecord,
    NewPrediction,
    PredictionRecord,
    Segment,
    SeriesRecord,
    SlideRecord,
    WorklistRow,
)

LabelMap = NDArray[np.uint8]


class PixelStore(Protocol):
    """What reads pixels: all that opening a volume asks of a store."""

    def read_frames(self, frames: Sequence[tuple[InstanceRecord, int]]) -> list[bytes]:
        """Return many frames, each as `read_frame` does, read side by side."""
        ...

    def fill_frames(self, frames: Sequence[tuple[InstanceRecord, int]], out: NDArray[np.uint8]) -> None:
        """Read native frames of one length into ``out``: ``(n_frames, frame_bytes)`` uint8, C-contiguous."""
        ...

    def read_file(self, SOPInstanceUID: str) -> bytes:
        """Return a whole file as stored; its record's ``media_type`` says what it is."""
        ...


class Store(PixelStore, Protocol):
    """The catalog as one person sees it; every method refuses what that person may not do.

    Two classes implement it: `aurelius_catalog.local.store.LocalStore` on this machine's index and files, and
    `aurelius_catalog.remote.store.HttpStore` through the catalog service. All raise `NotFound` for an unknown
    UID and `PermissionDenied` for one the person may not see.
    """

    @property
    def person(self) -> Person:
        """Whose eyes these are."""
        ...

    def find_series(self, **keywords: object) -> list[SeriesRecord]:
        """Return the visible series that match every keyword.

        A value is met if equal, a list if any of it is, a tuple ``(low, high)`` as a closed range (None: open end),
        a text with ``*`` or ``?`` as a wildcard, ``"20200101-20201231"`` as a range of dates, None by absence.
        Beside the attributes of the index there are ``project``, ``text`` (words of descriptions; ``lun*``),
        ``has_segmentation`` and ``has_prediction`` (True, False, or the name of a segment, model or finding).

        Raises
        ------
        InvalidRequest
            For an unknown keyword, with the nearest that there is, and for a value that it cannot have.
        """
        ...

    def find_page(self, keywords: Mapping[str, object], limit: int, offset: int = 0) -> list[SeriesRecord]:
        """Return at most ``limit`` of what `find_series` finds, from ``offset`` on."""
        ...

    def count_series(self, keywords: Mapping[str, object]) -> int:
        """Return how many series `find_series` would find."""
        ...

    def count_values(self, keywords: Mapping[str, object], keyword: str) -> dict[Any, int]:
        """Return how many of the series found have which value of an attribute, the most frequent first."""
        ...

    def read_table(self, keywords: Mapping[str, object]) -> pa.Table:
        """Return everything that `find_series` finds as an Arrow table, one column per field of a `SeriesRecord`."""
        ...

    def get_series(self, SeriesInstanceUID: str) -> SeriesRecord:
        """Return one series."""
        ...

    def list_instances(self, SeriesInstanceUID: str) -> list[InstanceRecord]:
        """Return the instances of a series, ordered along the slice normal, else by InstanceNumber."""
        ...

    def read_frame(self, instance: InstanceRecord, index: int) -> bytes:
        """Return one frame as stored: native bytes, or a codestream without item headers."""
        ...

    def describe_slide(self, SeriesInstanceUID: str) -> SlideRecord:
        """Return the levels of a whole slide and how large its pixels are."""
        ...

    def read_slide_region(
        self, SeriesInstanceUID: str, level: int, x: int, y: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Return a region of a level, ``(y, x, c)`` RGB, at most 2048 pixels along each side (`slides.tiles`)."""
        ...

    def read_slide_tile(self, SeriesInstanceUID: str, level: int, column: int, row: int) -> bytes:
        """Return one DeepZoom tile as JPEG; level 0 is one pixel."""
        ...

    def list_annotations(self, SeriesInstanceUID: str | None = None) -> list[AnnotationRecord]:
        """Return label versions, oldest first; of one series or of all visible ones."""
        ...

    def add_annotation(
        self,
        SeriesInstanceUID: str,
        labelmap: LabelMap,
        segments: Sequence[Segment],
        *,
        origin: str,
        comment: str = "",
    ) -> AnnotationRecord:
        """Store a label map ``(z, y, x)`` uint8 on the series' grid as a new version by this person."""
        ...

    def list_predictions(self, SeriesInstanceUID: str | None = None) -> list[PredictionRecord]:
        """Return what models found, oldest first."""
        ...

    def add_prediction(
        self,
        SeriesInstanceUID: str,
        prediction: NewPrediction,
        labelmap: LabelMap | None,
    ) -> PredictionRecord:
        """Store a model's result; it requires review until a person decides."""
        ...

    def list_worklist(self) -> list[WorklistRow]:
        """Return the visible predictions: those that need review first, the least certain before the others."""
        ...

    def add_decision(self, prediction_id: int, action: DecisionAction, comment: str) -> DecisionRecord:
        """Store the person's word on a prediction; it no longer requires review."""
        ...

    def list_datasets(self) -> list[DatasetRecord]:
        """Return the frozen datasets whose every series the person may see, newest first."""
        ...

    def get_dataset(self, id_or_name: str) -> DatasetRecord:
        """Return one frozen dataset; of several with a name, the newest."""
        ...

    def add_dataset(self, name: str, SeriesInstanceUIDs: Sequence[str]) -> DatasetRecord:
        """Freeze a list of series, and the labels drawn on them, under a name; the id is the hash of their content."""
        ...

    def list_dataset_series(self, dataset_id: str) -> list[SeriesRecord]:
        """Return the series of a dataset that are not withdrawn, counted as they were when it was frozen."""
        ...

    def list_dataset_objects(
        self, dataset_id: str, SeriesInstanceUID: str | None = None, role: str | None = None
    ) -> list[DatasetObject]:
        """Return the files a dataset was frozen with, of one series or all; ``role`` is ``image`` or ``label``."""
        ...

    def read_dataset_card(self, dataset_id: str) -> str:
        """Return the data card of a dataset, an HTML page."""
        ...

    def verify_dataset(self, dataset_id: str) -> Iterator[DatasetCheck]:
        """Read every file of a dataset again where the files are; yields one series after the other."""
        ...
