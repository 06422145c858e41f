"""The pyramid of a slide file: the images that are the scan itself. Labels, macros and unknown images are not of it."""

from __future__ import annotations

from enum import StrEnum

from aurelius_deidentify.errors import NotDeidentifiable
from aurelius_deidentify.slides.descriptions import is_ome
from aurelius_deidentify.slides.tiff import NDPI_FLAG, TiffFile
from aurelius_deidentify.slides.tiff_layout import Directory

WIDTH, HEIGHT, COMPRESSION, DESCRIPTION = 256, 257, 259, 270
STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS = 273, 279, 324, 325
SUBFILE, SAMPLES, SOURCE_LENS = 254, 277, 65421
#: Words in a description that name a picture of the glass slide rather than of what lies on it.
ASSOCIATED = ("label", "macro", "overview", "barcode")


class Kind(StrEnum):
    """The formats that are understood well enough to be cleaned."""

    APERIO = "aperio"
    NDPI = "ndpi"
    OME = "ome"
    GENERIC = "generic"


def find_kind(tiff: TiffFile) -> Kind | None:
    """Return which kind of slide a TIFF file is; None if it is a picture and not a slide."""
    if not tiff.directories:
        return None
    first = tiff.directories[0]
    if NDPI_FLAG in first.entries:
        return Kind.NDPI
    if TILE_OFFSETS not in first.entries:
        return None
    text = tiff.read_text(first.entries.get(DESCRIPTION))
    if text.startswith("Aperio"):
        return Kind.APERIO
    return Kind.OME if is_ome(text) else Kind.GENERIC


def choose_directories(tiff: TiffFile, kind: Kind) -> dict[int, Directory]:
    """Return the directories that stay, by their number in the file.

    Raises
    ------
    NotDeidentifiable
        If the first one is not the scan: the file is not what it seems.
    """
    base = tiff.directories[0]
    chosen = {
        number: each
        for number, each in enumerate(tiff.directories)
        if (_is_lens(tiff, each) if kind is Kind.NDPI else is_level(tiff, each, base))
        or (kind is Kind.APERIO and number == 1 and _is_thumbnail(tiff, each, base))
    }
    if 0 not in chosen:
        raise NotDeidentifiable("The first image of the slide file is not the scan. Export the slide anew.")
    return chosen


def measure(tiff: TiffFile, directory: Directory) -> tuple[int, int]:
    """Return width and height in pixels.

    Raises
    ------
    NotDeidentifiable
        If the directory does not give them.
    """
    sizes = [tiff.read_integers(directory.entries.get(code)) for code in (WIDTH, HEIGHT)]
    if not all(len(size) == 1 and size[0] > 0 for size in sizes):
        raise NotDeidentifiable("An image of the slide file does not say how large it is. Export the slide anew.")
    return sizes[0][0], sizes[1][0]


def is_level(tiff: TiffFile, directory: Directory, base: Directory) -> bool:
    """Whether an image is the scan at some resolution: tiled, of its proportions, and not called anything else."""
    if TILE_OFFSETS not in directory.entries or _is_named(tiff, directory):
        return False
    return _has_proportions(tiff, directory, base)


def _is_thumbnail(tiff: TiffFile, directory: Directory, base: Directory) -> bool:
    """Whether the second image of an Aperio file is the scan made small, as its readers expect."""
    if tiff.read_integers(directory.entries.get(SUBFILE)) not in ((), (0,)) or _is_named(tiff, directory):
        return False
    return _has_proportions(tiff, directory, base)


def _is_lens(tiff: TiffFile, directory: Directory) -> bool:
    """Whether an image of an NDPI file was seen through a lens; -1 is the macro camera, -2 a map."""
    lens = tiff.read_numbers(directory.entries.get(SOURCE_LENS))
    return bool(lens and lens[0] > 0)


def _is_named(tiff: TiffFile, directory: Directory) -> bool:
    text = tiff.read_text(directory.entries.get(DESCRIPTION))
    head = "" if is_ome(text) else text.partition("|")[0].lower()
    return any(word in head for word in ASSOCIATED)


def _has_proportions(tiff: TiffFile, directory: Directory, base: Directory) -> bool:
    (width, height), (full_width, full_height) = measure(tiff, directory), measure(tiff, base)
    if width > full_width or height > full_height:
        return False
    # Levels are rounded to whole pixels, or cut to whole tiles.
    slack = 0.01 * width * full_height + 2 * max(full_width, full_height)
    return abs(width * full_height - height * full_width) <= slack
