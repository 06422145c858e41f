"""The judge of an object's pixels: by rule where that is certain, else by reading the text in them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from aurelius_deidentify.errors import InvalidRequest, NotDeidentifiable
from aurelius_deidentify.pixels import rules
from aurelius_deidentify.pixels.ocr import Reader, blank
from aurelius_deidentify.pixels.rendering import (
    Picture,
    choose_frames,
    count_frames,
    iter_frames,
    make_pictures,
    open_pixels,
    to_bytes,
)
from aurelius_deidentify.pixels.text_search import TextSearch
from aurelius_deidentify.pixels.verdict import MaskRegion, PixelVerdict, Word
from aurelius_deidentify.pixels.words import IdentifierMatcher, cover_words, join_regions

#: All looks at one object together.
LIMIT_S = 120.0
#: More words than this are a page; an ultrasound's screen may hold some more.
MOST_WORDS, MOST_WORDS_ULTRASOUND = 45, 90
LARGEST_MASKED_PART = 0.4
#: Where an ultrasound does not say where its image lies, names stand in this upper part of the screen.
HEADER_PART = 0.12
#: A page: this part of it is paper.
PAPER_PART, PAPER_LEVEL = 0.7, 225
PIXEL_DATA = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")
CLEAN = PixelVerdict("clean", "No text was found in the pixels.", method="ocr")


def judge_pixels(original: Dataset, source: bytes, identifiers: Collection[str]) -> PixelVerdict:
    """Decide whether text is burned into the pixels of an object.

    Parameters
    ----------
    original
        The identified header, without pixels; ordinary objects are decided by it within microseconds.
    source
        The Part 10 file as it came; decoded only where the header does not decide.
    identifiers
        Identifying values of this patient: a word that resembles one is taken for it, however badly it was read.

    Returns
    -------
    PixelVerdict
        ``person`` whenever it cannot be decided; this function raises nothing on account of the object.
    """
    verdict = rules.judge_header(original)
    if verdict is rules.NO_PIXELS and any(tag in source for tag in PIXEL_DATA):
        return PixelVerdict("person", "There are pixels, but the header does not say how many rows they have.")
    if verdict is not None:
        return verdict
    try:
        return _judge_image(original, source, identifiers)
    except NotDeidentifiable as error:
        return PixelVerdict("person", str(error), method="ocr")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # An error about a malformed header may quote the header.
        return PixelVerdict("person", f"The pixels could not be judged ({type(error).__name__}).", method="ocr")


def _judge_image(original: Dataset, source: bytes, identifiers: Collection[str]) -> PixelVerdict:
    dataset = open_pixels(source)
    if "PixelData" not in dataset:
        return rules.NO_PIXELS
    views = make_views(dataset)
    if all(is_page(view) for view in views) and not rules.is_ultrasound(original):
        return PixelVerdict("person", "It looks like a sheet of paper or a page of text.", method="ocr")
    search = TextSearch(Reader(LIMIT_S), identifiers, measured=rules.is_measured(original))
    words = search.find_words(views)
    rows, columns = views[0].shape
    if not words:
        return _judge_silence(original)
    screen = read_content_region(original, columns, rows) if rules.is_ultrasound(original) else None
    regions = cover_words(words, columns, rows)
    if screen is not None:
        regions = join_regions([*regions, *_cover_header(regions, screen, columns)])
    left = search.find_words([blank(views[0], regions)], again=True)
    if left:  # what stood in the shadow of larger words is seen once they are gone
        words += left
        regions = join_regions([*regions, *cover_words(left, columns, rows)])
    return _decide(words, regions, (columns, rows), screen is not None, identifiers)


def _judge_silence(original: Dataset) -> PixelVerdict:
    if rules.states_burned_in(original):
        return PixelVerdict("person", "The header says that text is burned in, but none could be read.", method="ocr")
    if rules.hides_overlay(original):
        return rules.HIDDEN
    return CLEAN


def _decide(
    words: list[Word],
    regions: tuple[MaskRegion, ...],
    size: tuple[int, int],
    ultrasound: bool,
    identifiers: Collection[str],
) -> PixelVerdict:
    columns, rows = size
    masked = np.zeros((rows, columns), bool)
    for region in regions:
        masked[region.y : region.bottom, region.x : region.right] = True
    own = any(IdentifierMatcher(identifiers).matches(word.text) for word in words)
    lines = len({(word.region.x // 8, word.region.y // 8) for word in words})
    if lines > (MOST_WORDS_ULTRASOUND if ultrasound else MOST_WORDS) or masked.mean() > LARGEST_MASKED_PART:
        return PixelVerdict("person", "So much text that it may be a page.", regions, tuple(words), "ocr")
    whose = ", some of it the patient's own data" if own else ""
    return PixelVerdict("mask", f"Text was found in the pixels{whose}.", regions, tuple(words), "ocr")


def make_views(dataset: Dataset) -> list[Picture]:
    """Return the pictures to read: of one frame; or of a cine's first and, over all its frames, brightest pixels.

    Each is (rows, columns) uint8.

    Raises
    ------
    NotDeidentifiable
        If a frame cannot be decoded.
    """
    count = count_frames(dataset)
    indices = choose_frames(count)
    brightest: NDArray[Any] | None = None
    chosen: list[NDArray[Any]] = []
    for index, frame in zip(indices, iter_frames(dataset, indices), strict=True):
        if index in (0, count // 2, count - 1) or len(indices) < 3:
            chosen.append(frame)
        brightest = frame.copy() if brightest is None else np.maximum(brightest, frame)
    if not chosen or brightest is None:
        raise NotDeidentifiable("There is not one frame in the pixel data. A person must decide.")
    if count > 1:
        chosen.append(brightest)
    # What is burned in stands still: of the further frames one picture each will do.
    return _drop_repeated(make_pictures(chosen[0]) + [make_pictures(frame)[0] for frame in chosen[1:]])


def is_page(picture: Picture) -> bool:
    """Whether most of a picture, (rows, columns) uint8, is as bright as paper, as scanned letters and pages are."""
    if min(picture.shape) < 100:
        return False
    light = to_bytes(picture)
    return bool((light >= PAPER_LEVEL).mean() > PAPER_PART)


def read_content_region(original: Dataset, columns: int, rows: int) -> MaskRegion:
    """Return where on an ultrasound's screen the image is (PS3.3 C.8.5.5.1), or what lies below a usual header."""
    regions = []
    for item in original.get("SequenceOfUltrasoundRegions") or []:
        try:
            x, y = int(item.RegionLocationMinX0), int(item.RegionLocationMinY0)
            regions.append(MaskRegion(x, y, int(item.RegionLocationMaxX1) - x, int(item.RegionLocationMaxY1) - y))
        except (AttributeError, TypeError, ValueError, ArithmeticError, InvalidRequest):
            continue  # a region without place or area says nothing
    if regions:
        joined = regions[0]
        for region in regions[1:]:
            joined = joined.join(region)
        if joined.y > 0:
            return joined
    top = max(round(rows * HEADER_PART), 1)
    return MaskRegion(0, top, columns, max(rows - top, 1))


def _cover_header(regions: tuple[MaskRegion, ...], screen: MaskRegion, columns: int) -> list[MaskRegion]:
    """Return the strip above an ultrasound's image, as deep as the text in it reaches; none if it is empty."""
    depth = max((min(region.bottom, screen.y) for region in regions if region.y < screen.y), default=0)
    return [MaskRegion(0, 0, columns, depth)] if depth else []


def _drop_repeated(pictures: list[Picture]) -> list[Picture]:
    kept: list[Picture] = []
    for picture in pictures:
        if not any(np.array_equal(picture, other) for other in kept):
            kept.append(picture)
    return kept
