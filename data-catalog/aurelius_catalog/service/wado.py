"""WADO-RS: whole objects and frames (PS3.18 section 10.4), as stored or, where the client asks, uncompressed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from pydicom.uid import ExplicitVRLittleEndian

from aurelius_catalog.dicom.byte_ranges import Span
from aurelius_catalog.hosting.multipart_writer import Part, stream_parts
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import InstanceRecord
from aurelius_catalog.service.negotiation import Accepted, MediaRange, Offer, choose_offer
from aurelius_catalog.service.stores import Opened
from aurelius_catalog.service.targets import (
    find_instance,
    get_image,
    get_series,
    list_study,
    read_numbers,
    require_dicom,
)
from aurelius_catalog.service.transcoding import (
    is_other_syntax,
    name_frame_syntax,
    needs_decoding,
    read_native,
    read_stored,
    transcode_file,
)
from aurelius_deidentify.media_types import DICOM

router = APIRouter()

OCTETS = "application/octet-stream"
NATIVE = str(ExplicitVRLittleEndian)
#: Frames read at a time for a response of many.
FRAMES_AT_ONCE = 16
#: Media types of compressed frames (PS3.18 table 8.7.3-5); what is not here comes as octets.
_FRAME_TYPES = {
    **dict.fromkeys(["4.50", "4.51", "4.57", "4.70"], "image/jpeg"),
    **dict.fromkeys(["4.80", "4.81"], "image/jls"),
    **dict.fromkeys(["4.90", "4.91"], "image/jp2"),
    **dict.fromkeys(["4.92", "4.93"], "image/jpx"),
    **dict.fromkeys(["4.110", "4.111", "4.112"], "image/jxl"),
    **dict.fromkeys(["4.201", "4.202", "4.203"], "image/jphc"),
    "5": "image/dicom-rle",
}
_CONTENT = {
    "content": {f'multipart/related; type="{DICOM}"': {"schema": {"type": "string", "format": "binary"}}},
    "description": "Objects, each a part",
}


@router.get("/studies/{study}", response_class=Response, responses={200: _CONTENT})
def retrieve_study(store: Opened, study: str, accepted: Accepted) -> Response:
    """WADO-RS: all DICOM objects of a study."""
    listed = [each for record in list_study(store, study) for each in store.list_instances(record.SeriesInstanceUID)]
    # Only DICOM objects fit into this response; a study without any is refused.
    held = [each for each in listed if each.media_type == DICOM] or require_dicom(listed)
    return _answer_objects(store, held, accepted)


@router.get("/studies/{study}/series/{series}", response_class=Response, responses={200: _CONTENT})
def retrieve_series(store: Opened, study: str, series: str, accepted: Accepted) -> Response:
    """WADO-RS: all objects of a series."""
    get_series(store, study, series)
    return _answer_objects(store, require_dicom(store.list_instances(series)), accepted)


@router.get("/studies/{study}/series/{series}/instances/{instance}", response_class=Response, responses={200: _CONTENT})
def retrieve_instance(store: Opened, study: str, series: str, instance: str, accepted: Accepted) -> Response:
    """WADO-RS: one object; single part if the client asks for plain ``application/dicom``."""
    get_series(store, study, series)
    found = find_instance(store, study, series, instance)
    offer = choose_offer(accepted, [*_offer_object(found, multipart=True), *_offer_object(found, multipart=False)])
    path, _ = store.find_file(instance)
    if offer.multipart:
        return stream_parts(list(_read_parts(store, [(found, offer.syntax)])), DICOM)
    if offer.syntax == found.TransferSyntaxUID:
        return FileResponse(path, headers={"Content-Type": f"{DICOM}; transfer-syntax={offer.syntax}"})
    return Response(transcode_file(store, found), headers={"Content-Type": f"{DICOM}; transfer-syntax={offer.syntax}"})


@router.get("/studies/{study}/series/{series}/instances/{instance}/frames/{numbers}", response_class=Response)
def retrieve_frames(
    store: Opened, study: str, series: str, instance: str, numbers: str, accepted: Accepted
) -> Response:
    """WADO-RS: frames, numbered from 1; one may come as a single part. Slide files have the tiles of their levels."""
    found = get_image(store, study, series, instance)
    return answer_frames(store, found, read_numbers(numbers, found), accepted)


def answer_frames(
    store: LocalStore, instance: InstanceRecord, indices: list[int], accepted: list[MediaRange]
) -> Response:
    """Answer frames in the form the client accepts; by default as they are stored.

    Raises
    ------
    NotAcceptable
        If the client accepts none of the forms.
    """
    syntax = name_frame_syntax(instance)
    kind = _FRAME_TYPES.get(syntax.removeprefix("1.2.840.10008.1.2."), OCTETS)
    # Compressed frames come as octets too: many clients ask for those with any transfer syntax.
    offers = list(dict.fromkeys([Offer(kind, syntax, True), Offer(OCTETS, syntax, True), Offer(OCTETS, NATIVE, True)]))
    if len(indices) == 1:
        offers += [offer._replace(multipart=False) for offer in offers]
    offer = choose_offer(accepted, offers)
    read = read_native if offer.syntax == NATIVE and needs_decoding(instance) else read_stored
    content_type = f"{offer.media_type}; transfer-syntax={offer.syntax}"
    first = read(store, instance, indices[:FRAMES_AT_ONCE])  # an error must come before the response begins
    if not offer.multipart:
        return Response(first[0], headers={"Content-Type": content_type})

    def read_parts() -> Iterator[Part]:
        yield from (Part(content_type, frame) for frame in first)
        for start in range(FRAMES_AT_ONCE, len(indices), FRAMES_AT_ONCE):
            frames = read(store, instance, indices[start : start + FRAMES_AT_ONCE])
            yield from (Part(content_type, frame) for frame in frames)

    return stream_parts(read_parts(), offer.media_type)


def _answer_objects(store: LocalStore, instances: list[InstanceRecord], accepted: list[MediaRange]) -> Response:
    # Each object in its own best form, all of them chosen before the answer begins.
    plan = [(each, choose_offer(accepted, _offer_object(each, multipart=True)).syntax) for each in instances]
    parts = _read_parts(store, plan)
    first = next(parts)  # an error must come before the response begins
    return stream_parts(chain([first], parts), DICOM)


def _offer_object(instance: InstanceRecord, *, multipart: bool) -> list[Offer]:
    stored = Offer(DICOM, instance.TransferSyntaxUID, multipart)
    return [stored, stored._replace(syntax=NATIVE)] if is_other_syntax(instance) else [stored]


def _read_parts(store: LocalStore, plan: Iterable[tuple[InstanceRecord, str]]) -> Iterator[Part]:
    for instance, syntax in plan:
        stored = syntax == instance.TransferSyntaxUID
        file = Span(store.settings.files / instance.path, 0, instance.size_bytes)
        data = file if stored else transcode_file(store, instance)
        yield Part(f"{DICOM}; transfer-syntax={syntax}", data)
