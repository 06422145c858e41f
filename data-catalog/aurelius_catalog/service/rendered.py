"""WADO-RS rendered resources and thumbnails: pictures for people (PS3.18 sections 10.4.1.1.3 and 10.4.1.1.4)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import Response
from pydicom.uid import VLWholeSlideMicroscopyImageStorage

from aurelius_catalog.errors import InvalidRequest, NotAcceptable
from aurelius_catalog.local import LocalStore
from aurelius_catalog.media import DICOM
from aurelius_catalog.model import InstanceRecord, SeriesRecord
from aurelius_catalog.service.multipart import Part, stream_parts
from aurelius_catalog.service.negotiation import Accepted, Offer, choose_offer
from aurelius_catalog.service.pictures import Viewport, Window, draw_frame
from aurelius_catalog.service.stores import Opened
from aurelius_catalog.service.targets import count_frames, get_image, get_series, list_study, read_numbers
from aurelius_catalog.slides.virtual import LEVEL, list_levels

router = APIRouter()

#: Media types of pictures (PS3.18 table 8.7.4-1) and what Pillow calls them; the first is the default.
FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/jp2": "JPEG2000"}
THUMBNAIL = Viewport(256, 256)
LARGEST_VIEWPORT = 8192
MOST_PICTURES = 64
#: The browser keeps a picture and asks, each time, whether it may still show it.
_CACHING = "private, no-cache"
_FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in FORMATS}}
}


@dataclass(frozen=True)
class Look:
    """How a picture is to look, from the query (PS3.18 section 8.3.5)."""

    window: Window | None
    viewport: Viewport | None
    quality: int


def read_look(
    window: Annotated[str | None, Query(description="center,width[,linear|linear-exact|sigmoid]")] = None,
    viewport: Annotated[str | None, Query(description="width,height[,x,y,width,height of the region]")] = None,
    quality: Annotated[int, Query(ge=1, le=100, description="Of a JPEG")] = 90,
) -> Look:
    """FastAPI dependency: how a picture is to look.

    Raises
    ------
    InvalidRequest
        If window or viewport is none.
    """
    return Look(_read_window(window) if window else None, _read_viewport(viewport) if viewport else None, quality)


Looked = Annotated[Look, Depends(read_look)]
Known = Annotated[str, Header(alias="if-none-match")]


@router.get("/studies/{study}/rendered", response_class=Response, responses=_PICTURE)
def render_study(store: Opened, study: str, look: Looked, accepted: Accepted, known: Known = "") -> Response:
    """WADO-RS: a picture that stands for a study."""
    return _answer(store, _represent_study(store, study), look, accepted, known)


@router.get("/studies/{study}/series/{series}/rendered", response_class=Response, responses=_PICTURE)
def render_series(
    store: Opened, study: str, series: str, look: Looked, accepted: Accepted, known: Known = ""
) -> Response:
    """WADO-RS: a picture that stands for a series."""
    return _answer(store, _represent_series(store, study, series), look, accepted, known)


@router.get(
    "/studies/{study}/series/{series}/instances/{instance}/rendered", response_class=Response, responses=_PICTURE
)
def render_instance(
    store: Opened, study: str, series: str, instance: str, look: Looked, accepted: Accepted, known: Known = ""
) -> Response:
    """WADO-RS: a picture of an object; of several frames the one in the middle."""
    return _answer(store, get_image(store, study, series, instance), look, accepted, known)


@router.get(
    "/studies/{study}/series/{series}/instances/{instance}/frames/{numbers}/rendered",
    response_class=Response,
    responses=_PICTURE,
)
def render_frames(
    store: Opened,
    study: str,
    series: str,
    instance: str,
    numbers: str,
    look: Looked,
    accepted: Accepted,
    known: Known = "",
) -> Response:
    """WADO-RS: pictures of frames, numbered from 1; of several, each a part."""
    found = get_image(store, study, series, instance)
    return _answer(store, found, look, accepted, known, read_numbers(numbers, found))


@router.get("/studies/{study}/thumbnail", response_class=Response, responses=_PICTURE)
def draw_study(store: Opened, study: str, look: Looked, accepted: Accepted, known: Known = "") -> Response:
    """WADO-RS: a small picture that stands for a study."""
    return _answer(store, _represent_study(store, study), _reduce(look), accepted, known)


@router.get("/studies/{study}/series/{series}/thumbnail", response_class=Response, responses=_PICTURE)
def draw_series(
    store: Opened, study: str, series: str, look: Looked, accepted: Accepted, known: Known = ""
) -> Response:
    """WADO-RS: a small picture that stands for a series."""
    return _answer(store, _represent_series(store, study, series), _reduce(look), accepted, known)


@router.get(
    "/studies/{study}/series/{series}/instances/{instance}/thumbnail", response_class=Response, responses=_PICTURE
)
def draw_instance(
    store: Opened, study: str, series: str, instance: str, look: Looked, accepted: Accepted, known: Known = ""
) -> Response:
    """WADO-RS: a small picture of an object."""
    return _answer(store, get_image(store, study, series, instance), _reduce(look), accepted, known)


@router.get(
    "/studies/{study}/series/{series}/instances/{instance}/frames/{numbers}/thumbnail",
    response_class=Response,
    responses=_PICTURE,
)
def draw_frames(
    store: Opened,
    study: str,
    series: str,
    instance: str,
    numbers: str,
    look: Looked,
    accepted: Accepted,
    known: Known = "",
) -> Response:
    """WADO-RS: small pictures of frames."""
    found = get_image(store, study, series, instance)
    return _answer(store, found, _reduce(look), accepted, known, read_numbers(numbers, found))


def _answer(
    store: LocalStore,
    instance: InstanceRecord,
    look: Look,
    accepted: Accepted,
    known: str,
    indices: Sequence[int] | None = None,
) -> Response:
    count = count_frames(instance)
    if not count:
        raise NotAcceptable(f"Instance {instance.SOPInstanceUID} has no picture: it is no image.")
    shown = [count // 2] if indices is None else indices
    if len(shown) > MOST_PICTURES:
        raise InvalidRequest(f"Ask for {MOST_PICTURES} pictures at most in one request.")
    several = len(shown) > 1
    offers = [Offer(kind, multipart=parts) for parts in ([True] if several else [False, True]) for kind in FORMATS]
    offer = choose_offer(accepted, offers)
    tag = hashlib.sha256(f"{instance.sha256} {shown} {look} {offer}".encode()).hexdigest()[:32]
    headers = {"ETag": f'"{tag}"', "Cache-Control": _CACHING, "Vary": "Accept"}
    if tag in known:
        return Response(status_code=304, headers=headers)
    pictures = [_write(store, instance, index, look, offer.media_type) for index in shown]
    if offer.multipart:
        return stream_parts([Part(offer.media_type, each) for each in pictures], offer.media_type, headers=headers)
    return Response(pictures[0], headers=headers, media_type=offer.media_type)


def _write(store: LocalStore, instance: InstanceRecord, index: int, look: Look, media_type: str) -> bytes:
    file = BytesIO()
    picture = draw_frame(store, instance, index, look.window, look.viewport)
    picture.save(file, FORMATS[media_type], quality=look.quality)
    return file.getvalue()


def _represent_study(store: LocalStore, study: str) -> InstanceRecord:
    """Return the image to show of a study: of its first series of images, not of labels drawn on them."""
    for record in list_study(store, study):
        if record.Modality != "SEG" and (found := _choose_image(store, record)):
            return found
    raise NotAcceptable(f"Study {study} has no picture.")


def _represent_series(store: LocalStore, study: str, series: str) -> InstanceRecord:
    if found := _choose_image(store, get_series(store, study, series)):
        return found
    raise NotAcceptable(f"Series {series} has no picture.")


def _choose_image(store: LocalStore, record: SeriesRecord) -> InstanceRecord | None:
    """Return the image in the middle of a series; of a slide, the one of fewest tiles."""
    listed = list_levels(store, record) or store.list_instances(record.SeriesInstanceUID)
    images = [each for each in listed if each.media_type in (DICOM, LEVEL) and count_frames(each)]
    if images and images[0].SOPClassUID == VLWholeSlideMicroscopyImageStorage:
        return min(images, key=count_frames)
    return images[len(images) // 2] if images else None


def _reduce(look: Look) -> Look:
    return Look(look.window, look.viewport or THUMBNAIL, look.quality)


def _read_window(text: str) -> Window:
    center, width, function = [*text.split(","), "linear", "", ""][:3]
    numbers = _read_numbers([center, width])
    if text.count(",") > 2 or numbers[1] <= 0 or function.lower() not in _FUNCTIONS:
        raise InvalidRequest("A window is center,width or center,width,linear|linear-exact|sigmoid; its width above 0.")
    return Window(numbers[0], numbers[1], _FUNCTIONS[function.lower()])


def _read_viewport(text: str) -> Viewport:
    numbers = _read_numbers(text.split(","))
    if len(numbers) not in (2, 6) or not all(1 <= number <= LARGEST_VIEWPORT for number in numbers[:2]):
        raise InvalidRequest(f"A viewport is width,height or width,height,x,y,width,height, to {LARGEST_VIEWPORT}.")
    region = (numbers[2], numbers[3], numbers[4], numbers[5]) if len(numbers) == 6 else None
    return Viewport(int(numbers[0]), int(numbers[1]), region)


def _read_numbers(texts: Sequence[str]) -> list[float]:
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = [math.nan]
    if not all(math.isfinite(number) and abs(number) < 1e9 for number in numbers):
        raise InvalidRequest("Windows and viewports are numbers, separated by commas.")
    return numbers
