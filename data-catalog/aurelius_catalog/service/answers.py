"""What a QIDO-RS search says about a study, a series, an instance (PS3.18 tables 10.6.3-3 to 10.6.3-5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword

from aurelius_catalog.media import DICOM
from aurelius_catalog.model import InstanceRecord, SeriesRecord

_STUDY = (
    "StudyInstanceUID",
    "PatientID",
    "PatientSex",
    "StudyDate",
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


def describe_study(records: Sequence[SeriesRecord]) -> dict[str, Any]:
    """Return the DICOM JSON of a study, given all of its visible series."""
    return _to_json(
        {
            **_take(records[0], _STUDY),
            "PatientName": "",
            "ModalitiesInStudy": sorted({record.Modality for record in records}),
            "NumberOfStudyRelatedSeries": len(records),
            "NumberOfStudyRelatedInstances": sum(record.n_instances for record in records),
        }
    )


def describe_series(record: SeriesRecord) -> dict[str, Any]:
    """Return the DICOM JSON of a series and of the study it belongs to."""
    return _to_json(
        {**_take(record, _STUDY), **_take(record, _SERIES), "NumberOfSeriesRelatedInstances": record.n_instances}
    )


def describe_instance(instance: InstanceRecord, series: SeriesRecord) -> dict[str, Any]:
    """Return the DICOM JSON of an instance."""
    return _to_json(
        {
            "StudyInstanceUID": series.StudyInstanceUID,
            "SeriesInstanceUID": series.SeriesInstanceUID,
            **_take(instance, _INSTANCE),
            "NumberOfFrames": max(len(instance.frames), 1),
            "AvailableTransferSyntaxUID": instance.TransferSyntaxUID if instance.media_type == DICOM else "",
        }
    )


def _take(record: SeriesRecord | InstanceRecord, keywords: Sequence[str]) -> dict[str, Any]:
    return {keyword: getattr(record, keyword) for keyword in keywords}


def _to_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Write attributes as DICOM JSON (PS3.18 section F.2); an attribute without a value keeps its tag."""
    answer: dict[str, Any] = {}
    for keyword, value in values.items():
        entry: dict[str, Any] = {"vr": dictionary_VR(keyword)}
        if value not in (None, ""):
            entry["Value"] = value if isinstance(value, list) else [value]
        answer[f"{tag_for_keyword(keyword):08X}"] = entry
    return dict(sorted(answer.items()))
