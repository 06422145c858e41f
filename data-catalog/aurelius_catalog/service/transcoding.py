"""Objects and frames in another transfer syntax than they are stored in: Explicit VR Little Endian, uncompressed."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import prod

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.encaps import generate_frames
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian

from aurelius_catalog.dicom.frame_locations import decode_frame
from aurelius_catalog.errors import NotAcceptable, NotFound
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import InstanceRecord
from aurelius_catalog.service.slide_levels import LEVEL, read_tiles
from aurelius_catalog.service.targets import count_frames

#: Larger objects are not unpacked in memory: slides have hundreds of gigabytes of pixels.
MOST_BYTES = 1 << 31


def read_stored(store: LocalStore, instance: InstanceRecord, indices: Sequence[int]) -> list[bytes]:
    """Return frames as stored; of native pixel data in bits, each frame packed from its own first bit (PS3.5 8.1.1).

    Raises
    ------
    NotFound
        If frames are missing that the header announces.
    """
    if instance.media_type == LEVEL:
        return read_tiles(store, instance, indices)
    if instance.frames:
        return store.read_frames([(instance, index) for index in indices])
    store.note_reading(instance.SeriesInstanceUID)
    try:
        return _read_unlocated(dcmread(store.settings.files / instance.path), instance, indices)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise NotFound(
            f"Instance {instance.SOPInstanceUID} has no frames that can be read ({type(error).__name__})."
        ) from error


def _read_unlocated(dataset: Dataset, instance: InstanceRecord, indices: Sequence[int]) -> list[bytes]:
    """Return frames that do not lie on byte borders of the file, or are deflated with it."""
    names = [name for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if name in dataset]
    value: bytes = dataset[names[0]].value
    if instance.TransferSyntaxUID == ExplicitVRBigEndian and instance.BitsAllocated == 8:
        value = np.frombuffer(value, ">u2").astype("<u2").tobytes()  # bytes of big-endian words (PS3.5 section 8.1.1)
    if UID(instance.TransferSyntaxUID).is_encapsulated:
        frames = list(generate_frames(value, number_of_frames=count_frames(instance)))
        return [frames[index] for index in indices]
    bits = _count_bits(instance)
    if bits % 8 == 0:
        return [value[index * bits // 8 : (index + 1) * bits // 8] for index in indices]
    unpacked = np.unpackbits(np.frombuffer(value, np.uint8), bitorder="little")
    return [np.packbits(unpacked[index * bits : (index + 1) * bits], bitorder="little").tobytes() for index in indices]


def read_native(store: LocalStore, instance: InstanceRecord, indices: Sequence[int]) -> list[bytes]:
    """Return frames uncompressed, little endian, colours by pixel.

    Raises
    ------
    InvalidRequest
        If one cannot be decoded.
    NotFound
        If a header announces frames that are missing.
    """
    stored = read_stored(store, instance, indices)
    if not needs_decoding(instance):
        return stored
    frames = [decode_frame(data, instance) for data in stored]
    return [frame.astype(frame.dtype.newbyteorder("<"), copy=False).tobytes() for frame in frames]


def needs_decoding(instance: InstanceRecord) -> bool:
    """Whether frames as stored differ, byte for byte, from those in Explicit VR Little Endian."""
    syntax = UID(instance.TransferSyntaxUID)
    return syntax.is_encapsulated or (syntax == ExplicitVRBigEndian and (instance.BitsAllocated or 8) >= 8)


def transcode_file(store: LocalStore, instance: InstanceRecord) -> bytes:
    """Return a whole object in Explicit VR Little Endian.

    Raises
    ------
    NotAcceptable
        If it is too large for that.
    InvalidRequest
        If a frame cannot be decoded.
    NotFound
        If a header announces frames that are missing.
    """
    path = store.settings.files / instance.path
    count = count_frames(instance)
    if needs_decoding(instance) and count:
        if _count_bits(instance) // 8 * count > MOST_BYTES:
            raise NotAcceptable(
                f"Instance {instance.SOPInstanceUID} is too large to be decompressed here: ask for it as it is stored."
            )
        dataset = dcmread(path, stop_before_pixels=True)
        pixels = b"".join(read_native(store, instance, range(count)))
        dataset.add_new("PixelData", "OB" if instance.BitsAllocated == 8 else "OW", pixels + bytes(len(pixels) % 2))
        if (instance.SamplesPerPixel or 1) > 1:
            dataset.PlanarConfiguration = 0
            if str(instance.PhotometricInterpretation).startswith("YBR"):
                dataset.PhotometricInterpretation = "RGB"
        for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
            if keyword in dataset:
                del dataset[keyword]
    else:
        dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    body = BytesIO()
    dcmwrite(body, dataset, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return body.getvalue()


def is_other_syntax(instance: InstanceRecord) -> bool:
    """Whether an object is stored in another transfer syntax than Explicit VR Little Endian."""
    return UID(instance.TransferSyntaxUID) != ExplicitVRLittleEndian


def name_frame_syntax(instance: InstanceRecord) -> str:
    """Return the transfer syntax of frames as stored; inflated ones, and implicit VRs, make no difference to pixels."""
    syntax = UID(instance.TransferSyntaxUID)
    plain = syntax == DeflatedExplicitVRLittleEndian or syntax.is_implicit_VR
    return str(ExplicitVRLittleEndian if plain else syntax)


def _count_bits(instance: InstanceRecord) -> int:
    return prod(
        number or 1 for number in (instance.Rows, instance.Columns, instance.SamplesPerPixel, instance.BitsAllocated)
    )
