"""Label maps as DICOM SEG (highdicom; PS3.3 A.51). `objects.segmentation` reads them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from aurelius_catalog.dicom.segments import choose_colour
from aurelius_catalog.errors import InvalidLabel
from aurelius_catalog.objects.segment_codes import describe_label
from aurelius_catalog.records import Segment
from aurelius_catalog.store import LabelMap

if TYPE_CHECKING:
    from aurelius_catalog.objects.grid import Grid

# highdicom misses a caret in every person name of one component; ours are pseudonyms and user names on purpose.
warnings.filterwarnings("ignore", "The string .* is unlikely to represent the intended person name", UserWarning)


def write_segmentation(
    sources: Sequence[Dataset],
    labelmap: LabelMap,
    segments: Sequence[Segment],
    *,
    author: str,
    algorithm: tuple[str, str] | None = None,
    grid: Grid | None = None,
) -> Segmentation:
    """Build a DICOM SEG from a label map.

    Parameters
    ----------
    sources
        Headers of the labelled instances, in slice order.
    labelmap
        ``(z, y, x)`` uint8, voxel value = segment number; slices in the order of ``sources``, or on ``grid``.
    segments
        What the voxel values mean; numbers count from 1 without gaps.
    author
        Written as ContentCreatorName: the person's user name, or the model.
    algorithm
        Name and version of the model, for a label no person drew.
    grid
        Where the label map lies, for series whose instances are not its slices: multi-frame objects, several volumes.

    Raises
    ------
    InvalidLabel
        If shape or values do not fit, or the source cannot carry a segmentation.
    """
    check_labelmap(sources, labelmap, segments, grid)
    name, release = algorithm or ("Aurelius annotation", version("aurelius"))
    made_by = hd.AlgorithmIdentificationSequence(name=name, version=release, family=codes.DCM.ArtificialIntelligence)
    kind = "AUTOMATIC" if algorithm else "SEMIAUTOMATIC"
    labels = ", ".join(segment.label for segment in segments)
    try:
        segmentation = Segmentation(
            source_images=list(sources),
            pixel_array=labelmap if grid is None else _make_volume(labelmap, grid, sources[0]),
            segmentation_type="BINARY",
            segment_descriptions=[_describe_segment(segment, kind, made_by) for segment in segments],
            series_instance_uid=generate_uid(prefix="2.25."),
            series_number=9000,
            sop_instance_uid=generate_uid(prefix="2.25."),
            instance_number=1,
            manufacturer="Aurelius",
            manufacturer_model_name="Aurelius",
            software_versions=version("aurelius"),
            device_serial_number="0",
            content_creator_name=author.replace("^", " ") + "^",  # a family name only
            content_label="LABEL",
            series_description=f"{'Prediction' if algorithm else 'Label'}: {labels}"[:64],
            transfer_syntax_uid=ExplicitVRLittleEndian,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidLabel(f"This series cannot carry a segmentation: {error}") from error
    # It would be that of the images, in which a segment's name may not be writable.
    segmentation.SpecificCharacterSet = "ISO_IR 192"
    return segmentation


def _describe_segment(segment: Segment, kind: str, made_by: hd.AlgorithmIdentificationSequence) -> SegmentDescription:
    meaning = describe_label(segment.label)
    description = SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=meaning.category,
        segmented_property_type=meaning.type,
        algorithm_type=kind,
        algorithm_identification=made_by,
        display_color=CIELabColor.from_rgb(*choose_colour(segment.number)),
    )
    if meaning.side is not None:
        side = hd.sr.CodedConcept.from_code(meaning.side)
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [side]
    return description


def _make_volume(labelmap: LabelMap, grid: Grid, source: Dataset) -> hd.Volume:
    affine = grid.affine_lps[:, [2, 1, 0, 3]]  # highdicom indexes (slice, row, column)
    return hd.Volume(labelmap, affine, coordinate_system="PATIENT", frame_of_reference_uid=source.FrameOfReferenceUID)


def check_labelmap(
    sources: Sequence[Dataset], labelmap: LabelMap, segments: Sequence[Segment], grid: Grid | None = None
) -> None:
    """Refuse a label map that does not fit its series.

    Raises
    ------
    InvalidLabel
        Saying what does not fit.
    """
    if not sources:
        raise InvalidLabel("The series has no image to label.")
    expected = grid.shape if grid else (len(sources), int(sources[0].Rows), int(sources[0].Columns))
    if labelmap.shape != expected:
        raise InvalidLabel(
            f"The label map has shape {labelmap.shape}; the series has {expected} (slices, rows, columns)."
        )
    if [segment.number for segment in segments] != list(range(1, len(segments) + 1)) or not segments:
        raise InvalidLabel("Segments must be numbered 1, 2, 3, … without gaps, and there must be one at least.")
    if unknown := set(np.unique(labelmap).tolist()) - {segment.number for segment in segments} - {0}:
        raise InvalidLabel(f"The label map holds the values {sorted(unknown)}, which no segment explains.")
