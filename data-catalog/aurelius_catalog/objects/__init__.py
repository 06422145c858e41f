"""Objects that hold no images of their own: labels, contours, doses, maps, reports, recordings."""

from __future__ import annotations

from aurelius_catalog.dicom.segments import StoredSegment
from aurelius_catalog.objects.bulk_annotations import AnnotationGroup, BulkAnnotations
from aurelius_catalog.objects.radiotherapy_plan import Beam, FractionGroup, Prescription, RadiotherapyPlan
from aurelius_catalog.objects.readers import CLASSES, open_array, open_object, open_objects
from aurelius_catalog.objects.real_world_values import ValueMapping
from aurelius_catalog.objects.report import ContentItem, ImageReference, StructuredReport
from aurelius_catalog.objects.segmentation import StoredSegmentation
from aurelius_catalog.objects.structures import Contour, RegionOfInterest, StructureSet
from aurelius_catalog.objects.waveform import Waveform

__all__ = [
    "CLASSES",
    "AnnotationGroup",
    "Beam",
    "BulkAnnotations",
    "ContentItem",
    "Contour",
    "FractionGroup",
    "ImageReference",
    "Prescription",
    "RadiotherapyPlan",
    "RegionOfInterest",
    "StoredSegment",
    "StoredSegmentation",
    "StructureSet",
    "StructuredReport",
    "ValueMapping",
    "Waveform",
    "open_array",
    "open_object",
    "open_objects",
]
