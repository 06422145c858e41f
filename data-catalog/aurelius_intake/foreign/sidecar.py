"""The small JSON file beside a slide, picture or NIfTI that says whose it is: what a DICOM header says otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydicom import Dataset

from aurelius_catalog.errors import NotDeidentifiable

#: A sidecar is a few lines; whatever is larger is something else.
MOST_BYTES = 1 << 20
HOW = (
    'Put a text file beside it, named like it with .json added, such as {{"PatientID": "4711", "PatientName": '
    '"Doe^Jane", "StudyDate": "20260131", "Modality": "{modality}"{project}}}, and send both again. '
    "PatientID is needed; the rest may be left out{but}."
)
PLAIN = r"^[^\x00-\x1f\\]*$"
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=64, pattern=PLAIN)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=64, min_length=1, pattern=PLAIN)]
Date = Annotated[str, BeforeValidator(lambda value: str(value).replace("-", "")), Field(pattern=r"^(\d{8})?$")]
Time = Annotated[str, StringConstraints(pattern=r"^(\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?)?$")]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_ ]{0,16}$")]
Uid = Annotated[str, StringConstraints(max_length=64, pattern=r"^([0-9]+(\.[0-9]+)+)?$")]


class Sidecar(BaseModel):
    """What may stand in a sidecar, by DICOM keyword. Other keys, as in a BIDS sidecar, are not looked at.

    ``StudyInstanceUID`` lets a file join a study that is there or will come; ``project`` is a name in
    ``projects.toml``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    PatientID: Name
    PatientName: Text = ""
    PatientBirthDate: Date = ""
    PatientSex: Annotated[str, StringConstraints(pattern="^[MFO]?$")] = ""
    StudyDate: Date = ""
    StudyTime: Time = ""
    StudyDescription: Text = ""
    SeriesDescription: Text = ""
    AccessionNumber: Annotated[str, StringConstraints(max_length=16, pattern=PLAIN)] = ""
    Modality: Code = ""
    BodyPartExamined: Code = ""
    StudyInstanceUID: Uid = ""
    project: Text = ""


def find_sidecar(path: Path) -> Path | None:
    """Return the sidecar of a file: ``name.ext.json``, or ``name.json``; None if there is none."""
    stem = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    found = (path.with_name(f"{path.name}.json"), stem.with_suffix(".json"))
    return next((each for each in found if each.is_file() and each != path), None)


def read_sidecar(path: Path, modality: str, *, needs_project: bool = False) -> Sidecar:
    """Read the sidecar of a file.

    Parameters
    ----------
    path
        The file it stands beside.
    modality
        What to show in the example of a message.
    needs_project
        Whether the file cannot go anywhere without one.

    Raises
    ------
    NotDeidentifiable
        If there is none, or it does not hold what it must; the message shows what to write, and no value of it.
    """
    how = HOW.format(
        modality=modality,
        project=', "project": "lung"' if needs_project else "",
        but=", but not Modality and project" if needs_project else "",
    )
    file = find_sidecar(path)
    if file is None:
        raise NotDeidentifiable(f"Nothing says whose picture this is. {how}")
    if file.stat().st_size > MOST_BYTES:
        raise NotDeidentifiable(f"The JSON file beside it is too long to be its description. {how}")
    try:
        sidecar = Sidecar.model_validate(json.loads(file.read_bytes()))
    except ValidationError as error:
        wrong = ", ".join(sorted({str(each["loc"][0]) if each["loc"] else "the whole" for each in error.errors()}))
        raise NotDeidentifiable(f"The JSON file beside it is not right in: {wrong}. {how}") from None
    except ValueError:
        raise NotDeidentifiable(f"The JSON file beside it is not JSON. {how}") from None
    if needs_project and not (sidecar.project and sidecar.Modality):
        raise NotDeidentifiable(f"The JSON file beside it does not name Modality and project. {how}")
    return sidecar


def describe(sidecar: Sidecar) -> Dataset:
    """Return what a sidecar says as the DICOM attributes that every kind of object has."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in sidecar.model_dump(exclude={"project"}).items():
        if value or keyword in _ALWAYS:
            setattr(dataset, keyword, value)
    dataset.ReferringPhysicianName = dataset.StudyID = ""
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    return dataset


#: Type 2 of every object (PS3.3 C.7.1.1, C.7.2.1): present, maybe empty.
_ALWAYS = frozenset({"PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"})
