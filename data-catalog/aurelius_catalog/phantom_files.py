"""Phantoms as a hospital would send them: DICOM series with identified headers, and the truth as a DICOM SEG."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from aurelius_catalog.phantoms import Phantom

Triple = tuple[float, float, float]
PRIVATE_CREATOR = "AURELIUS PHANTOM"


@dataclass(frozen=True)
class Visit:
    """One imaging study of one invented patient, as it stands in the header.

    Parameters
    ----------
    PatientName, PatientID, PatientBirthDate, PatientSex
        Who.
    StudyDate
        When.
    InstitutionName
        Where.
    number
        Tells the studies of a patient apart; part of all UIDs.
    """

    PatientName: str
    PatientID: str
    PatientBirthDate: str
    PatientSex: str
    StudyDate: str
    InstitutionName: str
    number: int = 1

    def make_uid(self, *parts: object) -> str:
        """Return a UID that is always the same for the same patient, study and parts."""
        text = "|".join([self.PatientID, self.InstitutionName, str(self.number), *map(str, parts)])
        return f"2.25.{UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4).int}"


def write_phantom(folder: Path, phantom: Phantom, visit: Visit) -> list[Path]:
    """Write a phantom as one DICOM series, one file per slice; see `write_series`."""
    chest = phantom.kind == "ct-chest"
    return write_series(
        folder,
        phantom.image,
        phantom.spacing_mm,
        visit,
        Modality="CT" if chest else "MR",
        BodyPartExamined="CHEST" if chest else "BRAIN",
    )


def write_series(
    folder: Path,
    volume: NDArray[np.int16],
    spacing_mm: Triple,
    visit: Visit,
    *,
    Modality: str = "CT",
    BodyPartExamined: str = "CHEST",
    SeriesNumber: int = 1,
) -> list[Path]:
    """Write a volume as one DICOM series of single-frame files with a fully identified header.

    Parameters
    ----------
    folder
        Where the files go; made if it is not there.
    volume
        (z, y, x) int16; CT in Hounsfield units, MR in signal. z runs to the head.
    spacing_mm
        Distance between voxel centres along (z, y, x), in mm.
    visit
        Patient and study.
    Modality, BodyPartExamined, SeriesNumber
        As in DICOM; ``Modality`` is ``CT`` or ``MR``.

    Returns
    -------
    list of Path
        The files, from the feet up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, plane in enumerate(volume):
        dataset = _describe_slice(visit, Modality, BodyPartExamined, SeriesNumber)
        dataset.SOPInstanceUID = visit.make_uid(Modality, SeriesNumber, index)
        dataset.InstanceNumber = index + 1
        _place_slice(dataset, volume.shape, spacing_mm, index)
        _put_pixels(dataset, plane, Modality)
        paths.append(folder / f"{Modality}{SeriesNumber:02d}_{index + 1:04d}.dcm")
        _save(dataset, paths[-1])
    return paths


def write_truth(path: Path, sources: Sequence[Path], truth: NDArray[np.uint8], label: str, visit: Visit) -> Path:
    """Write the truth of a phantom as a DICOM SEG that refers to its series.

    Parameters
    ----------
    path
        The file to write.
    sources
        The files of the series, from the feet up, one per plane of ``truth``.
    truth
        (z, y, x) uint8; 1 inside the structure.
    label
        Segment label, as ``nodule``.
    visit
        The visit the series belongs to.
    """
    headers = [hd.imread(source) for source in sources]
    segment = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=Code("27925004", "SCT", "Nodule") if label == "nodule" else codes.SCT.Lesion,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    segmentation = hd.seg.Segmentation(
        source_images=headers,
        pixel_array=truth,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        series_instance_uid=visit.make_uid("SEG"),
        series_number=100,
        sop_instance_uid=visit.make_uid("SEG", 1),
        instance_number=1,
        manufacturer="Aurelius",
        manufacturer_model_name="Phantom",
        software_versions="1",
        device_serial_number="SEG-4711",
        content_label="TRUTH",
        content_creator_name="Reader^Rita",
        series_description="Truth of the phantom",
    )
    for keyword in ("ContentDate", "InstanceCreationDate", "SeriesDate"):
        setattr(segmentation, keyword, visit.StudyDate)  # not today: the same visit always gives the same file
    for keyword in ("ContentTime", "InstanceCreationTime", "SeriesTime"):
        setattr(segmentation, keyword, "101530")
    path.parent.mkdir(parents=True, exist_ok=True)
    segmentation.save_as(path)
    return path


def _describe_slice(visit: Visit, Modality: str, BodyPartExamined: str, SeriesNumber: int) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = CTImageStorage if Modality == "CT" else MRImageStorage
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"] if Modality == "CT" else ["ORIGINAL", "PRIMARY", "M"]
    dataset.Modality, dataset.BodyPartExamined = Modality, BodyPartExamined
    dataset.Manufacturer, dataset.ManufacturerModelName = "Aurelius", "Phantom"
    dataset.StudyInstanceUID = visit.make_uid("study")
    dataset.SeriesInstanceUID = visit.make_uid("series", Modality, SeriesNumber)
    dataset.FrameOfReferenceUID = visit.make_uid("frame of reference")
    dataset.SeriesNumber, dataset.StudyID = SeriesNumber, f"V{visit.number}"
    dataset.PatientPosition, dataset.PositionReferenceIndicator = "HFS", ""
    _identify(dataset, visit)
    return dataset


def _identify(dataset: Dataset, visit: Visit) -> None:
    """Fill in what must never leave a hospital: at the top, in sequences, and in private attributes."""
    dataset.PatientName, dataset.PatientID = visit.PatientName, visit.PatientID
    dataset.PatientBirthDate, dataset.PatientSex = visit.PatientBirthDate, visit.PatientSex
    dataset.PatientAddress = "12 Harbour Lane, Northport"
    dataset.OtherPatientIDsSequence = [Dataset()]
    dataset.OtherPatientIDsSequence[0].PatientID = f"SSN-{visit.PatientID}"
    dataset.OtherPatientIDsSequence[0].TypeOfPatientID = "TEXT"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = visit.StudyDate
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "101530"
    dataset.AccessionNumber = f"ACC{visit.PatientID}{visit.number}"
    dataset.ReferringPhysicianName, dataset.OperatorsName = "Referrer^Ruth", "Operator^Omar"
    dataset.InstitutionName, dataset.StationName = visit.InstitutionName, "SCANNER-3"
    dataset.DeviceSerialNumber = "SN-0815"
    dataset.StudyDescription = f"Follow-up of {visit.PatientName}"
    dataset.SeriesDescription = f"For Dr Ruth Referrer, {visit.StudyDate}"
    request = Dataset()
    request.RequestedProcedureDescription = f"Asked for by the family of {visit.PatientName}"
    request.RequestedProcedureID = request.ScheduledProcedureStepID = f"REQ{visit.PatientID}"
    dataset.RequestAttributesSequence = [request]
    block = dataset.private_block(0x0009, PRIVATE_CREATOR, create=True)
    block.add_new(0x01, "LO", f"Private note on {visit.PatientName}")
    block.add_new(0x02, "DA", visit.StudyDate)


def _place_slice(dataset: Dataset, shape: tuple[int, ...], spacing_mm: Triple, index: int) -> None:
    dz, dy, dx = spacing_mm
    corner = [-(n - 1) / 2 * d for n, d in zip(shape, spacing_mm, strict=True)]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [corner[2], corner[1], corner[0] + index * dz]
    dataset.PixelSpacing, dataset.SliceThickness = [dy, dx], dz


def _put_pixels(dataset: Dataset, plane: NDArray[np.int16], Modality: str) -> None:
    dataset.Rows, dataset.Columns = plane.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.WindowCenter, dataset.WindowWidth = (-200, 1400) if Modality == "CT" else (450, 900)
    if Modality == "CT":
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType, dataset.KVP = 0, 1, "HU", 120
        dataset.AcquisitionNumber = 1
    else:
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "NONE", ""
        dataset.MRAcquisitionType, dataset.EchoTime, dataset.RepetitionTime, dataset.EchoTrainLength = "2D", 90, 9000, 1
    dataset.PixelData = plane.astype("<i2").tobytes()


def _save(dataset: Dataset, path: Path) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.SourceApplicationEntityTitle = "NORTHPORT_CT3"
    FileDataset(str(path), dataset, preamble=bytes(128), file_meta=meta).save_as(path, enforce_file_format=True)
