"""A small de-identified cohort put straight into a catalog: two chests (north, south) and a brain (north)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from aurelius_catalog.access.person import Person
from aurelius_catalog.index.deidentified import DeidentifiedStudy
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.phantoms.bodies import PhantomKind, make_phantom
from aurelius_catalog.series import Series
from aurelius_intake.settings import IntakeSettings
from support.gate import read_invented

PROJECTS = """
[lung]
Modality = ["CT"]
BodyPartExamined = ["CHEST"]
[brain]
Modality = ["MR"]
"""
SLICES = slice(14, 26)  # a dozen slices carry every structure and keep the tests quick


@dataclass(frozen=True)
class Cohort:
    """Where the catalog is, and the UIDs in it."""

    settings: IntakeSettings
    north_chest: str
    south_chest: str
    north_brain: str

    def open_as(self, person: Person) -> LocalStore:
        return LocalStore(self.settings, person)


def make_cohort(home: Path, database_url: str = "") -> Cohort:
    """Fill a fresh catalog under ``home``, its index in SQLite or where ``database_url`` says."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "projects.toml").write_text(PROJECTS)
    settings = IntakeSettings(home=home, database_url=database_url)
    return Cohort(
        settings,
        north_chest=add_phantom(settings, "north", "ct-chest", 1),
        south_chest=add_phantom(settings, "south", "ct-chest", 2),
        north_brain=add_phantom(settings, "north", "mr-brain", 3),
    )


def add_phantom(settings: IntakeSettings, site: str, kind: PhantomKind, seed: int, slices: slice = SLICES) -> str:
    """Write a phantom as a de-identified series into the catalog; returns its SeriesInstanceUID."""
    phantom = make_phantom(kind, seed)
    image = phantom.image[slices]
    name = f"{site}-{kind}-{seed}"
    study, series, frame = (generate_uid(entropy_srcs=[name, part]) for part in ("study", "series", "frame"))
    incoming = settings.files.parent / "incoming" / series
    incoming.mkdir(parents=True)
    files = []
    for number, pixels in enumerate(image):
        dataset = make_slice(kind, number, np.ascontiguousarray(pixels), phantom.spacing_mm)
        dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = name, study, series
        dataset.FrameOfReferenceUID = frame
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[name, str(number)])
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        path = incoming / f"{number}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        files.append(read_invented(path))
    store = LocalStore(settings, Person.service("intake"))
    store.add_study(DeidentifiedStudy(site, tuple(files)))
    return str(series)


def make_slice(kind: PhantomKind, number: int, pixels: np.ndarray, spacing_mm: tuple[float, float, float]) -> Dataset:
    """Make one axial slice: rows to the left (+x), columns to the back (+y), slices to the head (+z)."""
    chest = kind == "ct-chest"
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CTImageStorage if chest else MRImageStorage
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.PatientName, dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "", "", "F", "061Y"
    dataset.PatientIdentityRemoved, dataset.DeidentificationMethod = "YES", "Generated"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID, dataset.AccessionNumber = "20200102", "", "", ""
    dataset.ReferringPhysicianName = ""
    dataset.Modality, dataset.BodyPartExamined = ("CT", "CHEST") if chest else ("MR", "HEAD")
    dataset.Manufacturer, dataset.SeriesNumber, dataset.InstanceNumber = "Aurelius", 1, number + 1
    dataset.PositionReferenceIndicator = ""
    dataset.ImagePositionPatient = [-100.0, -120.0, 50.0 + number * spacing_mm[0]]
    dataset.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    dataset.PixelSpacing, dataset.SliceThickness = [spacing_mm[1], spacing_mm[2]], spacing_mm[0]
    dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    if chest:
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "HU"
    dataset.PixelData = pixels.astype("<i2").tobytes()
    return dataset


def admit(sources: Sequence[Dataset], home: Path, database_url: str = "") -> list[Series]:
    """Let real files into a catalog, saying of each that its patient's identity was removed; returns their series."""
    settings = IntakeSettings(home=home, database_url=database_url)
    (home / "incoming").mkdir(parents=True, exist_ok=True)
    studies: dict[str, list[Path]] = {}
    for number, dataset in enumerate(sources):
        dataset.PatientIdentityRemoved = "YES"
        for keyword, value in {
            "PatientID": "odd",
            "StudyInstanceUID": generate_uid(),
            "SeriesInstanceUID": generate_uid(),
            "Modality": "OT",
        }.items():
            if not dataset.get(keyword):
                setattr(dataset, keyword, value)
        path = home / "incoming" / f"{number}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        studies.setdefault(str(dataset.StudyInstanceUID), []).append(path)
    intake = LocalStore(settings, Person.service("intake"))
    for paths in studies.values():
        intake.add_study(DeidentifiedStudy("north", tuple(read_invented(path) for path in paths)))
    store = LocalStore(settings, Person.of("stella", ["role-steward"]))
    return [
        Series(store, store.get_series(uid)) for uid in dict.fromkeys(str(each.SeriesInstanceUID) for each in sources)
    ]
