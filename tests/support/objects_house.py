"""A catalog with objects of every kind in it: real ones that the test data has, and some made here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.uid import generate_uid

from aurelius_catalog import Catalog, Person, Series
from aurelius_catalog.index.deidentified import DeidentifiedStudy
from aurelius_catalog.local.store import LocalStore
from aurelius_intake.settings import IntakeSettings
from support.gate import read_invented

STEWARD = Person.of("stella", ["role-steward"])


def admit_objects(home: Path, sources: Sequence[Dataset], person: Person = STEWARD) -> Catalog:
    """Let data sets in as they are, saying of each that its patient's identity was removed."""
    settings = IntakeSettings(home=home, database_url="")
    incoming = home / "incoming"
    incoming.mkdir(parents=True, exist_ok=True)
    studies: dict[str, list[Path]] = {}
    for number, dataset in enumerate(sources):
        dataset.PatientIdentityRemoved = "YES"
        for keyword, value in {"PatientID": "odd", "StudyInstanceUID": generate_uid(), "Modality": "OT"}.items():
            if not dataset.get(keyword):
                setattr(dataset, keyword, value)
        path = incoming / f"{number}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        studies.setdefault(str(dataset.StudyInstanceUID), []).append(path)
    intake = LocalStore(settings, Person.service("intake"))
    for paths in studies.values():
        intake.add_study(DeidentifiedStudy("north", tuple(read_invented(path) for path in paths)))
    return Catalog(LocalStore(settings, person))


def name_object(series_number: int) -> dict[str, Any]:
    """Return what highdicom asks of any object: a series and an object of its own, made by somebody else's program."""
    return {
        "series_instance_uid": generate_uid(),
        "series_number": series_number,
        "sop_instance_uid": generate_uid(),
        "instance_number": 1,
        "manufacturer": "Somebody",
        "manufacturer_model_name": "else",
        "software_versions": "1",
        "device_serial_number": "1",
    }


def find_one(catalog: Catalog, **keywords: object) -> Series:
    """Return the one series that matches."""
    found = list(catalog.search(**keywords))
    assert len(found) == 1, found
    return found[0]
