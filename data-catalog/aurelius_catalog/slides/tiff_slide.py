"""TIFF pyramids in codecs or layouts that OpenSlide does not know, read with tifffile."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile
import zarr
from openslide import PROPERTY_NAME_MPP_X, PROPERTY_NAME_MPP_Y, PROPERTY_NAME_VENDOR

from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.slides.array_slide import ArraySlide, Pixels, find_white, to_rgba

#: Pixels along each side from which the brightness of a slide of more than 8 bits is measured.
SAMPLED_PX = 4096
#: Micrometres in a unit of length as OME-XML and as TIFF (tag 296) name it.
_OME_UNITS = {"nm": 0.001, "µm": 1.0, "mm": 1000.0, "cm": 10_000.0}
_TIFF_UNITS = {2: 25_400.0, 3: 10_000.0}


class TiffSlide(ArraySlide):
    """A TIFF pyramid; its pixels are grey or colour, the levels those that tifffile finds.

    Raises
    ------
    InvalidRequest
        If its pixels have more axes than rows, columns and colours.
    """

    def __init__(self, path: Path) -> None:
        tiff = tifffile.TiffFile(path)  # closed with the slide: its levels are read for as long as it is held
        scan = tiff.series[0]
        if scan.axes not in ("YX", "YXS"):
            raise InvalidRequest(
                f"This slide has the axes {scan.axes}, which is more than one picture: read it with tifffile."
            )
        sizes = [(level.shape[1], level.shape[0]) for level in scan.levels]
        super().__init__(sizes, {PROPERTY_NAME_VENDOR: "ome-tiff" if tiff.is_ome else "tiff", **_find_mpp(tiff)})
        self._tiff = tiff
        self._arrays = [zarr.open_array(scan.aszarr(level=level), mode="r") for level in range(len(sizes))]

    def close(self) -> None:
        """Close the file."""
        self._tiff.close()

    def read_pixels(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Read ``(height, width, 4)`` uint8 RGBA of a level; x and y are its pixels."""
        pixels = np.asarray(self._arrays[level][y : y + height, x : x + width])
        return to_rgba(pixels, self._white)

    @cached_property
    def _white(self) -> float:
        coarsest = self._arrays[-1]
        part = [slice(0, SAMPLED_PX) for _ in coarsest.shape[:2]]
        return 255.0 if coarsest.dtype == np.uint8 else find_white(np.asarray(coarsest[tuple(part)]))


def _find_mpp(tiff: tifffile.TiffFile) -> dict[str, str]:
    """Return micrometres per pixel as properties, from OME-XML or the resolution of the first page."""
    sizes = _read_ome(tiff.ome_metadata or "") if tiff.is_ome else None
    if sizes is None:
        tags = tiff.pages[0].tags  # type: ignore[union-attr]
        unit = _TIFF_UNITS.get(int(tags[296].value) if 296 in tags else 0)
        values = [tags[code].value for code in (282, 283) if code in tags]
        if unit is None or len(values) != 2 or not all(numerator and denominator for numerator, denominator in values):
            return {}
        sizes = tuple(unit * denominator / numerator for numerator, denominator in values)
    return {PROPERTY_NAME_MPP_X: str(sizes[0]), PROPERTY_NAME_MPP_Y: str(sizes[1])}


def _read_ome(text: str) -> tuple[float, ...] | None:
    try:
        pixels = ElementTree.fromstring(text).find(".//{*}Pixels")  # noqa: S314 - cleaned before it was stored
    except ElementTree.ParseError:
        return None
    if pixels is None:
        return None
    sizes = []
    for name in ("PhysicalSizeX", "PhysicalSizeY"):
        unit = _OME_UNITS.get(pixels.get(f"{name}Unit", "µm"))
        if unit is None or not (size := pixels.get(name)):
            return None
        sizes.append(float(size) * unit)
    return tuple(sizes)
