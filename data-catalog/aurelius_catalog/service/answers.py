"""What a QIDO-RS search says about a study, a series, an instance (PS3.18 tables 10.6.3-3 to 10.6.3-5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword

from aurelius_catalog.media import DICOM
from aurelius_catalog.model import InstanceRecord, Record, SeriesRecord, StudyRecord
from aurelius_catalog.service.conditions import REMOVED, Question
from aurelius_catalog.slides.virtual import LEVEL

_STUDY = (
    "StudyInstanceUID",
    "PatientID",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
)
_SERIES = (
    "Modality",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "BodyPartExamined",
    "Manufacturer",
    "ManufacturerModelName",
)
_INSTANCE = ("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated")
#: Value representations in which a backslash separates values (PS3.5 section 6.2).
_LISTS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UI"})


def describe_study(study: StudyRecord, root: str, question: Question) -> dict[str, Any]:
    """Return the DICOM JSON of a study.

    Parameters
    ----------
    study
        With counts over all of its series.
    root
        Address of the DICOMweb service.
    question
        Says what else the answer is to contain.
    """
    return _to_json(
        {
            **_describe_patient(study),
            **_take(study, _STUDY),
            **_take_asked(study, question),
            "ModalitiesInStudy": list(study.ModalitiesInStudy),
            "NumberOfStudyRelatedSeries": study.NumberOfStudyRelatedSeries,
            "NumberOfStudyRelatedInstances": study.NumberOfStudyRelatedInstances,
            "RetrieveURL": f"{root}/studies/{study.StudyInstanceUID}",
        }
    )


def describe_series(record: SeriesRecord, root: str, question: Question) -> dict[str, Any]:
    """Return the DICOM JSON of a series and of the study it belongs to; see `describe_study`."""
    return _to_json(
        {
            **_describe_patient(record),
            **_take(record, _STUDY),
            **_take(record, _SERIES),
            **_take_asked(record, question),
            "NumberOfSeriesRelatedInstances": record.n_instances,
            "RetrieveURL": f"{root}/studies/{record.StudyInstanceUID}/series/{record.SeriesInstanceUID}",
        }
    )


def describe_instance(instance: InstanceRecord, series: SeriesRecord, root: str, question: Question) -> dict[str, Any]:
    """Return the DICOM JSON of an instance; see `describe_study`."""
    syntax = instance.TransferSyntaxUID if instance.media_type in (DICOM, LEVEL) else ""
    place = f"studies/{series.StudyInstanceUID}/series/{series.SeriesInstanceUID}"
    return _to_json(
        {
            "StudyInstanceUID": series.StudyInstanceUID,
            "SeriesInstanceUID": series.SeriesInstanceUID,
            "Modality": series.Modality,
            **_take_asked(series, question),
            **_take_asked(instance, question),
            **_take(instance, _INSTANCE),
            "NumberOfFrames": (instance.NumberOfFrames or 1) if instance.Rows else None,
            "AvailableTransferSyntaxUID": syntax,
            "RetrieveURL": f"{root}/{place}/instances/{instance.SOPInstanceUID}",
        }
    )


def _describe_patient(record: StudyRecord | SeriesRecord) -> dict[str, Any]:
    """Return who it is: a pseudonym; what de-identification removed is said to be empty, as clients expect it."""
    return {**dict.fromkeys(sorted(REMOVED), ""), "PatientName": record.PatientID, "InstanceAvailability": "ONLINE"}


def _take(record: Record, keywords: Iterable[str]) -> dict[str, Any]:
    return {keyword: getattr(record, keyword, None) for keyword in keywords}


def _take_asked(record: Record, question: Question) -> dict[str, Any]:
    """Return what the index knows of the attributes asked for."""
    known = _list_attributes(type(record))
    return _take(record, known if question.everything else known & question.fields)


@cache
def _list_attributes(kind: type[Record]) -> frozenset[str]:
    """Return the fields of a record that are attributes of DICOM."""
    return frozenset(name for name in kind.model_fields if tag_for_keyword(name) is not None)


@cache
def _spell(keyword: str) -> tuple[str, str]:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return f"{tag:08X}", dictionary_VR(tag)


def _to_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Write attributes as DICOM JSON (PS3.18 section F.2); an attribute without a value keeps its tag."""
    answer: dict[str, Any] = {}
    for keyword, value in values.items():
        tag, vr = _spell(keyword)
        entry: dict[str, Any] = {"vr": vr}
        if isinstance(value, str):
            value = value.split("\\") if vr in _LISTS else [value]
        listed = list(value) if isinstance(value, (list, tuple)) else [value]
        if listed not in ([None], [""], []):
            entry["Value"] = [{"Alphabetic": each} for each in listed] if vr == "PN" else listed
        answer[tag] = entry
    return dict(sorted(answer.items()))
