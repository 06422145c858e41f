"""The voxels of many frames, read at once: native ones straight into the array, others decoded in threads."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_color_lut, apply_modality_lut
from pydicom.uid import ExplicitVRBigEndian

from aurelius_catalog.dicom.frame_attributes import MODALITY_TABLE
from aurelius_catalog.dicom.frame_locations import decode_frame, find_stored_dtype, is_encapsulated
from aurelius_catalog.errors import InvalidRequest, InvalidVolume
from aurelius_catalog.records import InstanceRecord
from aurelius_catalog.store import PixelStore
from aurelius_catalog.volumes.planes import Planes, count_frames

Pixels = NDArray[Any]
#: Bytes read and converted at a time: they stay in a processor's cache.
BLOCK_BYTES = 1 << 22
PALETTE = "PALETTE COLOR"


class PixelSource:
    """The voxels of frames of one format.

    Parameters
    ----------
    store
        The store that they are read from.
    planes
        The frames.
    dtype
        ``"stored"`` for the numbers as they are in the files, a float for those the headers mean (rescaled);
        None: float32 for grey images, as stored for colour.

    Raises
    ------
    InvalidRequest
        If the dtype is neither ``"stored"`` nor a float.
    """

    def __init__(self, store: PixelStore, planes: Planes, dtype: DTypeLike | None = None) -> None:
        self.store = store
        self.planes = planes
        self._tables: dict[str, Dataset] = {}
        first = planes.first
        self._stored = find_stored_dtype(first)
        self.palette = first.PhotometricInterpretation == PALETTE
        samples = 3 if self.palette else first.SamplesPerPixel or 1
        size = (first.Rows or 0, first.Columns or 0)
        self.shape: tuple[int, ...] = size if samples == 1 else (*size, samples)
        colour = samples > 1
        if dtype is not None and dtype != "stored" and not np.issubdtype(dtype, np.floating):
            raise InvalidRequest(
                f'A volume can be opened as "stored" or as a float, such as "float32"; not as {dtype}.'
            )
        self.rescaled = not colour and dtype != "stored"
        if self.rescaled:
            self.dtype = np.dtype(np.float32 if dtype is None else dtype)
        else:
            self.dtype = find_palette_dtype(store, first) if self.palette else self._stored.newbyteorder("=")
            if colour and dtype is not None and dtype != "stored":
                self.dtype = np.dtype(dtype)

    @cached_property
    def _slopes(self) -> tuple[list[float], list[float]]:
        slopes = [1.0 if value is None else float(value) for value in self.planes.read("RescaleSlope")]
        return slopes, [float(value or 0.0) for value in self.planes.read("RescaleIntercept")]

    @cached_property
    def _has_table(self) -> list[bool]:
        return [kind is not None for kind in self.planes.read(MODALITY_TABLE)]

    def read(self, numbers: Sequence[int]) -> Pixels:
        """Read frames by their numbers.

        Returns
        -------
        numpy.ndarray
            ``(frames, rows, columns[, samples])`` of ``self.dtype``: rescaled to the unit of the headers (HU for CT)
            where ``self.rescaled``, else the stored values.

        Raises
        ------
        InvalidVolume
            If a frame has another shape than its header gives.
        InvalidRequest
            If a frame cannot be decoded.
        """
        chosen = [self.planes.frames[number] for number in numbers]
        out = np.empty((len(numbers), *self.shape), self.dtype)
        if not chosen:
            return out
        if not self._are_native(chosen):
            self._decode(chosen, numbers, out)
        elif self.rescaled or self.dtype != self._stored.newbyteorder("="):
            _run_blocks(lambda part: self._convert(chosen, numbers, out, part), len(chosen), self._frame_bytes)
        else:
            self._fill(chosen, out)
        return out

    # -- native ----------------------------------------------------------------------------------

    @property
    def _frame_bytes(self) -> int:
        return int(np.prod(self.shape)) * self._stored.itemsize

    def _are_native(self, chosen: Sequence[tuple[InstanceRecord, int]]) -> bool:
        """Whether the bytes of every frame are its numbers, in the layout of the array."""
        return (
            not self.palette
            and not any(is_encapsulated(instance.TransferSyntaxUID) for instance, _ in chosen)
            and all(index < len(each.frames) and each.frames[index][1] == self._frame_bytes for each, index in chosen)
            and (len(self.shape) == 2 or all(self._is_plain_colour(instance) for instance, _ in chosen))
        )

    @staticmethod
    def _is_plain_colour(instance: InstanceRecord) -> bool:
        return not instance.PlanarConfiguration and instance.PhotometricInterpretation == "RGB"

    def _fill(self, chosen: Sequence[tuple[InstanceRecord, int]], out: Pixels) -> None:
        self.store.fill_frames(chosen, out.reshape(len(chosen), -1).view(np.uint8))
        _swap_big_endian(chosen, out)

    def _convert(
        self, chosen: Sequence[tuple[InstanceRecord, int]], numbers: Sequence[int], out: Pixels, part: slice
    ) -> None:
        stored = np.empty((len(chosen[part]), *self.shape), self._stored.newbyteorder("="))
        self._fill(chosen[part], stored)
        self._rescale(stored, numbers[part], out[part])

    def _rescale(self, stored: Pixels, numbers: Sequence[int], out: Pixels) -> None:
        """Turn stored numbers into what the headers mean, in the precision that was asked for."""
        if not self.rescaled:
            out[...] = stored
            return
        if any(self._has_table[index] for index in numbers):
            for source, target, index in zip(stored, out, numbers, strict=True):
                if self._has_table[index]:
                    target[...] = look_up(source, self._take_table(self.planes.frames[index][0]))
                else:
                    self._scale(source[None], [index], target[None])
        else:
            self._scale(stored, numbers, out)

    def _take_table(self, instance: InstanceRecord) -> Dataset:
        if (known := self._tables.get(instance.SOPInstanceUID)) is None:
            known = self._tables[instance.SOPInstanceUID] = _read_header(self.store, instance)
        return known

    def _scale(self, stored: Pixels, numbers: Sequence[int], out: Pixels) -> None:
        number: Any = self.dtype.type
        slopes, intercepts = self._slopes
        factors = [(slopes[index], intercepts[index]) for index in numbers]
        same = all(factor == factors[0] for factor in factors)
        blocks = [(stored, out)] if same else zip(stored, out, strict=True)
        for (source, target), (slope, intercept) in zip(blocks, factors[:1] if same else factors, strict=True):
            if slope == 1:
                np.add(source, number(intercept), out=target, casting="unsafe")
            else:
                np.multiply(source, number(slope), out=target, casting="unsafe")
                if intercept:
                    target += number(intercept)

    # -- everything else -------------------------------------------------------------------------

    def _decode(self, chosen: Sequence[tuple[InstanceRecord, int]], numbers: Sequence[int], out: Pixels) -> None:
        whole = [at for at, (instance, index) in enumerate(chosen) if index >= len(instance.frames)]
        cut = [at for at, (instance, index) in enumerate(chosen) if index < len(instance.frames)]

        def decode(part: slice) -> None:
            places = cut[part]
            coded = self.store.read_frames([chosen[at] for at in places])
            for at, data in zip(places, coded, strict=True):
                self._keep(decode_frame(data, chosen[at][0]), chosen[at][0], numbers[at], out[at])

        if cut:
            _run_blocks(decode, len(cut), max(self._frame_bytes, 1))
        for instance in {id(chosen[at][0]): chosen[at][0] for at in whole}.values():
            frames = read_whole(self.store, instance)
            for at in whole:
                if chosen[at][0] is instance:
                    self._keep(frames[chosen[at][1]], instance, numbers[at], out[at])

    def _keep(self, pixels: Pixels, instance: InstanceRecord, number: int, out: Pixels) -> None:
        if self.palette:
            pixels = apply_color_lut(pixels, _read_header(self.store, instance))
        elif instance.PhotometricInterpretation in ("YBR_FULL", "YBR_FULL_422") and not is_encapsulated(
            instance.TransferSyntaxUID
        ):
            pixels = _to_rgb(pixels, instance)
        if pixels.shape != out.shape:
            raise InvalidVolume(
                f"Instance {instance.SOPInstanceUID} has pixels {pixels.shape}, but its header says {out.shape}."
            )
        self._rescale(pixels[None], [number], out[None])


def read_whole(store: PixelStore, instance: InstanceRecord) -> Pixels:
    """Read an object whose frames cannot be cut out of its file (1-bit, deflated, subsampled).

    Returns
    -------
    numpy.ndarray
        ``(frames, rows, columns[, samples])``, stored values, dtype as the header says.

    Raises
    ------
    InvalidRequest
        If it cannot be decoded.
    """
    dataset = dcmread(BytesIO(store.read_file(instance.SOPInstanceUID)))
    try:
        pixels = dataset.pixel_array
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InvalidRequest(f"Instance {instance.SOPInstanceUID} cannot be decoded: {error}") from error
    return pixels if count_frames(instance) > 1 else pixels[None]


def look_up(stored: Pixels, header: Dataset) -> Pixels:
    """Map stored values through a Modality LUT (PS3.3 C.11.1.1); those beyond it take the value of its nearest end.

    Parameters
    ----------
    stored
        Integers of any shape.
    header
        The data set with the ModalityLUTSequence.

    Returns
    -------
    numpy.ndarray
        The same shape, uint8 or uint16 as the table, in the unit that ModalityLUTType names.

    Raises
    ------
    InvalidRequest
        If the table cannot be read.
    """
    try:
        return apply_modality_lut(stored.astype(np.int64), header)  # whose first entry may be that of a negative value
    except (AttributeError, IndexError, OverflowError, TypeError, ValueError, struct.error) as error:
        raise InvalidRequest(
            "The table that says what the stored values mean (Modality LUT) cannot be read. "
            '`to_xarray(dtype="stored")` gives the values as they are.'
        ) from error


def _to_rgb(pixels: Pixels, instance: InstanceRecord) -> Pixels:
    """Turn native YBR_FULL into RGB; frames with subsampled colours were converted when they were read whole."""
    from pydicom.pixels import convert_color_space

    if instance.PhotometricInterpretation != "YBR_FULL" or not instance.frames:
        return pixels
    return convert_color_space(pixels, "YBR_FULL", "RGB")


def find_palette_dtype(store: PixelStore, instance: InstanceRecord) -> np.dtype[Any]:
    """Return the dtype of the colours of a palette (PS3.3 C.7.6.3.1.5)."""
    bits = _read_header(store, instance).RedPaletteColorLookupTableDescriptor[2]
    return np.dtype(np.uint8 if bits == 8 else np.uint16)


def _read_header(store: PixelStore, instance: InstanceRecord) -> Dataset:
    return dcmread(BytesIO(store.read_file(instance.SOPInstanceUID)), stop_before_pixels=True)


def _swap_big_endian(chosen: Sequence[tuple[InstanceRecord, int]], pixels: Pixels) -> None:
    if pixels.dtype.itemsize == 1:
        return
    for at, (instance, _) in enumerate(chosen):
        if instance.TransferSyntaxUID == ExplicitVRBigEndian:
            pixels[at : at + 1].byteswap(inplace=True)


def _run_blocks(work: Callable[[slice], None], count: int, frame_bytes: int) -> None:
    """Work on blocks of frames, on as many threads as there are processors for this process."""
    size = max(1, min(BLOCK_BYTES // frame_bytes, -(-count // count_processors())))
    blocks = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    if len(blocks) == 1:
        work(blocks[0])
        return
    with ThreadPoolExecutor(min(count_processors(), len(blocks))) as pool:
        for _ in _finish(pool, work, blocks):
            pass


def _finish(pool: ThreadPoolExecutor, work: Callable[[slice], None], blocks: list[slice]) -> Iterator[None]:
    """Wait for all blocks; the first that fails takes those that wait with it."""
    tasks = [pool.submit(work, block) for block in blocks]
    try:
        for task in tasks:
            yield task.result()
    finally:
        for task in tasks:
            task.cancel()


def count_processors() -> int:
    """Return how many processors this process may use."""
    return max(len(os.sched_getaffinity(0)), 1)
