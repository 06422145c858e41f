"""Opening the slides that the catalog holds, where they lie."""

from __future__ import annotations

import tempfile
import weakref
import zipfile
from collections.abc import Sequence
from pathlib import Path

from openslide import OpenSlide, OpenSlideError

from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.local import LocalStore
from aurelius_catalog.media import MIRAX, is_slide
from aurelius_catalog.model import InstanceRecord
from aurelius_catalog.slides.dicom import SLIDE_CLASS
from aurelius_catalog.store import Store


def open_slide(store: Store, instances: Sequence[InstanceRecord]) -> OpenSlide:
    """Open the slide of a series: a slide file, or a DICOM slide, whose levels lie in one folder.

    Raises
    ------
    InvalidRequest
        If there is none, OpenSlide does not know it, or it is not on this machine.
    """
    slides = [each for each in instances if is_slide(each.media_type) or each.SOPClassUID == SLIDE_CLASS]
    if not slides:
        raise InvalidRequest("This series is no slide: `series.record.Modality` says what it is.")
    if not isinstance(store, LocalStore):
        raise InvalidRequest(
            "Slides can be opened only where the catalog's files are. `series.read_files()` fetches a whole slide."
        )
    path, media_type = store.find_file(max(slides, key=lambda each: each.size_bytes).SOPInstanceUID)
    try:
        return _open_mirax(path) if media_type == MIRAX else OpenSlide(path)
    except OpenSlideError as error:
        raise InvalidRequest("OpenSlide does not know this kind of slide: read it with tifffile.") from error


def _open_mirax(archive: Path) -> OpenSlide:
    """Unpack a stored MRXS for as long as the slide is held: it is a folder to its reader."""
    folder = tempfile.TemporaryDirectory(prefix="aurelius-slide-")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder.name)
    slide = OpenSlide(Path(folder.name, "slide.mrxs"))
    weakref.finalize(slide, folder.cleanup)
    return slide
