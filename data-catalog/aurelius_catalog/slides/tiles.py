"""Pictures cut out of an open slide: regions as they are, regions made smaller, and DeepZoom tiles."""

from __future__ import annotations

from io import BytesIO
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
from numpy.typing import NDArray
from openslide import PROPERTY_NAME_BACKGROUND_COLOR, AbstractSlide, OpenSlideError
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image

from aurelius_catalog.errors import InvalidRequest, NotFound
from aurelius_catalog.records import SlideRecord

#: DeepZoom: with a pixel of each neighbour, so that no seam shows, tiles are 512 pixels wide at most.
TILE_PX, OVERLAP_PX = 510, 1
QUALITY = 85
#: Regions are read in blocks of so many pixels along each side, so that none takes more memory than this.
BLOCK_PX = 2048
#: A tile for which more pixels than these must be read is refused: the slide lacks the levels to be shown so small.
MOST_SOURCE_PX = 1 << 28
#: No coordinate of a picture lies beyond this, in pixels.
FARTHEST_PX = 1 << 31

Size = tuple[int, int]


def read_region(slide: AbstractSlide, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
    """Read a region of one level.

    Parameters
    ----------
    slide
        An open slide.
    level, x, y, width, height
        The level, and the region in its pixels: at most `BLOCK_PX` along each side, and not far beside the slide.

    Returns
    -------
    numpy.ndarray
        ``(y, x, c)`` uint8 RGB; beside the slide, and where nothing was scanned, its background.

    Raises
    ------
    NotFound
        If there is no such level.
    InvalidRequest
        If the region is empty, too large, or nowhere near the slide.
    """
    if not 0 <= level < slide.level_count:
        raise NotFound(f"This slide has levels 0 to {slide.level_count - 1}; there is no level {level}.")
    if not (0 < width <= BLOCK_PX and 0 < height <= BLOCK_PX):
        raise InvalidRequest(f"A region is 1 to {BLOCK_PX} pixels wide and high: read a larger one in parts.")
    if max(abs(x), abs(y)) > FARTHEST_PX:
        raise InvalidRequest("This region lies nowhere near the slide.")
    (own_width, own_height), (finest_width, finest_height) = slide.level_dimensions[level], slide.dimensions
    place = round(x * finest_width / own_width), round(y * finest_height / own_height)
    return np.asarray(_read_rgb(slide, place, level, (width, height)))


def make_tile(slide: AbstractSlide, level: int, column: int, row: int) -> bytes:
    """Make one DeepZoom tile as JPEG; its colours are those of the scan, without its profile.

    Raises
    ------
    NotFound
        If there is no such tile.
    InvalidRequest
        If the slide has no level small enough for it.
    """
    zoom = DeepZoomGenerator(slide, TILE_PX, OVERLAP_PX)
    try:
        place, source, size = zoom.get_tile_coordinates(level, (column, row))
        wanted = zoom.get_tile_dimensions(level, (column, row))
    except ValueError:
        raise NotFound("This slide has no such tile.") from None
    return encode_jpeg(_read_reduced(slide, place, source, size, wanted))


def encode_jpeg(picture: Image.Image) -> bytes:
    """Return a picture as a baseline JPEG, without a colour profile."""
    file = BytesIO()
    picture.save(file, "JPEG", quality=QUALITY, icc_profile=None)
    return file.getvalue()


def write_dzi(record: SlideRecord, tiles_url: str) -> bytes:
    """Describe the tiles of a slide as a DeepZoom image; viewers fetch them below ``tiles_url``."""
    attributes = {"TileSize": str(record.tile_px), "Overlap": str(record.overlap_px), "Format": "jpg"}
    image = Element("Image", attributes, xmlns="http://schemas.microsoft.com/deepzoom/2008", Url=tiles_url)
    SubElement(image, "Size", Width=str(record.levels[0].width), Height=str(record.levels[0].height))
    return tostring(image, encoding="utf-8", xml_declaration=True)


def _read_reduced(slide: AbstractSlide, place: Size, level: int, size: Size, wanted: Size) -> Image.Image:
    """Read a region and make it smaller, holding no more than a block of it at a time.

    ``place`` is in pixels of level 0, ``size`` in those of the level.
    """
    if size[0] * size[1] > MOST_SOURCE_PX:
        raise InvalidRequest("This slide has no levels small enough to be shown like this: look at a smaller part.")
    factor = max(1, min(size[0] // wanted[0], size[1] // wanted[1], 128) // 2)  # the rest is for the better filter
    if max(size) <= BLOCK_PX or factor == 1:
        picture = _read_rgb(slide, place, level, size)
    else:
        picture = Image.new("RGB", (-(-size[0] // factor), -(-size[1] // factor)))
        step, by = BLOCK_PX - BLOCK_PX % factor, slide.level_downsamples[level]
        for top in range(0, size[1], step):
            for left in range(0, size[0], step):
                block = min(step, size[0] - left), min(step, size[1] - top)
                corner = place[0] + round(left * by), place[1] + round(top * by)
                picture.paste(_read_rgb(slide, corner, level, block).reduce(factor), (left // factor, top // factor))
    return picture if picture.size == wanted else picture.resize(wanted, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _read_rgb(slide: AbstractSlide, place: Size, level: int, size: Size) -> Image.Image:
    try:
        region = slide.read_region(place, level, size)
    except OpenSlideError as error:
        raise InvalidRequest("A part of this slide cannot be read: its file is damaged there.") from error
    if region.getchannel("A").getextrema() == (255, 255):
        return region.convert("RGB")
    background = Image.new("RGB", size, f"#{slide.properties.get(PROPERTY_NAME_BACKGROUND_COLOR, 'ffffff')}")
    background.paste(region, None, region)
    return background
