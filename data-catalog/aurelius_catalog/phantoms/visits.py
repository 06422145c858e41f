"""Invented patients and their visits, as a scanner would write them into a header."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from uuid import UUID

from pydicom import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage

PRIVATE_CREATOR = "AURELIUS PHANTOM"


@dataclass(frozen=True)
class PhantomVisit:
    """One imaging study of one invented patient, as it stands in the header.

    Parameters
    ----------
    PatientName, PatientID, PatientBirthDate, PatientSex
        The patient.
    StudyDate
        The date of the visit.
    InstitutionName
        The hospital.
    number
        Distinguishes the studies of a patient; part of all UIDs.
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


def describe_series(visit: PhantomVisit, Modality: str, BodyPartExamined: str, SeriesNumber: int) -> Dataset:
    """Return what all instances of a series have in common, identity included."""
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


def _identify(dataset: Dataset, visit: PhantomVisit) -> None:
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
