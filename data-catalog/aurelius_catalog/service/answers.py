"""QIDO-RS results: the DICOM JSON of a study, a series, an instance (PS3.18 tables 10.6.3-3 to 10.6.3-5)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword

from aurelius_catalog.records import InstanceRecord, Record, SeriesRecord, StudyRecord
from aurelius_catalog.service.search_parameters import REMOVED, SearchParameters
from aurelius_catalog.service.slide_levels import LEVEL
from aurelius_deidentify.media_types import DICOM

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


def describe_study(study: StudyRecord, root: str, parameters: SearchParameters) -> str:
    """Return the DICOM JSON of a study.

    Parameters
    ----------
    study
        With counts over all of its series.
    root
        Address of the DICOMweb service.
    parameters
        The search, which names the further attributes to include.
    """
    return _write(
        {
            **_describe_patient(study),
            **_take(study, _STUDY),
            **_take_asked(study, parameters),
            "ModalitiesInStudy": list(study.ModalitiesInStudy),
            "NumberOfStudyRelatedSeries": study.NumberOfStudyRelatedSeries,
            "NumberOfStudyRelatedInstances": study.NumberOfStudyRelatedInstances,
            "RetrieveURL": f"{root}/studies/{study.StudyInstanceUID}",
        }
    )


def describe_series(record: SeriesRecord, root: str, parameters: SearchParameters) -> str:
    """Return the DICOM JSON of a series and of the study it belongs to; see `describe_study`."""
    return _write(
        {
            **_describe_patient(record),
            **_take(record, _STUDY),
            **_take(record, _SERIES),
            **_take_asked(record, parameters),
            "NumberOfSeriesRelatedInstances": record.n_instances,
            "RetrieveURL": f"{root}/studies/{record.StudyInstanceUID}/series/{record.SeriesInstanceUID}",
        }
    )


def describe_instance(instance: InstanceRecord, series: SeriesRecord, root: str, parameters: SearchParameters) -> str:
    """Return the DICOM JSON of an instance; see `describe_study`."""
    syntax = instance.TransferSyntaxUID if instance.media_type in (DICOM, LEVEL) else ""
    place = f"studies/{series.StudyInstanceUID}/series/{series.SeriesInstanceUID}"
    return _write(
        {
            "StudyInstanceUID": series.StudyInstanceUID,
            "SeriesInstanceUID": series.SeriesInstanceUID,
            "Modality": series.Modality,
            **_take_asked(series, parameters),
            **_take_asked(instance, parameters),
            **_take(instance, _INSTANCE),
            "NumberOfFrames": (instance.NumberOfFrames or 1) if instance.Rows else None,
            "AvailableTransferSyntaxUID": syntax,
            "RetrieveURL": f"{root}/{place}/instances/{instance.SOPInstanceUID}",
        }
    )


def _describe_patient(record: StudyRecord | SeriesRecord) -> dict[str, Any]:
    """Return the pseudonym; attributes that de-identification removed are empty, as clients expect."""
    return {**dict.fromkeys(REMOVED, ""), "PatientName": record.PatientID, "InstanceAvailability": "ONLINE"}


def _take(record: Record, keywords: Iterable[str]) -> dict[str, Any]:
    return {keyword: getattr(record, keyword, None) for keyword in keywords}


def _take_asked(record: Record, parameters: SearchParameters) -> dict[str, Any]:
    """Return the attributes asked for that the index holds."""
    known = _list_attributes(type(record))
    return _take(record, known if parameters.everything else known & parameters.fields)


@cache
def _list_attributes(kind: type[Record]) -> frozenset[str]:
    """Return the fields of a record that are attributes of DICOM."""
    return frozenset(name for name in kind.model_fields if tag_for_keyword(name) is not None)


@lru_cache(maxsize=256)
def _spell(keywords: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Return keyword, VR and opening text of each element, in the order of their tags."""
    tags = {keyword: tag_for_keyword(keyword) or 0 for keyword in keywords}
    spelled = [(tag, keyword, dictionary_VR(tag)) for keyword, tag in tags.items()]
    return [(keyword, vr, f'"{tag:08X}": {{"vr": "{vr}"') for tag, keyword, vr in sorted(spelled)]


def _write(values: Mapping[str, Any]) -> str:
    """Write attributes as DICOM JSON (PS3.18 section F.2); an attribute without a value keeps its tag."""
    parts = []
    for keyword, vr, opening in _spell(tuple(values)):
        value = values[keyword]
        if isinstance(value, str):
            value = value.split("\\") if vr in _LISTS else [value]
        listed = list(value) if isinstance(value, (list, tuple)) else [value]
        if listed in ([None], [""], []):
            parts.append(f"{opening}}}")
        else:
            listed = [{"Alphabetic": each} for each in listed] if vr == "PN" else listed
            parts.append(f'{opening}, "Value": [{", ".join(map(_write_value, listed))}]}}')
    return f"{{{', '.join(parts)}}}"


def _write_value(value: object) -> str:
    # Nearly all values are text; json.dumps would make a new encoder for each list of them.
    return encode_basestring_ascii(value) if isinstance(value, str) else json.dumps(value)
