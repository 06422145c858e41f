"""Slide files as the DICOM slides they would be (PS3.3 section A.32.8), so that DICOMweb viewers show them as well.

Each level is an instance of VL Whole Slide Microscopy Image Storage whose tiles are made when they are asked for. Its
UID is made of that of the slide file, so it is the same at every time and in every process.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PIL import Image
from pydicom import Dataset
from pydicom.uid import JPEGBaseline8Bit

from aurelius_catalog.dicom.json_header import make_header
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import InstanceRecord, SeriesRecord
from aurelius_catalog.slides.open_slides import OpenedSlide
from aurelius_catalog.slides.placement import place_file
from aurelius_catalog.slides.tiles import encode_jpeg, read_region
from aurelius_deidentify.media_types import DICOM
from aurelius_deidentify.slides.dicom_slides import SLIDE_CLASS, make_level_uid

TILE_PX = 512
#: The media type of such levels in their records; nothing is stored under it.
LEVEL = f"{DICOM}; slide-level"
#: UIDs of levels that this process has listed: a request for one does not mean a stored instance.
_LISTED: set[str] = set()
_MOST_LISTED = 100_000
#: Attributes that all levels share.
_ALIKE: Mapping[str, Any] = {
    "SOPClassUID": str(SLIDE_CLASS),
    "TransferSyntaxUID": str(JPEGBaseline8Bit),
    "Rows": TILE_PX,
    "Columns": TILE_PX,
    "SamplesPerPixel": 3,
    "PhotometricInterpretation": "YBR_FULL_422",
    "PlanarConfiguration": 0,
    "BitsAllocated": 8,
    "BitsStored": 8,
    "PixelRepresentation": 0,
    "media_type": LEVEL,
}


def list_levels(store: LocalStore, series: SeriesRecord) -> list[InstanceRecord]:
    """Return a record for each level of a slide file, finest first; empty unless the series is a slide file.

    The audit log records that the person reads the series.
    """
    if series.Modality != "SM" or series.n_frames:
        return []
    opened = store.take_slide(series.SeriesInstanceUID)
    held = opened.instances[0]
    if held.media_type == DICOM:
        return []
    return make_levels(held, opened.slide.level_dimensions)


def make_levels(held: InstanceRecord, sizes: Iterable[tuple[int, int]]) -> list[InstanceRecord]:
    """Make a record for each level of the slide file ``held``, of which ``sizes`` are (columns, rows), finest first."""
    levels = [_make_record(held, number, *size) for number, size in enumerate(sizes)]
    if len(_LISTED) > _MOST_LISTED:
        _LISTED.clear()
    _LISTED.update(level.SOPInstanceUID for level in levels)
    return levels


def is_listed(SOPInstanceUID: str) -> bool:
    """Whether this process has listed a level by this UID."""
    return SOPInstanceUID in _LISTED


def list_level_headers(store: LocalStore, series: SeriesRecord) -> dict[str, str]:
    """Return the headers of the levels of a slide file as DICOM JSON text, by SOPInstanceUID."""
    levels = list_levels(store, series)
    if not levels:
        return {}
    opened = store.take_slide(series.SeriesInstanceUID)
    (text,) = store.list_headers(series.SeriesInstanceUID, opened.instances[0].SOPInstanceUID).values()
    held = json.loads(text)
    return {
        level.SOPInstanceUID: json.dumps(dict(sorted({**held, **make_header(_describe(opened, level, at))}.items())))
        for at, level in enumerate(levels)
    }


def read_tiles(store: LocalStore, level: InstanceRecord, indices: Sequence[int]) -> list[bytes]:
    """Make frames of a level as JPEG: its tiles, row by row; those at the borders are filled up with background.

    Parameters
    ----------
    level
        As `list_levels` makes it; its InstanceNumber is that of the level, from 1.
    indices
        Positions of the frames, from 0.
    """
    opened = store.take_slide(level.SeriesInstanceUID)
    number = (level.InstanceNumber or 1) - 1
    columns = -(-opened.record.levels[number].width // TILE_PX)
    places = [(index % columns * TILE_PX, index // columns * TILE_PX) for index in indices]
    regions = (read_region(opened.slide, number, x, y, TILE_PX, TILE_PX) for x, y in places)
    return [encode_jpeg(Image.fromarray(region)) for region in regions]


def _make_record(held: InstanceRecord, number: int, width: int, height: int) -> InstanceRecord:
    return InstanceRecord(
        SOPInstanceUID=make_level_uid(held.SOPInstanceUID, number),
        SeriesInstanceUID=held.SeriesInstanceUID,
        InstanceNumber=number + 1,
        path=held.path,
        sha256=held.sha256,
        size_bytes=held.size_bytes,
        NumberOfFrames=-(-width // TILE_PX) * -(-height // TILE_PX),
        **_ALIKE,
    )


def _describe(opened: OpenedSlide, record: InstanceRecord, number: int) -> Dataset:
    """Return the attributes of a level's header that differ from the slide file's own."""
    slide, level = opened.record, opened.record.levels[number]
    (by_x, by_y), (finest_x, finest_y) = slide.scale(number), (slide.mpp_x or 1.0, slide.mpp_y or 1.0)
    header = Dataset()
    for name in ("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "NumberOfFrames"):
        setattr(header, name, getattr(record, name))
    for name in ("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "PixelRepresentation"):
        setattr(header, name, getattr(record, name))
    header.BitsAllocated, header.BitsStored, header.HighBit = 8, 8, 7
    header.AvailableTransferSyntaxUID = JPEGBaseline8Bit
    header.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED" if number else "NONE"]
    header.LossyImageCompression, header.LossyImageCompressionMethod = "01", "ISO_10918_1"
    header.BurnedInAnnotation, header.SpecimenLabelInImage, header.VolumetricProperties = "NO", "NO", "VOLUME"
    header.FocusMethod, header.ExtendedDepthOfField = "AUTO", "NO"
    header.TotalPixelMatrixColumns, header.TotalPixelMatrixRows = level.width, level.height
    header.TotalPixelMatrixFocalPlanes, header.NumberOfOpticalPaths = 1, 1
    header.DimensionOrganizationType = "TILED_FULL"
    finest = slide.levels[0]
    header.ImagedVolumeWidth, header.ImagedVolumeHeight = (
        finest.width * finest_x / 1000,
        finest.height * finest_y / 1000,
    )
    header.ImagedVolumeDepth = 1.0
    origin, measures, shared, path, colour, light = (Dataset() for _ in range(6))
    placement = place_file(header.ImagedVolumeWidth, header.ImagedVolumeHeight)
    header.ImageOrientationSlide = list(placement.orientation)
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = placement.origin_mm
    header.TotalPixelMatrixOriginSequence = [origin]
    measures.PixelSpacing = [round(by_y * finest_y / 1000, 12), round(by_x * finest_x / 1000, 12)]
    measures.SliceThickness = 0.001
    shared.PixelMeasuresSequence = [measures]
    header.SharedFunctionalGroupsSequence = [shared]
    colour.CodeValue, colour.CodingSchemeDesignator, colour.CodeMeaning = "414298005", "SCT", "Full Spectrum"
    light.CodeValue, light.CodingSchemeDesignator, light.CodeMeaning = "111744", "DCM", "Brightfield illumination"
    path.OpticalPathIdentifier = "1"
    path.IlluminationColorCodeSequence, path.IlluminationTypeCodeSequence = [colour], [light]
    if slide.objective_power:
        path.ObjectiveLensPower = slide.objective_power
    header.OpticalPathSequence = [path]
    return header
