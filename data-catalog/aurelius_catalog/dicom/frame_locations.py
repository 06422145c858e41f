"""The byte ranges of the frames in a DICOM file, and the decoding of their bytes.

Positions are found once, when a file enters the catalog, so that reading never parses a header.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from aurelius_catalog.dicom.decoders import ONLY_HERE, decode_compressed_frame
from aurelius_catalog.dicom.json_header import Header, read_number
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.records import InstanceRecord

PIXEL_TAGS = {(0x7FE0, 0x0010), (0x7FE0, 0x0008), (0x7FE0, 0x0009)}
ITEM = b"\xfe\xff\x00\xe0"
_NATIVE = frozenset(
    {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
)
UNDEFINED_LENGTH = 0xFFFFFFFF
Span = tuple[int, int]
Buffer = bytes | memoryview


def locate_frames(
    element: Buffer, at: int, header: Header, TransferSyntaxUID: str, read_table: Callable[[], bytes | None]
) -> tuple[Span, ...]:
    """Find the frames of a file.

    Parameters
    ----------
    element
        Its pixel data element, tag included; bytes after it do no harm. Empty without pixel data.
    at
        Where in the file the element begins.
    header
        Its header as DICOM JSON.
    TransferSyntaxUID
        From its file meta.
    read_table
        Returns its ExtendedOffsetTable, if it has one; called only where frames consist of several fragments.

    Returns
    -------
    tuple of (int, int)
        Offset and length in bytes of each frame. For encapsulated pixel data the span covers the frame's
        fragments with their item headers (PS3.5 A.4). Empty where frames do not lie on byte borders
        (1-bit segmentations), where the file is deflated as a whole, where bytes lie in big-endian words, and where
        there is no pixel data.
    """
    value = _find_value(element, TransferSyntaxUID)
    if value is None:
        return ()
    offset, length = value
    count = max(int(read_number(header, "NumberOfFrames") or 1), 1)
    if length == UNDEFINED_LENGTH:
        spans = _locate_encapsulated(element, offset, count, read_table)
        return tuple((at + start, size) for start, size in spans)
    numbers = [int(read_number(header, name) or 0) for name in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")]
    if TransferSyntaxUID == ExplicitVRBigEndian and numbers[3] == 8 and element[4:6] == b"OW":
        return ()  # pairs of bytes change places
    bits = prod(numbers)
    size = bits // 8
    if not bits or bits % 8 or numbers[3] == 1 or size * count > length:
        return ()
    return tuple((at + offset + index * size, size) for index in range(count))


def _find_value(element: Buffer, TransferSyntaxUID: str) -> Span | None:
    """Return offset and length of the value of a pixel data element."""
    order = ">" if TransferSyntaxUID == ExplicitVRBigEndian else "<"
    if TransferSyntaxUID == DeflatedExplicitVRLittleEndian or len(element) < 12:
        return None
    if struct.unpack_from(f"{order}HH", element) not in PIXEL_TAGS:
        return None
    at = 4 if TransferSyntaxUID == ImplicitVRLittleEndian else 8
    return at + 4, struct.unpack_from(f"{order}I", element, at)[0]


def _locate_encapsulated(
    element: Buffer, offset: int, count: int, read_table: Callable[[], bytes | None]
) -> tuple[Span, ...]:
    items = _walk_items(element, offset)
    if not items:
        return ()
    (table_at, table_length), fragments = items[0], items[1:]
    if count == 1 or len(fragments) == count:
        groups = [fragments] if count == 1 else [[fragment] for fragment in fragments]
        return tuple(_span(group) for group in groups if group)
    extended = read_table()
    if extended:
        starts = struct.unpack(f"<{len(extended) // 8}Q", extended)
    else:
        starts = struct.unpack_from(f"<{(table_length - 8) // 4}I", element, table_at + 8)
    if len(starts) != count:
        return ()
    first = table_at + table_length
    frames: list[list[Span]] = [[] for _ in starts]
    for fragment in fragments:
        frames[bisect_right(starts, fragment[0] - first) - 1].append(fragment)
    return tuple(_span(group) for group in frames) if all(frames) else ()


def _walk_items(element: Buffer, offset: int) -> list[Span]:
    """Return (offset, length) of every item of encapsulated pixel data, headers included."""
    items = []
    while element[offset : offset + 4] == ITEM and offset + 8 <= len(element):
        length = struct.unpack_from("<I", element, offset + 4)[0] + 8
        items.append((offset, length))
        offset += length
    return items


def _span(fragments: list[Span]) -> Span:
    last_offset, last_length = fragments[-1]
    return fragments[0][0], last_offset + last_length - fragments[0][0]


def is_encapsulated(TransferSyntaxUID: str) -> bool:
    """Whether frames are kept as fragments with item headers; so it is in all encodings but a few (PS3.5 Annex A)."""
    return TransferSyntaxUID not in _NATIVE


def strip_items(span: bytes) -> bytes:
    """Return the bit stream of a frame whose fragments still carry their item headers."""
    fragments, position = [], 0
    while position < len(span):
        length = struct.unpack_from("<I", span, position + 4)[0]
        fragments.append(span[position + 8 : position + 8 + length])
        position += 8 + length
    return b"".join(fragments)


def decode_frame(data: bytes, instance: InstanceRecord) -> NDArray[np.generic]:
    """Turn one frame's bytes, as stored, into an array.

    Parameters
    ----------
    data
        The native bytes, or the bit stream of a compressed frame.
    instance
        The instance the frame belongs to.

    Returns
    -------
    numpy.ndarray
        ``(rows, columns)`` or ``(rows, columns, samples)``, stored values, dtype as the header says.

    Raises
    ------
    InvalidRequest
        If no decoder for the transfer syntax is installed, or the bytes are damaged.
    """
    syntax = UID(instance.TransferSyntaxUID)
    if not is_encapsulated(syntax):
        return _shape_native(data, instance, big_endian=syntax == ExplicitVRBigEndian)
    if (decoded := decode_compressed_frame(data, instance)) is not None:
        return decoded
    if syntax in ONLY_HERE:
        raise InvalidRequest(f"Instance {instance.SOPInstanceUID} cannot be decoded: its bytes are damaged.")
    options: dict[str, Any] = {
        "rows": instance.Rows,
        "columns": instance.Columns,
        "number_of_frames": 1,
        "samples_per_pixel": instance.SamplesPerPixel,
        "photometric_interpretation": instance.PhotometricInterpretation,
        "pixel_representation": instance.PixelRepresentation,
        "bits_allocated": instance.BitsAllocated,
        "bits_stored": instance.BitsStored,
        "planar_configuration": instance.PlanarConfiguration or 0,
        "pixel_keyword": "PixelData",
    }
    try:
        pixels, _ = get_decoder(syntax).as_array(encapsulate([data]), index=0, **options)
    except (NotImplementedError, RuntimeError, ValueError) as error:
        raise InvalidRequest(
            f"Instance {instance.SOPInstanceUID} cannot be decoded ({syntax.name}): {error}"
        ) from error
    return pixels


def find_stored_dtype(instance: InstanceRecord) -> np.dtype[Any]:
    """Return the dtype of an image's stored values, in little endian.

    Images of the Floating Point Image Pixel modules have no PixelRepresentation (PS3.3 C.7.6.24).
    """
    bits = instance.BitsAllocated or 8
    if instance.PixelRepresentation is None and bits in (32, 64):
        return np.dtype(f"<f{bits // 8}")
    return np.dtype(f"<{'i' if instance.PixelRepresentation else 'u'}{max(bits // 8, 1)}")


def _shape_native(data: bytes, instance: InstanceRecord, *, big_endian: bool) -> NDArray[np.generic]:
    dtype = find_stored_dtype(instance)
    pixels = np.frombuffer(data, dtype.newbyteorder(">") if big_endian else dtype)
    rows, columns, samples = instance.Rows or 0, instance.Columns or 0, instance.SamplesPerPixel or 1
    if samples == 1:
        return pixels.reshape(rows, columns)
    if instance.PlanarConfiguration:
        return pixels.reshape(samples, rows, columns).transpose(1, 2, 0)
    return pixels.reshape(rows, columns, samples)
