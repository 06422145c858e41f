"""The segments of a stored segmentation: what each number stands for (PS3.3 C.8.20.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

Colour = tuple[int, int, int]
BACKGROUND = ("125040", "DCM")


@dataclass(frozen=True)
class StoredSegment:
    """One segment.

    Parameters
    ----------
    number
        SegmentNumber: the value of its voxels in a label map.
    label
        SegmentLabel.
    category, type
        Meanings of its property codes; empty where the object has none.
    side
        Meaning of the type's modifier, such as ``Left``.
    colour
        Red, green, blue, 0 … 255, where the object recommends one.
    made_by
        SegmentAlgorithmType, with the algorithm's name where there is one.
    """

    number: int
    label: str
    category: str = ""
    type: str = ""
    side: str = ""
    colour: Colour | None = None
    made_by: str = ""


def read_segments(dataset: Dataset) -> tuple[StoredSegment, ...]:
    """Return the segments of an object in their order, the background left out."""
    return tuple(_read_segment(item) for item in dataset.get("SegmentSequence") or [] if not _is_background(item))


def _read_segment(item: Dataset) -> StoredSegment:
    kinds = item.get("SegmentedPropertyTypeCodeSequence") or [Dataset()]
    lab = item.get("RecommendedDisplayCIELabValue")
    made_by = [item.get("SegmentAlgorithmType"), item.get("SegmentAlgorithmName")]
    return StoredSegment(
        number=int(item.SegmentNumber),
        label=str(item.get("SegmentLabel") or f"segment {item.SegmentNumber}"),
        category=_read_meaning((item.get("SegmentedPropertyCategoryCodeSequence") or [Dataset()])[0]),
        type=_read_meaning(kinds[0]),
        side=_read_meaning((kinds[0].get("SegmentedPropertyTypeModifierCodeSequence") or [Dataset()])[0]),
        colour=convert_cielab(lab[0], lab[1], lab[2]) if lab is not None and len(lab) == 3 else None,
        made_by=" ".join(str(part) for part in made_by if part),
    )


def _is_background(item: Dataset) -> bool:
    kinds = item.get("SegmentedPropertyTypeCodeSequence") or [Dataset()]
    return (str(kinds[0].get("CodeValue")), str(kinds[0].get("CodingSchemeDesignator"))) == BACKGROUND


def _read_meaning(code: Dataset) -> str:
    return str(code.get("CodeMeaning") or code.get("CodeValue") or "")


def convert_cielab(lightness: int, a: int, b: int) -> Colour:
    """Return red, green, blue (sRGB, 0 … 255) of a CIELab value as DICOM scales it (PS3.3 C.10.7.1.1)."""
    y = (lightness / 65535 * 100 + 16) / 116
    steps = np.array([y + (a / 65535 * 255 - 128) / 500, y, y - (b / 65535 * 255 - 128) / 200])
    white = np.array([0.9642, 1.0, 0.8251])  # D50
    xyz = white * np.where(steps > 6 / 29, steps**3, 3 * (6 / 29) ** 2 * (steps - 4 / 29))
    to_linear = np.array(  # Bradford, D50 to sRGB
        [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
    )
    linear = np.clip(to_linear @ xyz, 0, 1)
    red, green, blue = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return round(float(red) * 255), round(float(green) * 255), round(float(blue) * 255)
