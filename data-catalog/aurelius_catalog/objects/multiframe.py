"""The frames of a multi-frame object: where each lies, and what it was drawn on (PS3.3 C.7.6.16)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from aurelius_catalog.errors import InvalidObject


@dataclass(frozen=True)
class Plane:
    """One frame's place.

    Parameters
    ----------
    shape
        Size along (rows, columns).
    position_mm
        ``(3,)`` centre of the first pixel, patient LPS; None where the object does not say.
    steps_mm
        ``(3, 2)`` way from one pixel to the next along a row, and to the next row.
    between_mm, thickness_mm
        SpacingBetweenSlices and SliceThickness; None where the object does not say.
    sources
        (SOPInstanceUID, frame number) of the images it was drawn on.
    segment
        ReferencedSegmentNumber, where the frame shows one segment.
    corner
        (row, column) of its first pixel in the whole picture of a slide, from 0; None of others.
    """

    shape: tuple[int, int]
    position_mm: NDArray[np.float64] | None = None
    steps_mm: NDArray[np.float64] | None = None
    between_mm: float | None = None
    thickness_mm: float | None = None
    sources: tuple[tuple[str, int], ...] = ()
    segment: int | None = None
    corner: tuple[int, int] | None = None


def read_planes(dataset: Dataset) -> list[Plane]:
    """Return the place of every frame of an object with functional groups.

    Raises
    ------
    InvalidObject
        If it describes more frames than it has, or fewer.
    """
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    count = int(dataset.get("NumberOfFrames") or 1)
    if "TotalPixelMatrixRows" in dataset and dataset.get("DimensionOrganizationType") == "TILED_FULL":
        return _list_tiles(dataset, count)
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or [Dataset()] * count
    if len(groups) != count:
        raise InvalidObject(f"This object says it has {count} frames, and describes {len(groups)}.")
    return [_read_plane(dataset, shared, own) for own in groups]


def _list_tiles(dataset: Dataset, count: int) -> list[Plane]:
    """Return the planes of a slide whose tiles lie row by row, one segment after the other (PS3.3 C.7.6.17.3)."""
    shape = int(dataset.Rows), int(dataset.Columns)
    corners = [
        (row, column)
        for row in range(0, int(dataset.TotalPixelMatrixRows), shape[0])
        for column in range(0, int(dataset.TotalPixelMatrixColumns), shape[1])
    ]
    listed = dataset.get("SegmentSequence") or []
    segments = [None] if dataset.get("SegmentationType") == "LABELMAP" else [int(item.SegmentNumber) for item in listed]
    if len(corners) * len(segments) != count:
        raise InvalidObject(f"This object has {count} frames; its tiles and segments ask for others.")
    return [Plane(shape, segment=segment, corner=corner) for segment in segments for corner in corners]


def _read_plane(dataset: Dataset, shared: Dataset, own: Dataset) -> Plane:
    position = _find(shared, own, "PlanePositionSequence", "ImagePositionPatient")
    orientation = _find(shared, own, "PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = _find(shared, own, "PixelMeasuresSequence", "PixelSpacing")
    steps = None
    if orientation and spacing:
        cosines = np.array(orientation, dtype=np.float64).reshape(2, 3)
        steps = np.stack([cosines[0] * float(spacing[1]), cosines[1] * float(spacing[0])], axis=1)
    between = _find(shared, own, "PixelMeasuresSequence", "SpacingBetweenSlices")
    thickness = _find(shared, own, "PixelMeasuresSequence", "SliceThickness")
    number = _find(shared, own, "SegmentIdentificationSequence", "ReferencedSegmentNumber")
    return Plane(
        shape=(int(dataset.Rows), int(dataset.Columns)),
        position_mm=np.array(position, dtype=np.float64) if position else None,
        steps_mm=steps,
        between_mm=float(between) if between else None,
        thickness_mm=float(thickness) if thickness else None,
        sources=_list_sources(own) or _list_sources(shared),
        segment=None if number is None else int(number),
        corner=_read_corner(shared, own),
    )


def _read_corner(shared: Dataset, own: Dataset) -> tuple[int, int] | None:
    found = [
        _find(shared, own, "PlanePositionSlideSequence", f"{axis}PositionInTotalImagePixelMatrix")
        for axis in ("Row", "Column")
    ]
    return None if None in found else (int(found[0]) - 1, int(found[1]) - 1)


def _list_sources(group: Dataset) -> tuple[tuple[str, int], ...]:
    found: list[tuple[str, int]] = []
    for derivation in group.get("DerivationImageSequence") or []:
        for source in derivation.get("SourceImageSequence") or []:
            numbers: Any = source.get("ReferencedFrameNumber") or 1
            listed = [numbers] if isinstance(numbers, (int, str)) else list(numbers)
            found.extend((str(source.ReferencedSOPInstanceUID), int(number)) for number in listed)
    return tuple(found)


def _find(shared: Dataset, own: Dataset, sequence: str, keyword: str) -> Any:
    for group in (own, shared):
        if items := group.get(sequence):
            return items[0].get(keyword)
    return None
