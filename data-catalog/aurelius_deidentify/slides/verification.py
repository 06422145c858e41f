"""The verification of a clean copy: OpenSlide opens it as it opens the source."""

from __future__ import annotations

from pathlib import Path

from openslide import OpenSlide, OpenSlideError

from aurelius_deidentify.errors import NotDeidentifiable

#: Formats that OpenSlide knows by these names and this package can clean.
CLEANABLE = frozenset({"aperio", "hamamatsu", "generic-tiff", "mirax"})
#: The one associated picture a clean slide may have: the scan made small.
ALLOWED = frozenset({"thumbnail"})


def find_vendor(path: Path) -> str | None:
    """Return OpenSlide's name for a format; None if it does not open such files.

    Raises
    ------
    NotDeidentifiable
        If it is one that cannot be cleaned yet.
    """
    vendor: str | None = OpenSlide.detect_format(path)
    if vendor is not None and vendor not in CLEANABLE:
        raise NotDeidentifiable(
            f"A slide in the format {vendor!r} cannot be cleaned yet: export it as SVS, NDPI, MRXS or pyramidal TIFF."
        )
    return vendor


def check_copy(source: Path, copy: Path) -> None:
    """Make sure that OpenSlide opens the copy as it opens the source, and finds no picture of the glass in it.

    The copy may have fewer levels: a label can pass for one.

    Raises
    ------
    NotDeidentifiable
        If the copy is not the same slide.
    """
    try:
        with OpenSlide(source) as before, OpenSlide(copy) as after:
            same = before.dimensions == after.dimensions and set(after.level_dimensions) <= set(before.level_dimensions)
            pictures = set(after.associated_images) - ALLOWED
    except OpenSlideError:
        raise NotDeidentifiable("The slide is damaged: it, or its clean copy, cannot be opened.") from None
    if not same or pictures:
        raise NotDeidentifiable("The slide could not be cleaned with certainty: its copy differs. Export it anew.")


def opens(path: Path) -> bool:
    """Whether OpenSlide opens a slide; pyramids in codecs it does not know are slides to others."""
    try:
        OpenSlide(path).close()
    except OpenSlideError:
        return False
    return True
