"""The mask: regions of an object's pixels made black, without changing a value outside them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.pixels import get_decoder
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, RLELossless

from aurelius_deidentify.errors import NotDeidentifiable
from aurelius_deidentify.pixels.rendering import count_frames
from aurelius_deidentify.pixels.rules import OVERLAY_BIT_POSITIONS
from aurelius_deidentify.pixels.verdict import MaskRegion

#: Transfer syntaxes that have lost something for good (PS3.5 annex A.4); others can be, and then say so themselves.
LOSSY = frozenset(f"1.2.840.10008.1.2.4.{end}" for end in (50, 51, 81))
LARGEST_DECODED_BYTES = 4 << 30
FAILED = "The regions cannot be blacked out: the pixels cannot be decoded ({})."


def mask_pixels(part10: bytes, regions: Iterable[MaskRegion]) -> bytes:
    """Return a Part 10 file whose pixels are black in the regions, in every frame.

    Native pixel data keeps its transfer syntax; compressed pixel data becomes RLE Lossless, so that values outside the
    regions stay exactly what the compressed ones decode to. Bits behind the stored value are cleared, and overlays
    that lay in them removed. BurnedInAnnotation becomes NO.

    Parameters
    ----------
    part10
        A whole file.
    regions
        May reach over the border of the image.

    Raises
    ------
    NotDeidentifiable
        If the pixels cannot be decoded or encoded; the message holds no value of the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            dataset = dcmread(BytesIO(part10))
            _blacken(dataset, tuple(regions))
            dataset.BurnedInAnnotation = "NO"
            target = BytesIO()
            implicit, little = dataset.file_meta.TransferSyntaxUID.is_implicit_VR, not _is_big_endian(dataset)
            dcmwrite(target, dataset, implicit_vr=implicit, little_endian=little, force_encoding=True)
    except NotDeidentifiable:
        raise
    except Exception as error:
        raise NotDeidentifiable(FAILED.format(type(error).__name__)) from None
    return target.getvalue()


def _blacken(dataset: Dataset, regions: tuple[MaskRegion, ...]) -> None:
    frames, interpretation = _decode(dataset)
    if int(dataset.BitsAllocated) == 1:
        raise NotDeidentifiable("The regions cannot be blacked out: the image has one bit for each pixel.")
    for frame in frames:
        shade = _choose_black(dataset, frame, interpretation)
        for region in regions:
            frame[region.y : region.bottom, region.x : region.right] = shade
    _drop_hidden_overlays(dataset)
    dataset.PhotometricInterpretation = interpretation
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax in LOSSY:
        dataset.LossyImageCompression = "01"
    if not syntax.is_encapsulated:
        _store_native(dataset, frames)
    elif frames.dtype.itemsize <= 2:
        _compress(dataset, frames)
    else:  # RLE knows 8 and 16 bits (PS3.5 section 8.2.2)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset["PixelData"].is_undefined_length = False
        _store_native(dataset, frames)


def _decode(dataset: Dataset) -> tuple[NDArray[Any], str]:
    """Return all frames, (frames, rows, columns[, samples]) stored values, and their photometric interpretation."""
    count = count_frames(dataset)
    size = count * int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel") or 1)
    if size * int(dataset.BitsAllocated) // 8 > LARGEST_DECODED_BYTES:
        raise NotDeidentifiable("The regions cannot be blacked out: the image is too large to decode at once.")
    decoder = get_decoder(UID(dataset.file_meta.TransferSyntaxUID))
    # Raw: without conversion to RGB, which would change every pixel by rounding.
    pixels, properties = decoder.as_array(dataset, raw=True)
    frames = pixels if count > 1 else pixels[np.newaxis]
    # Decoders give every pixel its own chrominance, as YBR_FULL has it.
    return np.array(frames), str(properties["photometric_interpretation"]).removesuffix("_422")


def _choose_black(dataset: Dataset, frame: NDArray[Any], interpretation: str) -> Any:
    """Return the stored value that is shown black; of grey values the frame's own extreme, so that windows stay."""
    if interpretation.startswith("YBR"):
        return np.array([0, 128, 128], frame.dtype)
    if interpretation == "RGB":
        return 0
    if interpretation == "PALETTE COLOR":
        return _find_darkest(dataset)
    return frame.max() if interpretation == "MONOCHROME1" else frame.min()


def _find_darkest(dataset: Dataset) -> int:
    """Return the number of the palette's darkest colour (PS3.3 C.7.6.3.1.5)."""
    entries, first, bits = (int(value) for value in dataset.RedPaletteColorLookupTableDescriptor)
    kind = np.uint16 if bits > 8 or len(dataset.RedPaletteColorLookupTableData) >= 2 * entries else np.uint8
    light = sum(
        np.frombuffer(dataset[f"{colour}PaletteColorLookupTableData"].value, kind)[:entries].astype(np.int64)
        for colour in ("Red", "Green", "Blue")
    )
    return first + int(np.argmin(light))


def _drop_hidden_overlays(dataset: Dataset) -> None:
    for position in OVERLAY_BIT_POSITIONS.intersection(dataset.keys()):
        group = position >> 16
        if (group, 0x3000) not in dataset:
            for tag in [tag for tag in dataset.keys() if tag >> 16 == group]:  # noqa: SIM118 - would decode elements
                del dataset[tag]


def _compress(dataset: Dataset, frames: NDArray[Any]) -> None:
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            del dataset[keyword]
    pixels = frames if len(frames) > 1 else frames[0]
    dataset.compress(RLELossless, np.ascontiguousarray(pixels), generate_instance_uid=False)


def _store_native(dataset: Dataset, frames: NDArray[Any]) -> None:
    VR = dataset["PixelData"].VR
    if frames.ndim == 4:
        dataset.PlanarConfiguration = 0
    values = frames.astype(frames.dtype.newbyteorder(">" if _is_big_endian(dataset) else "<"))
    data = values.tobytes()
    data += b"\0" * (len(data) % 2)
    if _is_big_endian(dataset) and VR == "OW" and frames.dtype.itemsize == 1:
        data = np.frombuffer(data, np.uint16).byteswap().tobytes()  # two pixels to a word (PS3.5 annex D)
    dataset["PixelData"].value = data


def _is_big_endian(dataset: Dataset) -> bool:
    return bool(dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian)
