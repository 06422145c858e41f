"""The fast decoders of compressed frames, which let other threads run, for encodings where they are known to be right.

All are in imagecodecs (libjpeg-turbo, OpenJPEG, CharLS, libjxl). What they do not decode to the header's own
shape and dtype is left to pydicom; both give the same numbers (the tests compare them).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from aurelius_catalog.records import InstanceRecord

Pixels = NDArray[Any]
#: PS3.5 section 10.19 and PS3.6 Annex A; pydicom does not know them yet.
JPEGXLLossless, JPEGXLJPEGRecompression, JPEGXL = (f"1.2.840.10008.1.2.4.{number}" for number in (110, 111, 112))
DeflatedImageFrame = "1.2.840.10008.1.2.8.1"

_JPEG = {JPEGBaseline8Bit, JPEGExtended12Bit}
_LOSSLESS_JPEG = {JPEGLossless, JPEGLosslessSV1}
_JPEG_LS = {JPEGLSLossless, JPEGLSNearLossless}
_JPEG_2000 = {JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K}
_JPEG_XL = {JPEGXLLossless, JPEGXLJPEGRecompression, JPEGXL}
#: What pydicom cannot decode at all.
ONLY_HERE = frozenset({*_JPEG_XL, DeflatedImageFrame})
#: Colour spaces that the decoders themselves turn into RGB.
_COLOURS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_JPEG, ("YBR_FULL", "YBR_FULL_422")),
    **dict.fromkeys(_LOSSLESS_JPEG | _JPEG_LS | {RLELossless, DeflatedImageFrame}, ("RGB",)),
    **dict.fromkeys(_JPEG_2000, ("RGB", "YBR_RCT", "YBR_ICT")),
    **dict.fromkeys(_JPEG_XL, ("RGB", "YBR_FULL_422", "YBR_FULL", "XYB")),
}


def decode_compressed_frame(data: bytes, instance: InstanceRecord) -> Pixels | None:
    """Decode one compressed frame.

    Returns
    -------
    numpy.ndarray or None
        ``(rows, columns)`` or ``(rows, columns, samples)``, stored values, RGB where it is colour, dtype as the
        header says; None where another decoder is needed.
    """
    syntax, samples = instance.TransferSyntaxUID, instance.SamplesPerPixel or 1
    if instance.BitsAllocated == 1:
        return decode_bits(data, syntax, instance.Rows or 0, instance.Columns or 0)
    decode = _DECODERS.get(syntax)
    if decode is None or (samples > 1 and instance.PhotometricInterpretation not in _COLOURS[syntax]):
        return None
    try:
        pixels = decode(data, instance)
    except (RuntimeError, ValueError, struct.error, zlib.error):
        return None
    shape = (instance.Rows, instance.Columns) if samples == 1 else (instance.Rows, instance.Columns, samples)
    return _fit(pixels, instance) if pixels.shape == shape else None


def decode_bits(data: bytes, TransferSyntaxUID: str, rows: int, columns: int) -> NDArray[np.uint8] | None:
    """Decode one compressed frame of one bit per pixel.

    In RLE a pixel of less than a byte fills one (PS3.5 G.2); some writers packed eight into each, as deflated frames
    do (PS3.5 A.4.10). The number of bytes tells the two apart.

    Returns
    -------
    numpy.ndarray or None
        ``(rows, columns)`` uint8, 0 or 1; None where the frame is damaged, or compressed otherwise.
    """
    try:
        if TransferSyntaxUID == RLELossless:
            count, start = struct.unpack_from("<2I", data)
            bytes_ = imagecodecs.packbits_decode(data[start:]) if count == 1 else b""
        elif TransferSyntaxUID == DeflatedImageFrame:
            bytes_ = zlib.decompress(data, -zlib.MAX_WBITS)
        else:
            return None
    except (RuntimeError, ValueError, struct.error, zlib.error):
        return None
    pixels, count = np.frombuffer(bytes_, np.uint8), rows * columns
    if len(pixels) < count and -(-count // 8) <= len(pixels) <= -(-count // 8) + 1:  # one more, to be even
        pixels = np.unpackbits(pixels, bitorder="little")
    return (pixels[:count].reshape(rows, columns) != 0).view(np.uint8) if len(pixels) >= count else None


def _fit(pixels: Pixels, instance: InstanceRecord) -> Pixels | None:
    """Give pixels the header's dtype; None where header and bit stream disagree."""
    size = max((instance.BitsAllocated or 8) // 8, 1)
    wanted = np.dtype(f"{'i' if instance.PixelRepresentation else 'u'}{size}")
    if pixels.dtype.kind == wanted.kind and pixels.dtype.itemsize <= size:
        return pixels.astype(wanted, copy=False)
    if pixels.dtype.kind == "u" and wanted.kind == "i" and instance.TransferSyntaxUID in _JPEG_LS | _LOSSLESS_JPEG:
        # Neither encoding has signs: the bits are those of a signed number of BitsStored bits.
        unused = size * 8 - (instance.BitsStored or size * 8)
        return (pixels.astype(f"u{size}") << unused).view(wanted) >> unused
    return None


def _decode_rle(data: bytes, instance: InstanceRecord) -> Pixels:
    """Decode PS3.5 Annex G: one PackBits segment for each byte of each sample, the most significant first."""
    count, *starts = struct.unpack_from("<16I", data)
    samples, size = instance.SamplesPerPixel or 1, (instance.BitsAllocated or 8) // 8
    if not size or count != samples * size:
        raise ValueError("other segments than the header says")
    rows, columns = instance.Rows or 0, instance.Columns or 0
    planes = np.empty((rows * columns, samples, size), np.uint8)
    for segment, (start, stop) in enumerate(zip(starts, [*starts[1:count], len(data)], strict=False)):
        sample, byte = divmod(segment, size)
        plane = np.frombuffer(imagecodecs.packbits_decode(data[start:stop]), np.uint8)
        if len(plane) < len(planes):
            raise ValueError("a segment that ends too early")
        planes[:, sample, size - 1 - byte] = plane[: len(planes)]
    return _shape(planes, instance)


def _inflate(data: bytes, instance: InstanceRecord) -> Pixels:
    rows, columns, samples = instance.Rows or 0, instance.Columns or 0, instance.SamplesPerPixel or 1
    size = (instance.BitsAllocated or 8) // 8
    if not size or instance.PlanarConfiguration:
        raise ValueError("bits, or colour by plane")
    wanted = rows * columns * samples * size
    return _shape(np.frombuffer(zlib.decompress(data, -zlib.MAX_WBITS)[:wanted], np.uint8), instance)


def _shape(little_endian: NDArray[np.uint8], instance: InstanceRecord) -> Pixels:
    kind = f"<{'i' if instance.PixelRepresentation else 'u'}{(instance.BitsAllocated or 8) // 8}"
    shape = [instance.Rows or 0, instance.Columns or 0]
    shape += [instance.SamplesPerPixel] if (instance.SamplesPerPixel or 1) > 1 else []  # type: ignore[list-item]
    return little_endian.reshape(-1).view(kind).reshape(shape)


_DECODERS: dict[str, Callable[[bytes, InstanceRecord], Pixels]] = {
    **dict.fromkeys(_JPEG | _LOSSLESS_JPEG, lambda data, _: imagecodecs.jpeg8_decode(data)),
    **dict.fromkeys(_JPEG_LS, lambda data, _: imagecodecs.jpegls_decode(data)),
    # OpenJPEG's, for high throughput too: imagecodecs' decoder of HTJ2K was not right for colour.
    **dict.fromkeys(_JPEG_2000, lambda data, _: imagecodecs.jpeg2k_decode(data)),
    **dict.fromkeys(_JPEG_XL, lambda data, _: imagecodecs.jpegxl_decode(data)),
    RLELossless: _decode_rle,
    DeflatedImageFrame: _inflate,
}
