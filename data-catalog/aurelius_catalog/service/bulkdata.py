"""WADO-RS bulk data: the values left out of the metadata (PS3.18 section 10.4.1.1.5)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException
from fastapi.responses import Response, StreamingResponse
from pydicom import Dataset, dcmread

from aurelius_catalog.dicom.byte_ranges import Span
from aurelius_catalog.errors import NotFound
from aurelius_catalog.hosting.multipart_writer import Part, measure_part, read_blocks, stream_parts
from aurelius_catalog.records import InstanceRecord
from aurelius_catalog.service.metadata import name_pixels
from aurelius_catalog.service.negotiation import Accepted, Offer, choose_offer
from aurelius_catalog.service.stores import Opened
from aurelius_catalog.service.targets import count_frames, get_instance
from aurelius_catalog.service.transcoding import needs_decoding
from aurelius_catalog.service.wado import NATIVE, OCTETS, answer_frames

router = APIRouter()

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


@router.get(
    "/studies/{study}/series/{series}/instances/{instance}/bulkdata/{place:path}",
    response_class=Response,
    responses={206: {"description": "The range asked for"}, 416: {"description": "The value ends before the range"}},
)
def retrieve_bulkdata(
    store: Opened,
    study: str,
    series: str,
    instance: str,
    place: str,
    accepted: Accepted,
    wanted: Annotated[str, Header(alias="range")] = "",
) -> Response:
    """WADO-RS: one value, named as the BulkDataURI of the metadata does; part of it, if a range of bytes is asked."""
    found = get_instance(store, study, series, instance)
    path = store.settings.files / found.path
    is_pixels = bool(count_frames(found)) and place == name_pixels(found)[0]
    if is_pixels and (needs_decoding(found) or not found.frames):
        return answer_frames(store, found, list(range(count_frames(found))), accepted)
    offer = choose_offer(accepted, [Offer(OCTETS, NATIVE, True), Offer(OCTETS, NATIVE, False)])
    value = _find_pixels(path, found) if is_pixels else _find_value(path, place)
    status, headers = 200, {"Accept-Ranges": "bytes"}
    if limits := _RANGE.fullmatch(wanted):
        value, headers["Content-Range"] = _cut(value, int(limits[1]), int(limits[2] or 10**18))
        status = 206
    content_type = f"{OCTETS}; transfer-syntax={NATIVE}"
    if offer.multipart:
        return stream_parts([Part(content_type, value)], OCTETS, status, headers)
    headers |= {"Content-Type": content_type, "Content-Length": str(measure_part(value))}
    return StreamingResponse(read_blocks(value), status, headers)


def _find_pixels(path: Path, instance: InstanceRecord) -> Span:
    """Return where native pixel data lies: its frames follow one another."""
    (start, _), (last, length) = instance.frames[0], instance.frames[-1]
    return Span(path, start, last + length - start)


def _find_value(path: Path, place: str) -> bytes:
    """Return the bytes of an element, by ``<sequence>/<item, from 0>/<tag>``.

    Raises
    ------
    NotFound
        If there is no such element, or its value is not bytes.
    """
    *above, tag = place.split("/")
    absent = NotFound(f"There is no bulk data at {place[:200]!r} of this object. Take the address from its metadata.")
    if not _TAG.fullmatch(tag) or len(above) % 2 or len(above) > 64:
        raise absent
    item: Dataset = dcmread(path, defer_size=1 << 16, stop_before_pixels=True)
    for sequence, number in zip(above[::2], above[1::2], strict=True):
        if not _TAG.fullmatch(sequence) or not number.isascii() or not number.isdigit() or len(number) > 9:
            raise absent
        held = item.get(int(sequence, 16))
        if held is None or held.VR != "SQ" or int(number) >= len(held.value):
            raise absent
        item = held.value[int(number)]
    element = item.get(int(tag, 16))
    if element is None or not isinstance(element.value, bytes):
        raise absent
    return element.value


def _cut(value: bytes | Span, first: int, last: int) -> tuple[bytes | Span, str]:
    """Return a range of bytes, both ends included, and its Content-Range (RFC 9110 section 14.4).

    Raises
    ------
    HTTPException
        416 if the value ends before the range.
    """
    whole = measure_part(value)
    end = min(last + 1, whole)
    if first >= end:
        raise HTTPException(416, f"The value has {whole} bytes.", {"Content-Range": f"bytes */{whole}"})
    cut = value[first:end] if isinstance(value, bytes) else Span(value.path, value.offset + first, end - first)
    return cut, f"bytes {first}-{end - 1}/{whole}"
