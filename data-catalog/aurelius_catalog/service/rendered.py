"""WADO-RS rendered resources and thumbnails: pictures for people (PS3.18 sections 10.4.1.1.3 and 10.4.1.1.4)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response
from pydicom.uid import VLWholeSlideMicroscopyImageStorage

from aurelius_catalog.errors import InvalidRequest, NotAcceptable
from aurelius_catalog.hosting.multipart_writer import Part, stream_parts
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import InstanceRecord, SeriesRecord
from aurelius_catalog.service.frame_rendering import Viewport, Window, render_frame
from aurelius_catalog.service.negotiation import Accepted, MediaRange, Offer, choose_offer
from aurelius_catalog.service.slide_levels import LEVEL, list_levels
from aurelius_catalog.service.stores import Opened
from aurelius_catalog.service.targets import count_frames, get_image, get_series, list_study, read_numbers
from aurelius_deidentify.media_types import DICOM

router = APIRouter()

RouteFunction = TypeVar("RouteFunction", bound=Callable[..., Response])
#: Media types of pictures (PS3.18 table 8.7.4-1) and what Pillow calls them; the first is the default.
FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/jp2": "JPEG2000"}
THUMBNAIL = Viewport(256, 256)
LARGEST_VIEWPORT = 8192
MOST_PICTURES = 64
#: Browsers keep a picture and ask, each time, whether they may still show it.
_CACHING = "private, no-cache"
_FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in FORMATS}}
}


@dataclass(frozen=True)
class RenderingOptions:
    """The window, viewport and quality of a picture, from the query (PS3.18 section 8.3.5)."""

    window: Window | None
    viewport: Viewport | None
    quality: int


@dataclass(frozen=True)
class RenderRequest:
    """A request for a picture.

    Parameters
    ----------
    store
        The catalog, seen with the person's rights.
    options
        Its window, viewport and quality.
    accepted
        The media types the client accepts.
    known
        The ETags that the client has already.
    """

    store: LocalStore
    options: RenderingOptions
    accepted: list[MediaRange]
    known: str


async def read_render_request(
    store: Opened,
    http_request: Request,
    accepted: Accepted,
    window: Annotated[str | None, Query(description="center,width[,linear|linear-exact|sigmoid]")] = None,
    viewport: Annotated[str | None, Query(description="width,height[,x,y,width,height of the region]")] = None,
    quality: Annotated[int, Query(ge=1, le=100, description="Of a JPEG")] = 90,
    known: Annotated[str, Header(alias="if-none-match")] = "",
) -> RenderRequest:
    """FastAPI dependency: the picture a request asks for; a thumbnail is small unless a viewport says otherwise.

    Raises
    ------
    InvalidRequest
        If the window or the viewport is malformed.
    """
    usual = THUMBNAIL if http_request.url.path.endswith("/thumbnail") else None
    options = RenderingOptions(
        _read_window(window) if window else None, _read_viewport(viewport) if viewport else usual, quality
    )
    return RenderRequest(store, options, accepted, known)


Rendering = Annotated[RenderRequest, Depends(read_render_request)]


def _add_routes(path: str) -> Callable[[RouteFunction], RouteFunction]:
    """Add the routes of a resource's pictures and thumbnails."""

    def add(function: RouteFunction) -> RouteFunction:
        for form in ("rendered", "thumbnail"):
            router.add_api_route(f"{path}/{form}", function, response_class=Response, responses=_PICTURE)
        return function

    return add


@_add_routes("/studies/{study}")
def render_study(request: Rendering, study: str) -> Response:
    """WADO-RS: a picture that represents a study; its thumbnail is a small one."""
    return _answer(request, _represent_study(request.store, study))


@_add_routes("/studies/{study}/series/{series}")
def render_series(request: Rendering, study: str, series: str) -> Response:
    """WADO-RS: a picture that represents a series; its thumbnail is a small one."""
    return _answer(request, _represent_series(request.store, study, series))


@_add_routes("/studies/{study}/series/{series}/instances/{instance}")
def render_instance(request: Rendering, study: str, series: str, instance: str) -> Response:
    """WADO-RS: a picture of an object, of several frames the one in the middle; its thumbnail is a small one."""
    return _answer(request, get_image(request.store, study, series, instance))


@_add_routes("/studies/{study}/series/{series}/instances/{instance}/frames/{numbers}")
def render_frames(request: Rendering, study: str, series: str, instance: str, numbers: str) -> Response:
    """WADO-RS: pictures of frames, numbered from 1, of several each a part; their thumbnails are small ones."""
    found = get_image(request.store, study, series, instance)
    return _answer(request, found, read_numbers(numbers, found))


def _answer(request: RenderRequest, instance: InstanceRecord, indices: Sequence[int] | None = None) -> Response:
    count, options = count_frames(instance), request.options
    if not count:
        raise NotAcceptable(f"Instance {instance.SOPInstanceUID} has no picture: it is no image.")
    shown = [count // 2] if indices is None else indices
    if len(shown) > MOST_PICTURES:
        raise InvalidRequest(f"Ask for {MOST_PICTURES} pictures at most in one request.")
    several = len(shown) > 1
    offers = [Offer(kind, multipart=parts) for parts in ([True] if several else [False, True]) for kind in FORMATS]
    offer = choose_offer(request.accepted, offers)
    tag = hashlib.sha256(f"{instance.sha256} {shown} {options} {offer}".encode()).hexdigest()[:32]
    headers = {"ETag": f'"{tag}"', "Cache-Control": _CACHING, "Vary": "Accept"}
    if tag in request.known:
        return Response(status_code=304, headers=headers)
    pictures = [_write(request.store, instance, index, options, offer.media_type) for index in shown]
    if offer.multipart:
        return stream_parts([Part(offer.media_type, each) for each in pictures], offer.media_type, headers=headers)
    return Response(pictures[0], headers=headers, media_type=offer.media_type)


def _write(
    store: LocalStore, instance: InstanceRecord, index: int, options: RenderingOptions, media_type: str
) -> bytes:
    file = BytesIO()
    picture = render_frame(store, instance, index, options.window, options.viewport)
    picture.save(file, FORMATS[media_type], quality=options.quality)
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
