"""The segments of a stored segmentation: number, meaning, colour and origin of each (PS3.3 C.8.20.2)."""

from __future__ import annotations

from dataclasses import dataclass

from highdicom.color import CIELabColor
from pydicom import Dataset

Colour = tuple[int, int, int]
#: Colours of segments that recommend none; colour-blind people can distinguish them too (Okabe and Ito, 2008).
COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
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
        colour=CIELabColor.from_dicom_value(lab).to_rgb() if lab is not None and len(lab) == 3 else None,
        made_by=" ".join(str(part) for part in made_by if part),
    )


def _is_background(item: Dataset) -> bool:
    kinds = item.get("SegmentedPropertyTypeCodeSequence") or [Dataset()]
    return (str(kinds[0].get("CodeValue")), str(kinds[0].get("CodingSchemeDesignator"))) == BACKGROUND


def _read_meaning(code: Dataset) -> str:
    return str(code.get("CodeMeaning") or code.get("CodeValue") or "")


def choose_colour(number: int) -> Colour:
    """Return the colour of a segment by its number, counted from 1; colours repeat after the last."""
    return COLOURS[(number - 1) % len(COLOURS)]
