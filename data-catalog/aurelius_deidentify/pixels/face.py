"""Faces: series that show a head so finely that a face could be drawn from it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydicom import Dataset

#: BodyPartExamined (PS3.16 annex L) and words of descriptions.
HEAD = re.compile(r"HEAD|BRAIN|SKULL|CRAN|FACE|FACIAL|ORBIT|SINUS|MAXILL|MANDIB|JAW|NEURO|T1.*MPR|MPRAGE|MP2RAGE|SPGR")
#: Coarser than this along any axis, a surface shows no features.
FINEST_USEFUL_MM = 3.5
#: A face takes this much of a head, across the slices.
SMALLEST_EXTENT_MM = 60.0
#: The field of view of a head; where nothing names the body part, an MR of this size is taken for one.
HEAD_FIELD_MM = (180.0, 300.0)
SMALLEST_VOLUME = 120.0
DESCRIPTIONS = ("StudyDescription", "SeriesDescription", "ProtocolName", "RequestedProcedureDescription")


def shows_face(headers: Sequence[Dataset]) -> bool:
    """Whether a series is a head CT or MR fine enough to show a face.

    Parameters
    ----------
    headers
        Headers of the series' objects, in any order, without pixels; identified or de-identified.
    """
    if not headers or headers[0].get("Modality") not in ("CT", "MR"):
        return False
    first = headers[0]
    spacing = _measure(first)
    if spacing is None or max(spacing) > FINEST_USEFUL_MM:
        return False
    slices = sum(int(header.get("NumberOfFrames") or 1) for header in headers)
    extent_mm = slices * spacing[0]
    field_mm = max(int(first.get("Rows") or 0) * spacing[1], int(first.get("Columns") or 0) * spacing[2])
    part = str(first.get("BodyPartExamined") or "").upper()
    if part:
        return bool(HEAD.search(part)) and extent_mm >= SMALLEST_EXTENT_MM
    if HEAD.search(" ".join(str(first.get(keyword) or "") for keyword in DESCRIPTIONS).upper()):
        return extent_mm >= SMALLEST_EXTENT_MM
    looks_like_head = HEAD_FIELD_MM[0] <= field_mm <= HEAD_FIELD_MM[1]
    return looks_like_head and extent_mm >= SMALLEST_VOLUME


def _measure(header: Dataset) -> tuple[float, float, float] | None:
    """Return the voxel size (slice, row, column) in mm, of classic and of enhanced objects; None if not stated."""
    measures = header
    for group in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for item in (header.get(group) or [])[:1]:
            if item.get("PixelMeasuresSequence"):
                measures = item.PixelMeasuresSequence[0]
    spacing = measures.get("PixelSpacing")
    thickness = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness")
    try:
        return (abs(float(thickness)), float(spacing[0]), float(spacing[1])) if spacing and thickness else None
    except (TypeError, ValueError, IndexError):
        return None
