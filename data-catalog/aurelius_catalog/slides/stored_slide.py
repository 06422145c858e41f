"""The slide of a series, opened where its files lie, with the first reader that knows its format."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path

from openslide import AbstractSlide, OpenSlide, OpenSlideError

from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.records import InstanceRecord
from aurelius_catalog.slides.frame_slide import FrameSlide
from aurelius_catalog.slides.unpacking import unpack
from aurelius_deidentify.media_types import DICOM, MIRAX, OME, is_slide
from aurelius_deidentify.slides.dicom_slides import ASSOCIATED_KINDS, SLIDE_CLASS


def choose_instances(instances: Sequence[InstanceRecord]) -> list[InstanceRecord]:
    """Return what a slide consists of, the largest file first: one slide file, or the levels of a DICOM slide.

    Raises
    ------
    InvalidRequest
        If the series is no slide.
    """
    slides = [each for each in instances if is_slide(each.media_type) or _is_level(each)]
    if not slides:
        raise InvalidRequest("This series is no slide: `series.record.Modality` says what it is.")
    return sorted(slides, key=lambda each: each.size_bytes, reverse=True)


def open_files(folder: Path, chosen: Sequence[InstanceRecord]) -> AbstractSlide:
    """Open what `choose_instances` chose, without asking for rights, with the first reader that knows it.

    Parameters
    ----------
    folder
        The catalog's files.
    chosen
        What the slide consists of.

    Raises
    ------
    InvalidRequest
        If nothing here reads this kind of slide.
    """
    path, media_type = folder / chosen[0].path, chosen[0].media_type
    try:
        if media_type == MIRAX:
            return _open_mirax(path)
        if media_type == OME:  # OpenSlide opens it, and does not see its lower levels
            return _open_tiff(path)
        return OpenSlide(path)
    except OpenSlideError:
        return FrameSlide(folder, chosen) if media_type == DICOM else _open_tiff(path)


def _open_tiff(path: Path) -> AbstractSlide:
    from aurelius_catalog.slides.tiff_slide import TiffSlide  # few slides need it

    try:
        return TiffSlide(path)
    except (ValueError, OSError, KeyError) as error:
        raise InvalidRequest("Nothing here reads this slide: it may be damaged.") from error


def _is_level(instance: InstanceRecord) -> bool:
    if instance.SOPClassUID != SLIDE_CLASS:
        return False
    kinds = str((instance.per_frame.get("ImageType") or [""])[0]).split("\\")
    return not ASSOCIATED_KINDS.intersection(kinds)


def _open_mirax(archive: Path) -> OpenSlide:
    """Unpack a stored MRXS for as long as the slide is held: it is a folder to its reader."""
    folder, remove = unpack(archive)
    try:
        slide = OpenSlide(folder / "slide.mrxs")
    except BaseException:
        remove()
        raise
    weakref.finalize(slide, remove)
    return slide
