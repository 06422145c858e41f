"""The frames of a series, one plane each, with their attributes from the index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aurelius_catalog.records import InstanceRecord

Numbers = NDArray[np.float64]
#: Attributes in which the frames of one array agree.
_read_format = attrgetter(
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "PixelRepresentation"
)
#: At the top level of a multi-frame header these hold for the whole object, not for the place of each frame.
_OF_ONE_PLANE = ("ImagePositionPatient", "ImageOrientationPatient")


@dataclass(frozen=True)
class Planes:
    """Frames in one array each, in some order.

    Parameters
    ----------
    frames
        The instance and the number of the frame in it, from 0.
    """

    frames: tuple[tuple[InstanceRecord, int], ...]

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def first(self) -> InstanceRecord:
        """The instance of the first frame: what all frames have in common is read from it."""
        return self.frames[0][0]

    def select(self, numbers: Iterable[int]) -> Planes:
        """Return some of them, in the order of ``numbers``."""
        numbers = list(numbers)
        if numbers == list(range(len(self.frames))):
            return self  # what was found out about them stays known
        return Planes(tuple(self.frames[number] for number in numbers))

    def read(self, keyword: str) -> list[Any]:
        """Return what the index holds of each frame under a keyword; None where it holds nothing."""
        return [read_attribute(instance, index, keyword) for instance, index in self.frames]

    def read_numbers(self, keyword: str, length: int) -> Numbers:
        """Return an attribute of each frame: ``(frames, length)`` float64, in DICOM's unit; NaN where absent."""
        nothing = [np.nan] * length
        values = [nothing if value is None else value for value in self.read(keyword)]
        return np.array(values, np.float64).reshape(len(values), length)

    @cached_property
    def positions(self) -> Numbers:
        """ImagePositionPatient of each: ``(frames, 3)`` float64, mm, LPS; NaN where it is absent."""
        return self.read_numbers("ImagePositionPatient", 3)

    @cached_property
    def orientations(self) -> Numbers:
        """ImageOrientationPatient of each: ``(frames, 6)`` float64, cosines of row and column; NaN where absent."""
        return self.read_numbers("ImageOrientationPatient", 6)

    @cached_property
    def spacings_mm(self) -> Numbers:
        """PixelSpacing of each: ``(frames, 2)`` float64, mm between rows and columns; NaN where absent."""
        return self.read_numbers("PixelSpacing", 2)

    @cached_property
    def are_placed(self) -> NDArray[np.bool_]:
        """Whether each frame has a place in the patient: ``(frames,)`` bool."""
        whole = np.hstack([self.positions, self.orientations, self.spacings_mm])
        placed: NDArray[np.bool_] = ~(np.isnan(whole).any(axis=1) | self.are_mosaics)
        return placed

    @cached_property
    def are_mosaics(self) -> NDArray[np.bool_]:
        """``(frames,)`` bool: whether a frame shows many slices side by side (Siemens): its position is not theirs."""
        return np.array(["MOSAIC" in str(kind or "").split("\\") for kind in self.read("ImageType")], bool)

    @cached_property
    def formats(self) -> list[tuple[Any, ...]]:
        """The attributes that must be equal for frames to be in one array."""
        return [_read_format(instance) for instance, _ in self.frames]


def list_planes(instances: Sequence[InstanceRecord]) -> Planes:
    """Return the frames of all images among instances."""
    return Planes(
        tuple(
            (instance, index)
            for instance in instances
            if instance.Rows and instance.Columns
            for index in range(count_frames(instance))
        )
    )


def count_frames(instance: InstanceRecord) -> int:
    """Return how many frames an image has; not all of them can be cut out of the file."""
    return len(instance.frames) or max(instance.NumberOfFrames or 1, 1)


def read_attribute(instance: InstanceRecord, index: int, keyword: str) -> Any:
    """Return what the index holds of a frame under a keyword; None if it holds nothing."""
    values = instance.per_frame.get(keyword)
    if values is not None:
        return values[0] if len(values) == 1 else values[index] if index < len(values) else None
    if keyword in _OF_ONE_PLANE and count_frames(instance) > 1:
        return None
    return getattr(instance, keyword, None)
