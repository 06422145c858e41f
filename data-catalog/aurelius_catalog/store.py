"""What every store of the catalog can do, whether it reads the disk or asks the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aurelius_catalog.model import (
    AnnotationRecord,
    DatasetRecord,
    DecisionAction,
    DecisionRecord,
    InstanceRecord,
    NewPrediction,
    PredictionRecord,
    Segment,
    SeriesRecord,
    WorklistRow,
)
from aurelius_catalog.person import Person

LabelMap = NDArray[np.uint8]


class Store(Protocol):
    """The catalog as one person sees it; every method refuses what that person may not do.

    Two classes implement it: `aurelius_catalog.local.LocalStore` on this machine's index and files, and
    `aurelius_catalog.client.HttpStore` through the catalog service. All raise `NotFound` for an unknown
    UID and `PermissionDenied` for one the person may not see.
    """

    @property
    def person(self) -> Person:
        """Whose eyes these are."""
        ...

    def find_series(self, **keywords: object) -> list[SeriesRecord]:
        """Return the visible series whose attributes equal the given values (a list means any of them)."""
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

    def read_frames(self, frames: Sequence[tuple[InstanceRecord, int]]) -> list[bytes]:
        """Return many frames, each as `read_frame` does, read side by side."""
        ...

    def fill_frames(self, frames: Sequence[tuple[InstanceRecord, int]], out: NDArray[np.uint8]) -> None:
        """Read native frames of one length into ``out``: ``(n_frames, frame_bytes)`` uint8, C-contiguous."""
        ...

    def read_file(self, SOPInstanceUID: str) -> bytes:
        """Return a whole file as stored; its record's ``media_type`` says what it is."""
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
        """Return the frozen datasets whose every series the person may see."""
        ...

    def get_dataset(self, id_or_name: str) -> DatasetRecord:
        """Return one frozen dataset; of several with a name, the newest."""
        ...

    def add_dataset(self, name: str, SeriesInstanceUIDs: Sequence[str]) -> DatasetRecord:
        """Freeze a list of series under a name; the id is the hash of their content."""
        ...
