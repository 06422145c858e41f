"""Where each frame lies in a DICOM file, and how its bytes become numbers.

Positions are found once, when a file enters the catalog, so that reading never parses a header.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.model import InstanceRecord

PIXEL_TAGS = {(0x7FE0, 0x0010), (0x7FE0, 0x0008), (0x7FE0, 0x0009)}
ITEM = b"\xfe\xff\x00\xe0"
UNDEFINED_LENGTH = 0xFFFFFFFF
Span = tuple[int, int]


def locate_frames(file: BinaryIO, dataset: Dataset) -> tuple[Span, ...]:
    """Find the frames of a file whose header was just read up to the pixel data.

    Parameters
    ----------
    file
        Positioned at the pixel data element, as `pydicom.dcmread` with ``stop_before_pixels`` leaves it.
    dataset
        The header, file meta included.

    Returns
    -------
    tuple of (int, int)
        Offset and length in bytes of each frame. For encapsulated pixel data the span covers the frame's
        fragments with their item headers (PS3.5 A.4). Empty where frames do not lie on byte borders
        (1-bit segmentations), where the file is deflated as a whole, and where there is no pixel data.
    """
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax == DeflatedExplicitVRLittleEndian:
        return ()
    start = _find_value(file, syntax)
    if start is None:
        return ()
    count = max(int(dataset.get("NumberOfFrames") or 1), 1)
    offset, length = start
    if length == UNDEFINED_LENGTH:
        return _locate_encapsulated(file, offset, count, dataset.get("ExtendedOffsetTable"))
    bits = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel) * int(dataset.BitsAllocated)
    size = bits // 8
    if bits % 8 or int(dataset.BitsAllocated) == 1 or size * count > length:
        return ()
    return tuple((offset + index * size, size) for index in range(count))


def _find_value(file: BinaryIO, syntax: UID) -> Span | None:
    """Return offset and length of the pixel data's value; the file stands at its tag, or at the end."""
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    head = file.read(8)
    if len(head) < 8 or struct.unpack(f"{order}HH", head[:4]) not in PIXEL_TAGS:
        return None
    if syntax.is_implicit_VR:
        return file.tell(), struct.unpack("<I", head[4:])[0]
    length = struct.unpack(f"{order}I", file.read(4))[0]
    return file.tell(), length


def _locate_encapsulated(file: BinaryIO, offset: int, count: int, extended: bytes | None) -> tuple[Span, ...]:
    items = _walk_items(file, offset)
    if not items:
        return ()
    (table_at, table_length), fragments = items[0], items[1:]
    if count == 1 or len(fragments) == count:
        groups = [fragments] if count == 1 else [[fragment] for fragment in fragments]
        return tuple(_span(group) for group in groups if group)
    file.seek(table_at + 8)
    if extended:
        starts = struct.unpack(f"<{len(extended) // 8}Q", extended)
    else:
        starts = struct.unpack(f"<{(table_length - 8) // 4}I", file.read(table_length - 8))
    if len(starts) != count:
        return ()
    first = table_at + table_length
    frames: list[list[Span]] = [[] for _ in starts]
    for fragment in fragments:
        frames[bisect_right(starts, fragment[0] - first) - 1].append(fragment)
    return tuple(_span(group) for group in frames) if all(frames) else ()


def _walk_items(file: BinaryIO, offset: int) -> list[Span]:
    """Return (offset, length) of every item of encapsulated pixel data, headers included."""
    items = []
    file.seek(offset)
    while (head := file.read(8))[:4] == ITEM and len(head) == 8:
        length = struct.unpack("<I", head[4:])[0]
        items.append((file.tell() - 8, length + 8))
        file.seek(length, 1)
    return items


def _span(fragments: list[Span]) -> Span:
    last_offset, last_length = fragments[-1]
    return fragments[0][0], last_offset + last_length - fragments[0][0]


def strip_items(span: bytes) -> bytes:
    """Return the codestream of a frame whose fragments still carry their item headers."""
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
        The native bytes, or the codestream of a compressed frame.
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
    if not syntax.is_encapsulated:
        return _shape_native(data, instance, big_endian=syntax == ExplicitVRBigEndian)
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


def _shape_native(data: bytes, instance: InstanceRecord, *, big_endian: bool) -> NDArray[np.generic]:
    kind = "i" if instance.PixelRepresentation else "u"
    dtype = np.dtype(f"{'>' if big_endian else '<'}{kind}{(instance.BitsAllocated or 8) // 8}")
    pixels = np.frombuffer(data, dtype)
    rows, columns, samples = instance.Rows or 0, instance.Columns or 0, instance.SamplesPerPixel or 1
    if samples == 1:
        return pixels.reshape(rows, columns)
    if instance.PlanarConfiguration:
        return pixels.reshape(samples, rows, columns).transpose(1, 2, 0)
    return pixels.reshape(rows, columns, samples)
