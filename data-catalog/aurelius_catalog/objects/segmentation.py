"""A stored DICOM SEG of any kind: laid over its images, or on a grid of its own (PS3.3 A.51)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import iter_pixels

from aurelius_catalog.dicom.decoders import decode_bits
from aurelius_catalog.dicom.frame_locations import is_encapsulated
from aurelius_catalog.dicom.segments import StoredSegment, read_segments
from aurelius_catalog.errors import InvalidLabel, InvalidObject
from aurelius_catalog.objects.grid import Grid, Target, resample_nearest
from aurelius_catalog.objects.multiframe import Plane, read_planes
from aurelius_catalog.objects.reading import list_references

if TYPE_CHECKING:
    Frames = Iterator[tuple[Plane, NDArray[np.generic]]]


class StoredSegmentation:
    """A segmentation as it is stored: binary, fractional or a label map; on slices, frames or a slide.

    Parameters
    ----------
    dataset
        The whole object.

    Raises
    ------
    InvalidObject
        If it is no segmentation, or describes no segment.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.kind = str(dataset.get("SegmentationType") or "")
        self.segments: tuple[StoredSegment, ...] = read_segments(dataset)
        self.referenced_series = list_references(dataset)
        if self.kind not in ("BINARY", "FRACTIONAL", "LABELMAP") or not self.segments:
            raise InvalidObject("This object is no segmentation, or describes no segment.")

    def __repr__(self) -> str:
        labels = ", ".join(segment.label for segment in self.segments[:5])
        more = f" and {len(self.segments) - 5} more" if len(self.segments) > 5 else ""
        return f"<Segmentation {self.kind.lower()}: {labels}{more}>"

    def to_xarray(self, target: Target | None = None) -> xr.DataArray:
        """Return the label map where one number per voxel says it all, else one mask per segment.

        Parameters
        ----------
        target
            Whose pixels to lay it over; None: a grid of its own, which spans the planes it was drawn on.

        Returns
        -------
        xarray.DataArray
            As `labelmap`, or as `masks` where segments overlap or hold fractions.
        """
        if self.kind == "FRACTIONAL":
            return self.masks(target)
        try:
            return self.labelmap(target)
        except _Overlap:
            return self.masks(target)

    def labelmap(self, target: Target | None = None) -> xr.DataArray:
        """Return one number per voxel.

        Returns
        -------
        xarray.DataArray
            ``(z, y, x)`` uint8 (uint16 where numbers are higher), voxel value = segment number, 0 where there is none;
            of a slide ``(y, x)``.

        Raises
        ------
        InvalidLabel
            If segments overlap or hold fractions, or nothing of it falls on the target.
        """
        if self.kind == "FRACTIONAL":
            raise InvalidLabel("This segmentation holds fractions, not yes or no: take `masks()` and a threshold.")
        if any(segment.number == 0 for segment in self.segments):
            raise InvalidLabel("A segment of this segmentation has the number 0, which means none: take `masks()`.")
        dtype = self._choose_dtype(apart=False)
        if self.is_of_slide:
            return self._open_matrix(dtype, apart=False, wanted=self.segments)
        return self._lay(target, dtype, apart=False, wanted=self.segments)

    def masks(self, target: Target | None = None, labels: Sequence[str] | None = None) -> xr.DataArray:
        """Return one mask per segment, for segments that overlap or hold fractions.

        Parameters
        ----------
        target
            Whose pixels to lay it over; None: a grid of its own.
        labels
            Which segments; None: all.

        Returns
        -------
        xarray.DataArray
            ``(segment, z, y, x)`` bool, or float32 0 … 1 for fractions; the coordinate ``segment`` holds the numbers,
            ``label`` the labels.
        """
        wanted = self.segments if labels is None else [self.find_segment(label) for label in labels]
        dtype = self._choose_dtype(apart=True)
        if self.is_of_slide:
            array = self._open_matrix(dtype, apart=True, wanted=wanted)
        else:
            array = self._lay(target, dtype, apart=True, wanted=wanted)
        numbers = {"segment": [segment.number for segment in wanted]}
        return array.assign_coords({**numbers, "label": ("segment", [segment.label for segment in wanted])})

    def find_segment(self, label: str) -> StoredSegment:
        """Return the segment with a label.

        Raises
        ------
        InvalidLabel
            If there is none, naming those there are.
        """
        for segment in self.segments:
            if segment.label == label:
                return segment
        known = ", ".join(segment.label for segment in self.segments)
        raise InvalidLabel(f"There is no segment {label!r}; there are: {known}.")

    @cached_property
    def own_grid(self) -> Grid:
        """The regular grid that its planes lie on.

        Raises
        ------
        InvalidLabel
            If they lie on none: it can be laid over the images it was drawn on.
        """
        grid = Grid.of_planes(self._planes)
        if grid is None:
            raise InvalidLabel(
                "The planes of this segmentation form no volume of their own: lay it over the images it was drawn on."
            )
        return grid

    @property
    def is_of_slide(self) -> bool:
        """Whether it was drawn on a slide, tile by tile."""
        return "TotalPixelMatrixRows" in self.dataset

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """Rows and columns of the whole picture, of a slide's."""
        return int(self.dataset.TotalPixelMatrixRows), int(self.dataset.TotalPixelMatrixColumns)

    def read_part(
        self, x: int, y: int, width: int, height: int, *, apart: bool, labels: Sequence[str] | None = None
    ) -> NDArray[np.generic]:
        """Read a part of a slide's segmentation; only the tiles that it touches are decoded.

        Parameters
        ----------
        x, y, width, height
            In pixels of its own; 0 where it lies beside the picture.
        apart
            Whether each segment comes by itself.
        labels
            Which segments; None: all.

        Returns
        -------
        numpy.ndarray
            ``(y, x)`` segment numbers; or ``(segment, y, x)`` bool, float32 0 … 1 for fractions.

        Raises
        ------
        InvalidLabel
            If segments overlap, or hold fractions, and are not asked for apart.
        """
        if self.kind == "FRACTIONAL" and not apart:
            raise InvalidLabel("This segmentation holds fractions, not yes or no: take masks and a threshold.")
        wanted = self.segments if labels is None else [self.find_segment(label) for label in labels]
        return self._read_part(_FramePart((1, height, width), (y, x)), self._choose_dtype(apart), apart, wanted)

    def _choose_dtype(self, apart: bool) -> np.dtype[Any]:
        if apart:
            return np.dtype(np.float32 if self.kind == "FRACTIONAL" else bool)
        return np.min_scalar_type(max(segment.number for segment in self.segments))

    def _read_part(
        self, part: _FramePart, dtype: np.dtype[Any], apart: bool, wanted: Sequence[StoredSegment]
    ) -> NDArray[np.generic]:
        corners, (rows, columns) = self._corners, self._planes[0].shape
        (top, left), (_, height, width) = part.corner, part.shape
        touched = (corners[:, 0] < top + height) & (corners[:, 0] + rows > top)
        touched &= (corners[:, 1] < left + width) & (corners[:, 1] + columns > left)
        touched &= np.isin(self._numbers, [segment.number for segment in wanted] + [-1])
        return self._place(part, dtype, apart, wanted, np.flatnonzero(touched).tolist())[..., 0, :, :]

    def _open_matrix(self, dtype: np.dtype[Any], *, apart: bool, wanted: Sequence[StoredSegment]) -> xr.DataArray:
        """Put the tiles of a slide together."""
        values = self._read_part(_FramePart((1, *self.matrix_shape), (0, 0)), dtype, apart, wanted)
        measures = self.dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        steps_um = [float(step) * 1000 for step in measures.PixelSpacing]
        coordinates = {
            axis: (axis, (np.arange(size) + 0.5) * step, {"units": "µm"})
            for axis, size, step in zip("yx", self.matrix_shape, steps_um, strict=True)
        }
        dims, units = (("segment", "y", "x"), "") if apart else (("y", "x"), "segment")
        return xr.DataArray(values, coordinates, dims, attrs={"units": units})

    @cached_property
    def _planes(self) -> list[Plane]:
        return read_planes(self.dataset)

    @cached_property
    def _corners(self) -> NDArray[np.int64]:
        """``(frame, 2)``: row and column of each tile in the whole picture."""
        corners = [plane.corner for plane in self._planes]
        if None in corners:
            raise InvalidObject("This segmentation of a slide does not say where its tiles lie.")
        return np.array(corners, np.int64).reshape(-1, 2)

    @cached_property
    def _numbers(self) -> NDArray[np.int64]:
        """Which segment each frame shows; -1: any."""
        return np.array([-1 if plane.segment is None else plane.segment for plane in self._planes], np.int64)

    def _lay(
        self, target: Target | None, dtype: np.dtype[Any], *, apart: bool, wanted: Sequence[StoredSegment]
    ) -> xr.DataArray:
        over: Target = self.own_grid if target is None else target
        units = "" if apart else "segment"
        try:
            return over.make_array(self._place(over, dtype, apart, wanted), units=units)
        except _Elsewhere:
            if not isinstance(over, Grid) or over is self.own_grid:
                raise
        warnings.warn("The segmentation lies on another grid than the image: each voxel got its nearest.", stacklevel=6)
        values = self._place(self.own_grid, dtype, apart, wanted)
        layers = [resample_nearest(layer, self.own_grid, over) for layer in (values if apart else [values])]
        return over.make_array(np.stack(layers) if apart else layers[0], units=units)

    def _place(
        self,
        target: Target | _FramePart,
        dtype: np.dtype[Any],
        apart: bool,
        wanted: Sequence[StoredSegment],
        frames: Sequence[int] | None = None,
    ) -> NDArray[np.generic]:
        """Put frames, by default all, where they belong.

        Returns ``(plane, y, x)`` numbers, or ``(segment, plane, y, x)`` masks.
        """
        layer = {segment.number: number for number, segment in enumerate(wanted)}
        values = np.zeros((len(layer), *target.shape) if apart else target.shape, dtype)
        missed = 0
        for plane, frame in self._read_frames(frames):
            corner = target.locate(plane)
            if corner is None:
                raise _Elsewhere("The planes of this segmentation do not lie on the images it is laid over.")
            cut = _cut(corner, frame.shape, target.shape)
            if cut is None:
                missed += bool(frame.any())
                continue
            there, here = cut
            for number, part in self._split(plane, frame[here], layer):
                if apart:
                    np.maximum(values[layer[number]][there], part, out=values[layer[number]][there])
                else:
                    _write(values[there], part, number)
        if missed:
            warnings.warn(f"{missed} frames of the segmentation lie outside of the image.", stacklevel=5)
        return values

    def _read_frames(self, frames: Sequence[int] | None) -> Frames:
        planes = self._planes if frames is None else [self._planes[number] for number in frames]
        if not planes:  # to pydicom, none would be all
            return
        try:
            bits = self.dataset.BitsAllocated == 1 and is_encapsulated(self.dataset.file_meta.TransferSyntaxUID)
            pixels = self._decode_bits(frames) if bits else iter_pixels(self.dataset, indices=frames, raw=True)
            yield from zip(planes, pixels, strict=True)
        except (AttributeError, RuntimeError, ValueError) as error:
            raise InvalidObject(f"The pixels of this segmentation cannot be decoded: {_first_line(error)}") from error

    @cached_property
    def _coded(self) -> list[bytes]:
        return list(generate_frames(self.dataset.PixelData, number_of_frames=len(self._planes)))

    def _decode_bits(self, frames: Sequence[int] | None) -> Iterator[NDArray[np.uint8]]:
        """Decode compressed frames of one bit per pixel, which pydicom does not."""
        dataset, syntax = self.dataset, self.dataset.file_meta.TransferSyntaxUID
        for number in range(len(self._coded)) if frames is None else frames:
            decoded = decode_bits(self._coded[number], syntax, dataset.Rows, dataset.Columns)
            if decoded is None:
                raise ValueError(f"one bit per pixel in {syntax.name}, or a damaged frame")
            yield decoded

    def _split(
        self, plane: Plane, frame: NDArray[np.generic], wanted: dict[int, int]
    ) -> Iterator[tuple[int, NDArray[np.generic]]]:
        """Yield (segment number, mask or fractions) of what a frame holds of the wanted segments."""
        if self.kind == "LABELMAP":
            padding = self.dataset.get("PixelPaddingValue")
            held = set(np.unique(frame).tolist()) - ({None} if padding is None else {int(padding)})
            yield from ((number, frame == number) for number in sorted(held & wanted.keys()))
        elif plane.segment in wanted:
            if self.kind == "FRACTIONAL":
                yield plane.segment, frame.astype(np.float32) / np.float32(self.dataset.MaximumFractionalValue)
            else:
                yield plane.segment, frame != 0


@dataclass(frozen=True)
class _FramePart:
    """A part of a slide's whole picture: its shape as (1, rows, columns), and its corner in the picture."""

    shape: tuple[int, int, int]
    corner: tuple[int, int]

    def locate(self, plane: Plane) -> tuple[int, int, int] | None:
        """Return (0, row, column) of a tile's first pixel; see `Target.locate`."""
        return None if plane.corner is None else (0, plane.corner[0] - self.corner[0], plane.corner[1] - self.corner[1])


class _Overlap(InvalidLabel):
    """Two segments share a voxel, so one number per voxel cannot say it."""


class _Elsewhere(InvalidLabel):
    """A frame does not fall on the target's pixels."""


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(":")


def _write(values: NDArray[np.generic], mask: NDArray[np.generic], number: int) -> None:
    other = values[mask]
    if ((other != 0) & (other != number)).any():
        raise _Overlap("Segments of this segmentation overlap: take `masks()`, one for each.")
    values[mask] = number


def _cut(
    corner: tuple[int, int, int], size: tuple[int, ...], limits: tuple[int, int, int]
) -> tuple[tuple[Any, ...], tuple[slice, slice]] | None:
    """Return where a frame goes in the target, and what part of it; None where nothing does."""
    plane, top, left = corner
    rows = max(top, 0), min(top + size[0], limits[1])
    columns = max(left, 0), min(left + size[1], limits[2])
    if not 0 <= plane < limits[0] or rows[0] >= rows[1] or columns[0] >= columns[1]:
        return None
    there = (plane, slice(*rows), slice(*columns))
    return there, (slice(rows[0] - top, rows[1] - top), slice(columns[0] - left, columns[1] - left))
