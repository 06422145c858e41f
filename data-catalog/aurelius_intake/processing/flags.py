"""Flags: reasons for a steward to look at a study although it is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from aurelius_catalog.dicom.json_header import read_text
from aurelius_catalog.index.deidentified import DeidentifiedFile
from aurelius_deidentify.media_types import DICOM
from aurelius_deidentify.pixels import shows_face

FACE = "face"
_KEYWORDS = (
    *("Modality", "BodyPartExamined", "Rows", "Columns", "NumberOfFrames", "PixelSpacing", "SliceThickness"),
    *("SpacingBetweenSlices", "StudyDescription", "SeriesDescription", "ProtocolName"),
    *("RequestedProcedureDescription", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
_TAGS = [f"{tag_for_keyword(keyword):08X}" for keyword in _KEYWORDS]


def find_flags(files: Iterable[DeidentifiedFile]) -> frozenset[str]:
    """Return ``face`` if one of the series is of a head and fine enough that a face could be drawn from it."""
    series: dict[str, list[DeidentifiedFile]] = defaultdict(list)
    for file in files:
        if file.media_type == DICOM and read_text(file.header, "Modality") in ("CT", "MR"):
            series[file.SeriesInstanceUID].append(file)
    return frozenset({FACE} if any(map(_may_show_face, series.values())) else ())


def _may_show_face(files: list[DeidentifiedFile]) -> bool:
    try:
        return shows_face([_read_geometry(files[0].header), *(_count_frames(file.header) for file in files[1:])])
    except Exception:  # a header that cannot be judged is for a person to judge
        return True


def _read_geometry(header: dict[str, Any]) -> Dataset:
    """Return what tells of size and place; of a sequence the first item will do, and it may have thousands."""
    picked = {tag: dict(header[tag]) for tag in _TAGS if tag in header}
    for element in picked.values():
        if element["vr"] == "SQ":
            element["Value"] = element.get("Value", [])[:1]
    return Dataset.from_json(picked)


def _count_frames(header: dict[str, Any]) -> Dataset:
    dataset = Dataset()
    if frames := read_text(header, "NumberOfFrames"):
        dataset.NumberOfFrames = frames
    return dataset
