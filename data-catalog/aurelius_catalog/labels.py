"""Label maps as DICOM SEG, and back (highdicom; PS3.3 A.51)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.metadata import version
from io import BytesIO

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from aurelius_catalog.errors import InvalidLabel
from aurelius_catalog.model import Segment
from aurelius_catalog.store import LabelMap

# highdicom misses a caret in every person name of one component; ours are pseudonyms and user names on purpose.
warnings.filterwarnings("ignore", "The string .* is unlikely to represent the intended person name", UserWarning)


def write_segmentation(
    sources: Sequence[Dataset],
    labelmap: LabelMap,
    segments: Sequence[Segment],
    *,
    author: str,
    algorithm: tuple[str, str] | None = None,
) -> Segmentation:
    """Build a DICOM SEG from a label map.

    Parameters
    ----------
    sources
        Headers of the labelled instances, in slice order.
    labelmap
        ``(z, y, x)`` uint8, voxel value = segment number, slices in the order of ``sources``.
    segments
        What the voxel values mean; numbers count from 1 without gaps.
    author
        Written as ContentCreatorName: the person's user name, or the model.
    algorithm
        Name and version of the model, for a label no person drew.

    Raises
    ------
    InvalidLabel
        If shape or values do not fit, or the source cannot carry a segmentation.
    """
    check_labelmap(sources, labelmap, segments)
    kind = "AUTOMATIC" if algorithm else "SEMIAUTOMATIC"
    name, release = algorithm or ("Aurelius annotation", version("aurelius"))
    descriptions = [
        SegmentDescription(
            segment_number=segment.number,
            segment_label=segment.label,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Lesion,
            algorithm_type=kind,
            algorithm_identification=hd.AlgorithmIdentificationSequence(
                name=name, version=release, family=codes.DCM.ArtificialIntelligence
            ),
        )
        for segment in segments
    ]
    try:
        return Segmentation(
            source_images=list(sources),
            pixel_array=labelmap,
            segmentation_type="BINARY",
            segment_descriptions=descriptions,
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
            transfer_syntax_uid=ExplicitVRLittleEndian,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidLabel(f"This series cannot carry a segmentation: {error}") from error


def check_labelmap(sources: Sequence[Dataset], labelmap: LabelMap, segments: Sequence[Segment]) -> None:
    """Refuse a label map that does not fit its series.

    Raises
    ------
    InvalidLabel
        Saying what does not fit.
    """
    if not sources:
        raise InvalidLabel("The series has no image to label.")
    expected = (len(sources), int(sources[0].Rows), int(sources[0].Columns))
    if labelmap.shape != expected:
        raise InvalidLabel(
            f"The label map has shape {labelmap.shape}; the series has {expected} (slices, rows, columns)."
        )
    if [segment.number for segment in segments] != list(range(1, len(segments) + 1)) or not segments:
        raise InvalidLabel("Segments must be numbered 1, 2, 3, … without gaps, and there must be one at least.")
    if unknown := set(np.unique(labelmap).tolist()) - {segment.number for segment in segments} - {0}:
        raise InvalidLabel(f"The label map holds the values {sorted(unknown)}, which no segment explains.")


def read_labelmap(data: bytes, SOPInstanceUIDs: Sequence[str]) -> LabelMap:
    """Read a SEG onto the grid of the series it was drawn on.

    Parameters
    ----------
    data
        The SEG as a Part 10 file.
    SOPInstanceUIDs
        The instances of the series, in slice order.

    Returns
    -------
    numpy.ndarray
        ``(z, y, x)`` uint8, voxel value = segment number.

    Raises
    ------
    InvalidLabel
        If the SEG does not refer to these instances, or its segments overlap.
    """
    segmentation = Segmentation.from_dataset(dcmread(BytesIO(data)), copy=False)
    try:
        return segmentation.get_pixels_by_source_instance(
            list(SOPInstanceUIDs),
            combine_segments=True,
            assert_missing_frames_are_empty=True,
            ignore_spatial_locations=True,
            rescale_fractional=False,
            dtype=np.uint8,
        )
    except (KeyError, RuntimeError, ValueError) as error:
        raise InvalidLabel(f"The segmentation cannot be laid over its series: {error}") from error
