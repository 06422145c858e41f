"""The cleaning of a slide, whatever its format."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aurelius_deidentify.media_types import MIRAX, OME
from aurelius_deidentify.slides.mirax_cleaning import MiraxPlan, plan_mirax
from aurelius_deidentify.slides.pyramid import Kind
from aurelius_deidentify.slides.tiff import is_tiff
from aurelius_deidentify.slides.tiff_cleaning import CleaningPlan, plan_tiff
from aurelius_deidentify.slides.verification import check_copy, find_vendor, opens

MEDIA_TYPES = {
    Kind.APERIO: "image/x-aperio-svs",
    Kind.NDPI: "image/x-hamamatsu-ndpi",
    Kind.OME: OME,
    Kind.GENERIC: "image/tiff",
}
MAKERS = {"image/x-aperio-svs": "Aperio", "image/x-hamamatsu-ndpi": "Hamamatsu", MIRAX: "3DHISTECH"}


@dataclass(frozen=True)
class SlidePlan:
    """A slide that was understood, and how its clean copy is made.

    Parameters
    ----------
    path
        The slide: a TIFF file, or the ``.mrxs`` file of a folder.
    media_type
        Of the clean copy.
    width, height
        Of the scan at full resolution, in pixels.
    identifiers
        Identifying texts found in the slide, none of which may be found in the copy.
    """

    path: Path
    media_type: str
    width: int
    height: int
    identifiers: frozenset[str]
    _plan: CleaningPlan | MiraxPlan
    _openable: bool

    @property
    def Manufacturer(self) -> str:
        """Who made the scanner, as far as the format tells."""
        return MAKERS.get(self.media_type, "Unknown")

    def write(self, target: Path) -> None:
        """Write the clean copy and open it once; an MRXS becomes one uncompressed zip.

        Raises
        ------
        NotDeidentifiable
            If the source is cut off, or the copy is not the same slide.
        """
        self._plan.write(target)
        if not self._openable:
            return
        if self.media_type != MIRAX:
            check_copy(self.path, target)
            return
        with unpack_slide(target) as copy:
            check_copy(self.path, copy)


def plan_slide(path: Path) -> SlidePlan | None:
    """Plan the clean copy of a slide; None if the file is not a slide.

    Raises
    ------
    NotDeidentifiable
        If it is one, but damaged or of a format that cannot be cleaned.
    """
    if path.suffix.lower() == ".mrxs":  # its content says nothing: the folder beside it does
        mirax = plan_mirax(path)
        return SlidePlan(path, MIRAX, mirax.width, mirax.height, frozenset(mirax.identifiers), mirax, True)
    with path.open("rb") as file:
        if not is_tiff(file.read(4)):
            return None
    tiff = plan_tiff(path)
    if tiff is None:
        find_vendor(path)  # a format of slides that this looks like a picture to
        return None
    openable = find_vendor(path) is not None and (tiff.kind not in (Kind.GENERIC, Kind.OME) or opens(path))
    return SlidePlan(path, MEDIA_TYPES[tiff.kind], tiff.width, tiff.height, frozenset(tiff.identifiers), tiff, openable)


@contextmanager
def unpack_slide(archive: Path) -> Iterator[Path]:
    """Unpack a stored MRXS beside its archive for as long as it is looked at; yields the ``.mrxs`` file."""
    with tempfile.TemporaryDirectory(prefix=".slide-", dir=archive.parent) as folder:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
        yield Path(folder, "slide.mrxs")
