"""DICOMweb (PS3.18): QIDO-RS search and WADO-RS retrieve, as any DICOMweb client speaks it.

Objects leave in the transfer syntax they are stored in, named in each part's ``Content-Type``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from pydicom import dcmread

from aurelius_catalog.errors import InvalidRequest, NotDicom, NotFound
from aurelius_catalog.local import LocalStore
from aurelius_catalog.media import DICOM
from aurelius_catalog.model import InstanceRecord, SeriesRecord
from aurelius_catalog.person import Person
from aurelius_catalog.service.answers import describe_instance, describe_series, describe_study
from aurelius_catalog.service.conditions import read_conditions
from aurelius_catalog.service.multipart import Part, stream_parts
from aurelius_catalog.service.stores import Opened, read_settings

router = APIRouter(prefix="/dicomweb")

Accept = Annotated[str, Header()]
Page = Annotated[int, Query(ge=0, le=10**9)]
JSON_TYPE = "application/dicom+json"
#: Larger values of a header are left out of the metadata, as pixel data is (PS3.18 F.2.2 allows it).
LONGEST_INLINE_BYTES = 1024
#: Media types of compressed frames (PS3.18 section 8.7.3.3).
_FRAME_TYPES = {
    **dict.fromkeys(["4.50", "4.51", "4.57", "4.70"], "image/jpeg"),
    **dict.fromkeys(["4.80", "4.81"], "image/jls"),
    **dict.fromkeys(["4.90", "4.91", "4.92", "4.93"], "image/jp2"),
    **dict.fromkeys(["4.110", "4.111", "4.112"], "image/jxl"),
    **dict.fromkeys(["4.201", "4.202", "4.203"], "image/jphc"),
    "5": "image/dicom-rle",
}


@router.get("/studies")
def search_studies(store: Opened, request: Request, limit: Page = 1000, offset: Page = 0) -> Response:
    """QIDO-RS: find studies (PS3.18 section 10.6)."""
    by_study: dict[str, list[SeriesRecord]] = {}
    for record in store.find_series(**read_conditions(request.query_params)):
        by_study.setdefault(record.StudyInstanceUID, [])
    # The counts of a study are over all of its series, not only over those that matched.
    for record in store.find_series(StudyInstanceUID=list(by_study)[offset : offset + limit]):
        by_study[record.StudyInstanceUID].append(record)
    return _answer([describe_study(records) for records in by_study.values() if records])


@router.get("/series")
def search_series(store: Opened, request: Request, limit: Page = 1000, offset: Page = 0) -> Response:
    """QIDO-RS: find series in all studies."""
    return _answer(
        [describe_series(each) for each in store.find_series(**read_conditions(request.query_params))[offset:][:limit]]
    )


@router.get("/studies/{study}/series")
def search_study_series(store: Opened, request: Request, study: str, limit: Page = 1000, offset: Page = 0) -> Response:
    """QIDO-RS: find the series of a study."""
    found = store.find_series(**{**read_conditions(request.query_params), "StudyInstanceUID": study})
    return _answer([describe_series(each) for each in found[offset:][:limit]])


@router.get("/studies/{study}/series/{series}/instances")
def search_instances(store: Opened, study: str, series: str, limit: Page = 10_000, offset: Page = 0) -> Response:
    """QIDO-RS: list the instances of a series."""
    record = _get_series(store, study, series)
    found = store.list_instances(series)[offset:][:limit]
    return _answer([describe_instance(each, record) for each in found])


@router.get("/studies/{study}")
def retrieve_study(store: Opened, study: str) -> Response:
    """WADO-RS: all instances of a study, as stored."""
    found = store.find_series(StudyInstanceUID=study)
    if not found:
        raise NotFound(f"There is no study {study} that {store.person.name} may open.")
    listed = [each for record in found for each in store.list_instances(record.SeriesInstanceUID)]
    # What is no DICOM has no place in this answer; a study of nothing else is refused.
    return _stream_files(store, [each for each in listed if each.media_type == DICOM] or _require_dicom(listed))


@router.get("/studies/{study}/series/{series}")
def retrieve_series(store: Opened, study: str, series: str) -> Response:
    """WADO-RS: all instances of a series, as stored."""
    _get_series(store, study, series)
    return _stream_files(store, _require_dicom(store.list_instances(series)))


@router.get("/studies/{study}/series/{series}/metadata")
def retrieve_metadata(store: Opened, study: str, series: str) -> Response:
    """WADO-RS: the headers of a series as DICOM JSON (PS3.18 annex F), without pixel data."""
    _get_series(store, study, series)
    return _answer([_read_header(store, each) for each in _require_dicom(store.list_instances(series))])


@router.get("/studies/{study}/series/{series}/instances/{instance}")
def retrieve_instance(store: Opened, study: str, series: str, instance: str, accept: Accept = "") -> Response:
    """WADO-RS: one instance, as stored; single part if ``Accept`` asks for plain ``application/dicom``."""
    found = _get_instance(store, study, series, instance)
    if "multipart/related" not in accept and "application/dicom" in accept:
        return Response(store.read_file(instance), media_type="application/dicom")
    return _stream_files(store, [found])


@router.get("/studies/{study}/series/{series}/instances/{instance}/metadata")
def retrieve_instance_metadata(store: Opened, study: str, series: str, instance: str) -> Response:
    """WADO-RS: the header of one instance as DICOM JSON, without pixel data."""
    return _answer([_read_header(store, _get_instance(store, study, series, instance))])


@router.get("/studies/{study}/series/{series}/instances/{instance}/frames/{numbers}")
def retrieve_frames(
    store: Opened, study: str, series: str, instance: str, numbers: str, accept: Accept = ""
) -> Response:
    """WADO-RS: frames as stored, numbered from 1; single part if ``Accept`` asks for plain octets."""
    found = _get_instance(store, study, series, instance)
    wanted = _read_numbers(numbers, found)
    if "multipart/related" not in accept and "application/octet-stream" in accept:
        if len(wanted) > 1:
            raise InvalidRequest("Several frames come as multipart/related: ask for that, or for one frame.")
        kind = f"application/octet-stream; transfer-syntax={found.TransferSyntaxUID}"
        return Response(store.read_frame(found, wanted[0]), headers={"Content-Type": kind})
    media = _FRAME_TYPES.get(found.TransferSyntaxUID.removeprefix("1.2.840.10008.1.2."), "application/octet-stream")
    kind = f"{media}; transfer-syntax={found.TransferSyntaxUID}"
    return stream_parts((Part(kind, store.read_frame(found, index)) for index in wanted), media)


@lru_cache(maxsize=64)
def _index_series(person: Person, series: str) -> tuple[str, dict[str, InstanceRecord]]:
    """Return the study of a series and its instances by UID: facts that never change once visible.

    Kept per person, so that each one's opening of a series is recorded; every read checks the rights anew.
    """
    store = LocalStore(read_settings(), person)
    listed = store.list_instances(series)
    return store.get_series(series).StudyInstanceUID, {each.SOPInstanceUID: each for each in listed}


def _get_series(store: LocalStore, study: str, series: str) -> SeriesRecord:
    record = store.get_series(series)
    if record.StudyInstanceUID != study:
        raise NotFound(f"Series {series} is not part of study {study}.")
    return record


def _get_instance(store: LocalStore, study: str, series: str, instance: str) -> InstanceRecord:
    parent, known = _index_series(store.person, series)
    found = known.get(instance)
    if found is None:  # a series may grow by an instance that arrives later
        found = next((each for each in store.list_instances(series) if each.SOPInstanceUID == instance), None)
    if found is None or parent != study:
        raise NotFound(f"There is no instance {instance} in series {series} of study {study}.")
    _require_dicom([found])
    return found


def _require_dicom(instances: list[InstanceRecord]) -> list[InstanceRecord]:
    """Return the instances if all of them are DICOM.

    Raises
    ------
    NotDicom
        If one is kept as a slide or a NIfTI volume.
    """
    for each in instances:
        if each.media_type != DICOM:
            raise NotDicom(
                f"Instance {each.SOPInstanceUID} is a file of type {each.media_type}, which DICOMweb cannot hand out. "
                "Fetch it from instances/{its UID}/file, or open it in a notebook by its series."
            )
    return instances


def _read_header(store: LocalStore, instance: InstanceRecord) -> dict[str, Any]:
    header = dcmread(store.settings.files / instance.path, stop_before_pixels=True)
    return header.to_json_dict(
        bulk_data_threshold=LONGEST_INLINE_BYTES, bulk_data_element_handler=lambda _: "", suppress_invalid_tags=True
    )


def _stream_files(store: LocalStore, instances: list[InstanceRecord]) -> Response:
    def read_parts() -> Iterator[Part]:
        for each in instances:
            kind = f"application/dicom; transfer-syntax={each.TransferSyntaxUID}"
            yield Part(kind, store.read_file(each.SOPInstanceUID))

    return stream_parts(read_parts(), "application/dicom")


def _read_numbers(text: str, instance: InstanceRecord) -> list[int]:
    try:
        indices = [int(number) - 1 for number in text.split(",")]
    except ValueError as error:
        raise InvalidRequest("Frame numbers are whole numbers from 1, separated by commas.") from error
    if not all(0 <= index < len(instance.frames) for index in indices):
        raise NotFound(f"Instance {instance.SOPInstanceUID} has {len(instance.frames)} frames that can be read singly.")
    return indices


def _answer(records: list[dict[str, Any]]) -> Response:
    return JSONResponse(records, media_type=JSON_TYPE)
