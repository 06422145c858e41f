"""WADO-RS metadata: headers as DICOM JSON (PS3.18 section 10.4.1.1.2 and annex F), from the index alone."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import Response

from aurelius_catalog.hosting.stow_responses import JSON_TYPE
from aurelius_catalog.records import InstanceRecord
from aurelius_catalog.service.address import Root
from aurelius_catalog.service.negotiation import Accepted, MediaRange, Offer, choose_offer
from aurelius_catalog.service.slide_levels import LEVEL, list_level_headers
from aurelius_catalog.service.stores import Opened
from aurelius_catalog.service.targets import count_frames, get_image, get_series, list_study, require_dicom
from aurelius_deidentify.media_types import DICOM

router = APIRouter()

#: A value that the index left out of a header; `service.bulkdata` returns it.
_LEFT_OUT = '"BulkDataURI": ""'
#: At any depth: JSON is UTF-8, whatever the object was written in (PS3.18 section F.2.1).
_CHARACTER_SET = re.compile(r'"00080005": \{[^}]*\}')
_UTF_8 = '"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}'


@router.get("/studies/{study}/metadata", response_class=Response)
def retrieve_study_metadata(store: Opened, root: Root, study: str, accepted: Accepted) -> Response:
    """WADO-RS: the headers of a study as DICOM JSON; long values as BulkDataURI."""
    headers: list[str] = []
    for record in list_study(store, study):
        listed = [each for each in store.list_instances(record.SeriesInstanceUID) if each.media_type == DICOM]
        texts = store.list_headers(record.SeriesInstanceUID)
        headers += list_level_headers(store, record).values()
        headers += [make_metadata(texts[each.SOPInstanceUID], each, _spell_base(root, study)) for each in listed]
    return answer_json(headers, accepted)


@router.get("/studies/{study}/series/{series}/metadata", response_class=Response)
def retrieve_series_metadata(store: Opened, root: Root, study: str, series: str, accepted: Accepted) -> Response:
    """WADO-RS: the headers of a series as DICOM JSON; long values as BulkDataURI."""
    if levels := list_level_headers(store, get_series(store, study, series)):
        return answer_json(list(levels.values()), accepted)
    listed = require_dicom(store.list_instances(series))
    texts = store.list_headers(series)
    base = _spell_base(root, study)
    return answer_json([make_metadata(texts[each.SOPInstanceUID], each, base) for each in listed], accepted)


@router.get("/studies/{study}/series/{series}/instances/{instance}/metadata", response_class=Response)
def retrieve_instance_metadata(
    store: Opened, root: Root, study: str, series: str, instance: str, accepted: Accepted
) -> Response:
    """WADO-RS: the header of one object as DICOM JSON; long values as BulkDataURI."""
    found = get_image(store, study, series, instance)
    if found.media_type == LEVEL:
        return answer_json([list_level_headers(store, get_series(store, study, series))[instance]], accepted)
    texts = store.list_headers(series, instance)
    return answer_json([make_metadata(texts[instance], found, _spell_base(root, study))], accepted)


def answer_json(
    records: list[str], accepted: list[MediaRange], status_code: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Answer data sets that are written as DICOM JSON.

    Raises
    ------
    NotAcceptable
        If the client wants XML, or something else.
    """
    kind = choose_offer(accepted, [Offer(JSON_TYPE), Offer("application/json")]).media_type
    return Response(f"[{','.join(records)}]", status_code, headers, kind)


def make_metadata(text: str, instance: InstanceRecord, base: str) -> str:
    """Complete a header as the index keeps it.

    Parameters
    ----------
    text
        DICOM JSON, as the index writes it.
    instance
        The instance whose header it is.
    base
        Address of the study.
    """
    place = f"{base}/series/{instance.SeriesInstanceUID}/instances/{instance.SOPInstanceUID}/bulkdata"
    if _LEFT_OUT in text:
        header = json.loads(text)
        _point_to_values(header, place)
        text = json.dumps(header)
    text = _CHARACTER_SET.sub(_UTF_8, text)
    added = {"00083002": {"vr": "UI", "Value": [instance.TransferSyntaxUID]}}
    if count_frames(instance):
        tag, vr = name_pixels(instance)
        added[tag] = {"vr": vr, "BulkDataURI": f"{place}/{tag}"}
    return f"{text[:-1]}, {json.dumps(added)[1:]}"


def _point_to_values(item: dict[str, Any], place: str) -> None:
    """Write the address of each value that was left out, at any depth: ``<sequence>/<item, from 0>/<tag>``."""
    for tag, element in item.items():
        if "BulkDataURI" in element:
            element["BulkDataURI"] = f"{place}/{tag}"
        elif element.get("vr") == "SQ":
            for number, inner in enumerate(element.get("Value", ())):
                _point_to_values(inner, f"{place}/{tag}/{number}")


def name_pixels(instance: InstanceRecord) -> tuple[str, str]:
    """Return tag and VR of the pixel data: measured values are floats, which have no BitsStored (PS3.3 C.7.6.24)."""
    if instance.BitsStored is None and instance.BitsAllocated in (32, 64):
        return ("7FE00008", "OF") if instance.BitsAllocated == 32 else ("7FE00009", "OD")
    return "7FE00010", "OB" if (instance.BitsAllocated or 8) <= 8 else "OW"


def _spell_base(root: str, study: str) -> str:
    return f"{root}/studies/{quote(study, safe='')}"
