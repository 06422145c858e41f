"""The placement of pictures on the glass (PS3.3 section C.8.12.2.1), and so on one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from aurelius_catalog.errors import InvalidLabel
from aurelius_catalog.records import InstanceRecord, SlideRecord
from aurelius_deidentify.media_types import DICOM
from aurelius_deidentify.slides.dicom_slides import make_level_uid

#: Viewers turn a slide so that X points up and Y to the left: a slide file is shown as it is with this orientation.
UPRIGHT = (0.0, -1.0, 0.0, -1.0, 0.0, 0.0)
#: Pictures turned against one another by more than this sine do not lie on one another.
MOST_TURN = 1e-3
#: Two pictures of the whole slide may differ in proportion by this part, for sizes are rounded to whole pixels.
MOST_STRETCH = 0.02


@dataclass(frozen=True)
class Placement:
    """The placement of a picture on the glass.

    Parameters
    ----------
    origin_mm
        X and Y of its upper left corner; that half a pixel lies between it and the first pixel's middle is left aside,
        as slides do, whose levels all begin at one origin.
    orientation
        Cosines of its rows and of its columns, ImageOrientationSlide.
    """

    origin_mm: tuple[float, float]
    orientation: tuple[float, ...]


@dataclass(frozen=True)
class Place:
    """The place of a picture on a slide: its upper left corner, and the size of its pixels, in pixels of level 0."""

    x: float = 0.0
    y: float = 0.0
    by_x: float = 1.0
    by_y: float = 1.0


def find_unit(record: SlideRecord) -> tuple[float, float]:
    """Return micrometres per pixel of level 0 along x and y; 1 where the slide does not say, and counts in pixels."""
    known = record.mpp_x is not None and record.mpp_y is not None
    return record.mpp if known else (1.0, 1.0)


def place_file(width_mm: float, height_mm: float) -> Placement:
    """Place a slide file of some size, which says nothing of the glass, as DICOMweb shows it."""
    return Placement((height_mm, width_mm), UPRIGHT)


def read_placement(dataset: Dataset) -> Placement | None:
    """Read how a picture lies on the glass; None where its header does not say."""
    origin = (dataset.get("TotalPixelMatrixOriginSequence") or [Dataset()])[0]
    offsets = origin.get("XOffsetInSlideCoordinateSystem"), origin.get("YOffsetInSlideCoordinateSystem")
    cosines = dataset.get("ImageOrientationSlide")
    if offsets[0] is None or offsets[1] is None or cosines is None or len(cosines) != 6:
        return None
    return Placement((float(offsets[0]), float(offsets[1])), tuple(float(cosine) for cosine in cosines))


def read_spacing_um(dataset: Dataset) -> tuple[float, float] | None:
    """Return how far the pixels of a picture are apart along x and y in micrometres; None where it does not say."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    spacing = (shared.get("PixelMeasuresSequence") or [Dataset()])[0].get("PixelSpacing")
    return None if not spacing else (float(spacing[1]) * 1000, float(spacing[0]) * 1000)


def find_placement(record: SlideRecord) -> Placement | None:
    """Return how a slide lies on the glass; None where it does not say."""
    if record.origin_mm is None or record.ImageOrientationSlide is None:
        return None
    return Placement(record.origin_mm, record.ImageOrientationSlide)


def find_glass_to_px(record: SlideRecord) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return ``(2, 2)`` and ``(2,)`` that turn (X, Y) on the glass in mm into pixels of level 0; None if unknown."""
    placement = find_placement(record)
    if placement is None or record.mpp_x is None or record.mpp_y is None:
        return None
    turn = np.linalg.inv(_make_matrix(placement, (record.mpp_x, record.mpp_y)))
    return np.asarray(turn), np.asarray(-turn @ np.array(placement.origin_mm))


def find_pixel_size(
    record: SlideRecord, instances: Sequence[InstanceRecord], SOPInstanceUIDs: Sequence[str]
) -> tuple[float, float] | None:
    """Return the size, along x and y, of the pixels of a slide's level in the unit of the slide; see `find_unit`.

    Parameters
    ----------
    record, instances
        The slide, and what the catalog holds of it.
    SOPInstanceUIDs
        The level that is meant is the first of these that there is: a stored one, or a level of a slide file as
        DICOMweb knows it. None of them: there is no such size.
    """
    mpp_x, mpp_y = find_unit(record)
    for instance in instances:
        if instance.SOPInstanceUID in SOPInstanceUIDs:
            row_mm, column_mm = (instance.per_frame.get("PixelSpacing") or [None])[0] or (mpp_y / 1000, mpp_x / 1000)
            return column_mm * 1000, row_mm * 1000
        for number in range(len(record.levels) if instance.media_type != DICOM else 0):
            if make_level_uid(instance.SOPInstanceUID, number) in SOPInstanceUIDs:
                by_x, by_y = record.scale(number)
                return by_x * mpp_x, by_y * mpp_y
    return None


def locate_picture(record: SlideRecord, dataset: Dataset) -> Place:
    """Find where a picture of a slide, such as its segmentation, lies on it.

    Where one of them does not say how it lies on the glass, both are taken to begin at the same corner; where one does
    not say how large its pixels are, both are taken to show the whole slide.

    Parameters
    ----------
    record
        The slide.
    dataset
        The picture's header.

    Raises
    ------
    InvalidLabel
        If it is turned against the slide, or has other proportions.
    """
    spacing = read_spacing_um(dataset)
    if spacing is None or record.mpp_x is None or record.mpp_y is None:
        return place_whole(record, int(dataset.TotalPixelMatrixColumns), int(dataset.TotalPixelMatrixRows))
    to_px, theirs = find_glass_to_px(record), read_placement(dataset)
    if to_px is None or theirs is None:
        return Place(by_x=spacing[0] / record.mpp_x, by_y=spacing[1] / record.mpp_y)
    turn, offset = to_px
    steps = turn @ _make_matrix(theirs, spacing)
    if min(steps[0, 0], steps[1, 1]) <= 0 or max(abs(steps[0, 1]), abs(steps[1, 0])) > MOST_TURN * steps[0, 0]:
        raise InvalidLabel("This label is turned against the slide: it cannot be laid over it.")
    corner = turn @ np.array(theirs.origin_mm) + offset
    return Place(float(corner[0]), float(corner[1]), float(steps[0, 0]), float(steps[1, 1]))


def place_whole(record: SlideRecord, width: int, height: int) -> Place:
    """Place a picture that shows the whole slide.

    Raises
    ------
    InvalidLabel
        If it has other proportions.
    """
    finest = record.levels[0]
    place = Place(by_x=finest.width / width, by_y=finest.height / height)
    if abs(place.by_x / place.by_y - 1) > MOST_STRETCH:
        raise InvalidLabel(
            f"A label of {width} × {height} pixels does not show the whole of a slide of {finest.width} × "
            f"{finest.height}, and does not say how large its pixels are."
        )
    return place


def _make_matrix(placement: Placement, spacing_um: tuple[float, float]) -> NDArray[np.float64]:
    """Return ``(2, 2)``: mm on the glass from one pixel to the next along x, and along y."""
    cosines = np.array(placement.orientation).reshape(2, 3)[:, :2]
    return np.asarray(cosines.T * (np.array(spacing_um) / 1000))
