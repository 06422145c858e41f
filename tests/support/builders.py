"""Small DICOM objects for tests: proper series with identified headers, and objects full of planted values."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from aurelius_catalog.phantoms.bodies import make_phantom
from aurelius_catalog.phantoms.dicom_files import write_phantom, write_series, write_truth
from aurelius_catalog.phantoms.visits import PhantomVisit

__all__ = [
    "VISIT",
    "PhantomVisit",
    "make_identified",
    "make_phantom",
    "plant",
    "write_ct",
    "write_object",
    "write_phantom",
    "write_series",
    "write_truth",
]

VISIT = PhantomVisit("Plantagenet^Petra", "PAT-48151623", "19580417", "F", "20190712", "Hospital Plantagenet")
#: A word that occurs nowhere but where a test put it.
PLANTED = "ZZPLANT"


def write_ct(folder: Path, number: int = 1, slices: int = 3, **changes: object) -> list[Path]:
    """Write a tiny CT series; ``number`` tells studies apart, ``changes`` replace fields of the visit."""
    visit = replace(VISIT, number=number, **changes)  # type: ignore[arg-type]
    volume = np.random.default_rng(number).integers(-1000, 1000, (slices, 8, 8)).astype(np.int16)
    return write_series(folder, volume, (3.0, 1.0, 1.0), visit)


def make_identified() -> Dataset:
    """Return a minimal CT object of `VISIT`."""
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = VISIT.make_uid("instance")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = VISIT.make_uid("study"), VISIT.make_uid("series")
    dataset.PatientName, dataset.PatientID, dataset.Modality = VISIT.PatientName, VISIT.PatientID, "CT"
    return dataset


def write_object(
    path: Path, dataset: Dataset, syntax: UID = ExplicitVRLittleEndian, preamble: bytes = bytes(128)
) -> Path:
    """Write a data set as a Part 10 file of the given transfer syntax."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.SourceApplicationEntityTitle = f"{PLANTED}_AE"
    meta.PrivateInformationCreatorUID = VISIT.make_uid("meta")
    meta.PrivateInformation = f"{PLANTED} meta ".encode()
    file = FileDataset(BytesIO(), dataset, file_meta=meta, preamble=preamble)
    dcmwrite(path, file, enforce_file_format=True)
    return path


def plant(dataset: Dataset, depth: int = 3) -> list[str]:
    """Put identifying values wherever a header can hide them; returns what must not be found afterwards."""
    words = [_plant_here(dataset, "top")]
    item = dataset
    for level in range(1, depth + 1):
        inner = Dataset()
        words.append(_plant_here(inner, f"level {level}"))
        item.ReferencedSeriesSequence = Sequence([inner])  # not in Table E.1-1: kept, so it must be walked
        item = inner
    return [PLANTED, "20190713", VISIT.make_uid("referenced"), *words]


def _plant_here(item: Dataset, where: str) -> str:
    word = f"{PLANTED} {where}"
    item.PatientName = item.ReferringPhysicianName = word
    item.InstitutionName = item.StudyDescription = item.SegmentDescription = word
    item.StudyDate = item.AcquisitionDate = item.SecondaryReviewDate = "20190713"
    item.ReferencedSOPInstanceUID = VISIT.make_uid("referenced")
    item.Manufacturer = f"Maker\0{word}"  # kept, but not what stands behind the NUL
    block = item.private_block(0x0009, f"{PLANTED} CREATOR", create=True)
    block.add_new(0x01, "LO", word)
    inner = Dataset()
    inner.PatientName = inner.CodeMeaning = word
    block.add_new(0x02, "SQ", Sequence([inner]))
    block.add_new(0x03, "UN", word.encode() + b" " * (len(word) % 2))
    padded = word.encode() + b" " * (len(word) % 2)
    item.add_new(0x0018FFF0, "UN", padded)  # a tag nobody knows
    item.add_new(0x50003000, "OB", padded)
    item.add_new(0x60003000, "OB", padded)
    item.add_new(0x60001500, "LO", word)
    item.add_new(0x60203000, "OB", padded)  # not an overlay group of PS3.5: unknown
    item.add_new(0xFFFCFFFC, "OB", padded)
    institution = Dataset()
    institution.CodeValue, institution.CodingSchemeDesignator, institution.CodeMeaning = PLANTED, "DCM", word
    item.InstitutionCodeSequence = Sequence([institution])
    content = Dataset()
    content.TextValue, content.PersonName, content.RelationshipType = word, word, "CONTAINS"
    content.ConceptCodeSequence = Sequence([institution])
    item.ContentSequence = Sequence([content])
    return word
