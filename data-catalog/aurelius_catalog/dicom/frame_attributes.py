"""The attributes of each frame: its place, the meaning of its values, and what distinguishes it from others there.

Found once, when a file enters the catalog, in the functional groups of multi-frame objects (PS3.3 C.7.6.16) and
at the top level of all others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from aurelius_catalog.dicom.json_header import Header, read_text, read_values, spell_tag

PerFrame = dict[str, list[Any]]

#: Attributes of numbers, and how many of them make sense; 0: any number of them.
NUMBERS = {
    "AcquisitionNumber": 1,
    "ActualFrameDuration": 1,
    "ColumnPositionInTotalImagePixelMatrix": 1,
    "DiffusionBValue": 1,
    "DiffusionGradientOrientation": 3,
    "EchoNumbers": 1,
    "EchoTime": 1,
    "EffectiveEchoTime": 1,
    "FlipAngle": 1,
    "FrameAcquisitionNumber": 1,
    "FrameReferenceTime": 1,
    "FrameTime": 1,
    "FrameTimeVector": 0,
    "GantryDetectorTilt": 1,
    "ImageOrientationPatient": 6,
    "ImagePositionPatient": 3,
    "ImagerPixelSpacing": 2,
    "InStackPositionNumber": 1,
    "InversionTime": 1,
    "NominalCardiacTriggerDelayTime": 1,
    "PixelPaddingValue": 1,
    "PixelSpacing": 2,
    "ReferencedSegmentNumber": 1,
    "RescaleIntercept": 1,
    "RescaleSlope": 1,
    "RowPositionInTotalImagePixelMatrix": 1,
    "SliceThickness": 1,
    "SpacingBetweenSlices": 1,
    "TemporalPositionIdentifier": 1,
    "TemporalPositionIndex": 1,
    "TemporalPositionTimeOffset": 1,
    "TriggerTime": 1,
}
#: Attributes of text, several values joined as DICOM joins them.
TEXTS = (
    "AcquisitionDateTime",
    "AcquisitionTime",
    "ComplexImageComponent",
    "ContentTime",
    "DiffusionDirectionality",
    "FrameType",
    "ImageType",
    "RescaleType",
    "StackID",
    "Units",
)
#: At the top level of a header these have columns of their own in the index.
COLUMNS = frozenset(
    {
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "PixelSpacing",
        "RescaleIntercept",
        "RescaleSlope",
        "SliceThickness",
    }
)
#: Present where an image has a Modality LUT instead of slope and intercept; the table itself stays in the file.
MODALITY_TABLE = "ModalityLUTType"
#: Functional groups with the attributes above; walking all of them would cost the intake time.
_MAIN_GROUPS = (
    "CardiacSynchronizationSequence",
    "CTImageFrameTypeSequence",
    "FrameContentSequence",
    "MRDiffusionSequence",
    "MREchoSequence",
    "MRImageFrameTypeSequence",
    "MRModifierSequence",
    "MRTimingAndRelatedParametersSequence",
    "PETFrameTypeSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "PlaneOrientationSequence",
    "PlanePositionSequence",
    "PlanePositionSlideSequence",
    "SegmentIdentificationSequence",
    "TemporalPositionSequence",
)
_DIFFUSION_DIRECTION = "DiffusionGradientDirectionSequence"  # one level further down


def read_per_frame(header: Header) -> PerFrame:
    """Read the attributes of each frame from a header.

    Parameters
    ----------
    header
        As DICOM JSON (PS3.18 Annex F).

    Returns
    -------
    dict
        DICOM keyword to a list: of one value if all frames have the same, else of one value per frame (None where a
        frame has none). Vectors are lists of numbers; lengths in mm, times as DICOM gives them. Those of `COLUMNS`
        are in it only where functional groups give them.
    """
    found = _read_attributes(header) | _read_table_type(header)
    per_frame: PerFrame = {name: [value] for name, value in found.items() if name not in COLUMNS}
    groups = read_values(header, "PerFrameFunctionalGroupsSequence")
    shared_items = read_values(header, "SharedFunctionalGroupsSequence")
    shared = _read_groups(shared_items[0]) if shared_items else {}
    per_frame |= {name: [value] for name, value in shared.items()}
    frames = [_read_groups(item) for item in groups]
    for name in dict.fromkeys(name for frame in frames for name in frame):
        values = [frame.get(name, shared.get(name)) for frame in frames]
        per_frame[name] = values[:1] if all(value == values[0] for value in values) else values
    return per_frame


def _read_table_type(header: Header) -> dict[str, Any]:
    """Return the ModalityLUTType of an image with a Modality LUT (PS3.3 C.11.1); empty without one."""
    tables = read_values(header, "ModalityLUTSequence")
    return {MODALITY_TABLE: read_text(tables[0], MODALITY_TABLE) or "US"} if tables else {}


def _read_groups(item: Header) -> dict[str, Any]:
    """Read the functional groups of one frame, or those all frames share."""
    found: dict[str, Any] = {}
    for tag in _GROUP_TAGS:
        inner = item.get(tag)
        for macro in inner.get("Value", ())[:1] if inner else ():
            found |= _read_attributes(macro)
            for direction in read_values(macro, _DIFFUSION_DIRECTION)[:1]:
                found |= _read_attributes(direction)
    return found


def _read_attributes(item: Header) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        return {}
    if len(item) < len(_READERS):  # the few attributes of a functional group
        pairs = [(tag, item[tag]) for tag in item if tag in _READERS]
    else:
        pairs = [(tag, item[tag]) for tag in _READERS if tag in item]
    found = {}
    for tag, element in pairs:
        name, read = _READERS[tag]
        values = element.get("Value")
        if values and (value := read(values)) is not None:
            found[name] = value
    return found


def _make_number_reader(length: int) -> Callable[[list[Any]], Any]:
    def read(values: list[Any]) -> Any:
        try:
            numbers = [float(value) for value in values]
        except (TypeError, ValueError):
            return None
        if not all(map(math.isfinite, numbers)) or (length and len(numbers) < length):
            return None
        return numbers[0] if length == 1 else numbers[: length or None]

    return read


def _read_text(values: list[Any]) -> str | None:
    return "\\".join(str(value) for value in values if value is not None).replace("\0", "")[:255] or None


_READERS: dict[str, tuple[str, Callable[[list[Any]], Any]]] = {
    **{spell_tag(name): (name, _make_number_reader(length)) for name, length in NUMBERS.items()},
    **{spell_tag(name): (name, _read_text) for name in TEXTS},
}
_GROUP_TAGS = tuple(spell_tag(name) for name in _MAIN_GROUPS)
