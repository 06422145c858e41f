"""Slides over HTTP: DeepZoom tiles as JPEG for browsers, uncompressed regions for kernels."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import Response
from pydantic import StringConstraints

from aurelius_catalog.hosting.host import service_prefix
from aurelius_catalog.records import SlideRecord
from aurelius_catalog.service.stores import Opened
from aurelius_catalog.slides.tiles import BLOCK_PX, FARTHEST_PX, write_dzi

router = APIRouter(prefix="/slides")

Uid = Annotated[str, StringConstraints(pattern=r"^[0-9.]{1,64}$")]
Number = Annotated[int, Path(ge=0, lt=2**31)]
Place = Annotated[int, Query(ge=-FARTHEST_PX, le=FARTHEST_PX)]
Length = Annotated[int, Query(ge=1, le=BLOCK_PX)]
#: Seconds for which a browser may show a tile again without asking whether the person may still see it.
FRESH_S = 300


@router.get("/{series}")
def read_slide(store: Opened, series: Uid) -> SlideRecord:
    """Return the levels of a slide and how large its pixels are."""
    return store.take_slide(series).record


@router.get("/{series}/dzi")
def read_dzi(store: Opened, series: Uid) -> Response:
    """Describe the slide as a DeepZoom image, for OpenSeadragon and its like."""
    url = f"{service_prefix()}slides/{series}/tiles/"
    return Response(write_dzi(store.take_slide(series).record, url), media_type="application/xml")


@router.get("/{series}/tiles/{level}/{column}_{row}.jpg")
def read_tile(
    store: Opened,
    series: Uid,
    level: Number,
    column: Number,
    row: Number,
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """Return one DeepZoom tile as JPEG; level 0 is one pixel."""
    opened = store.take_slide(series)
    tag = f'"{opened.version}-{level}-{column}-{row}"'
    headers = {"ETag": tag, "Cache-Control": f"private, max-age={FRESH_S}", "Vary": "Cookie, Authorization"}
    if tag in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(opened.make_tile(level, column, row), media_type="image/jpeg", headers=headers)


@router.get("/{series}/levels/{level}/region")
def read_region(
    store: Opened, series: Uid, level: Number, x: Place = 0, y: Place = 0, width: Length = 512, height: Length = 512
) -> Response:
    """Return a region of a level as ``(y, x, c)`` RGB bytes; x and y are pixels of that level."""
    pixels = store.take_slide(series).read_region(level, x, y, width, height)
    return Response(pixels.tobytes(), media_type="application/octet-stream")
