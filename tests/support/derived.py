"""Objects that people derive from images and send back, as highdicom makes them."""

from __future__ import annotations

from copy import deepcopy

import highdicom as hd
import numpy as np
from highdicom.sr import (
    Comprehensive3DSR,
    Measurement,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    ReferencedSegment,
    SourceImageForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

MAKER = ("Maker", "Model", "1.0", "SN-48151623")


def make_segmentation(sources: list[Dataset], label: str = "nodule") -> Dataset:
    """Make a SEG of one segment over the slices of a series."""
    rows, columns = sources[0].Rows, sources[0].Columns
    mask = np.zeros((len(sources), rows, columns), np.uint8)
    mask[1, 2:5, 2:4] = 1
    algorithm = hd.AlgorithmIdentificationSequence("unet", codes.DCM.ArtificialIntelligence, "1")
    segment = hd.seg.SegmentDescription(
        1, label, codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.Lesion, "AUTOMATIC", algorithm
    )
    return hd.seg.Segmentation(  # what it takes over from its sources it shares with them
        deepcopy(sources), mask, "BINARY", [segment], hd.UID(), 90, hd.UID(), 1, *MAKER, content_creator_name="Doe^Jane"
    )


def make_report(sources: list[Dataset], segmentation: Dataset) -> Dataset:
    """Make a measurement report (TID 1500) about the segment of a SEG."""
    observer = ObserverContext(codes.DCM.Person, PersonObserverIdentifyingAttributes("Doe^Jane"))
    referenced = ReferencedSegment(
        segmentation.SOPClassUID,
        segmentation.SOPInstanceUID,
        1,
        source_images=[SourceImageForSegmentation.from_source_image(sources[1])],
    )
    group = VolumetricROIMeasurementsAndQualitativeEvaluations(
        referenced_segment=referenced,
        tracking_identifier=TrackingIdentifier(hd.UID(), "nodule 1"),
        measurements=[Measurement(codes.SCT.Volume, 12.5, codes.UCUM.CubicMillimeter)],
    )
    content = MeasurementReport(
        ObservationContext(observer_person_context=observer),
        codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=[group],
    )
    evidence = [*sources, segmentation]
    return Comprehensive3DSR(evidence, content, hd.UID(), 91, hd.UID(), 1, "Maker", institution_name="Hospital")


def make_structures(sources: list[Dataset], name: str = "nodule") -> Dataset:
    """Make a structure set with a square on the second slice of a series, as tools for radiotherapy export it."""
    image = sources[1]
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    for keyword in ("PatientID", "PatientName", "PatientSex", "StudyInstanceUID", "StudyDate", "FrameOfReferenceUID"):
        setattr(dataset, keyword, image.get(keyword, ""))
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID = RTStructureSetStorage, hd.UID(), hd.UID()
    dataset.Modality, dataset.Manufacturer, dataset.StationName = "RTSTRUCT", "Maker", "CONSOLE-7"
    dataset.StructureSetLabel, dataset.StructureSetDate, dataset.StructureSetTime = "Plan A", "20261121", "120000"
    dataset.OperatorsName, dataset.SeriesDescription, dataset.SeriesNumber = "Doe^Jane", "contours", 92
    dataset.InstanceNumber, dataset.ApprovalStatus = 1, "UNAPPROVED"
    roi, drawing, contour, observation = (Dataset() for _ in range(4))
    roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = 1, name, "MANUAL"
    roi.ReferencedFrameOfReferenceUID = image.FrameOfReferenceUID
    x, y, z = (float(value) for value in image.ImagePositionPatient)
    corners = [(1, 1), (4, 1), (4, 4), (1, 4)]
    along, down = (float(value) for value in (image.PixelSpacing[1], image.PixelSpacing[0]))
    contour.ContourData = [value for column, row in corners for value in (x + column * along, y + row * down, z)]
    contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(corners)
    contour.ContourImageSequence = [_refer(image)]
    drawing.ReferencedROINumber, drawing.ROIDisplayColor, drawing.ContourSequence = 1, [255, 0, 0], [contour]
    observation.ObservationNumber, observation.ReferencedROINumber = 1, 1
    observation.RTROIInterpretedType, observation.ROIInterpreter = "ORGAN", "Doe^Jane"
    series, study, frame = (Dataset() for _ in range(3))
    series.SeriesInstanceUID, series.ContourImageSequence = image.SeriesInstanceUID, [_refer(each) for each in sources]
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", image.StudyInstanceUID
    study.RTReferencedSeriesSequence, frame.RTReferencedStudySequence = [series], [study]
    frame.FrameOfReferenceUID = image.FrameOfReferenceUID
    dataset.ReferencedFrameOfReferenceSequence, dataset.StructureSetROISequence = [frame], [roi]
    dataset.ROIContourSequence, dataset.RTROIObservationsSequence = [drawing], [observation]
    return dataset


def _refer(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return item


def make_capture(source: Dataset, picture: np.ndarray) -> Dataset:
    """Make a secondary capture of a grey picture, ``(rows, columns)`` uint8."""
    return hd.sc.SCImage.from_ref_dataset(
        source, picture, "MONOCHROME2", 8, "PATIENT", hd.UID(), 92, hd.UID(), 1, "Maker", patient_orientation=("L", "P")
    )


def make_map(sources: list[Dataset]) -> Dataset:
    """Make a parametric map of float values from 0 to 1."""
    values = np.linspace(0, 1, len(sources) * sources[0].Rows * sources[0].Columns, dtype=np.float32)
    meaning = hd.pm.RealWorldValueMapping("p", "probability", codes.UCUM.NoUnits, (0.0, 1.0), slope=1, intercept=0)
    return hd.pm.ParametricMap(
        sources,
        values.reshape(len(sources), sources[0].Rows, sources[0].Columns),
        hd.UID(),
        93,
        hd.UID(),
        1,
        *MAKER,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[meaning],
        voi_lut_transformations=[hd.VOILUTTransformation(window_center=0.5, window_width=1.0)],
    )


def make_presentation(sources: list[Dataset]) -> Dataset:
    """Make a presentation state that shows a series in a soft tissue window."""
    return hd.pr.GrayscaleSoftcopyPresentationState(
        sources,
        hd.UID(),
        94,
        hd.UID(),
        1,
        "Maker",
        "Model",
        "1.0",
        "SN-48151623",
        content_label="SOFT",
        voi_lut_transformations=[hd.pr.SoftcopyVOILUTTransformation(40, 400)],
        content_creator_name="Doe^Jane",
    )
