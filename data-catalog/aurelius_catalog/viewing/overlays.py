"""The layers over an image in a viewer: labels in their colours, or values such as a dose as a heat map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aurelius_catalog.dicom.segments import Colour, choose_colour
from aurelius_catalog.errors import InvalidLabel
from aurelius_catalog.objects import StoredSegmentation, StructureSet
from aurelius_catalog.objects.alignment import choose_target
from aurelius_catalog.objects.reading import read_object
from aurelius_catalog.records import InstanceRecord, PredictionRecord, Segment, SeriesRecord
from aurelius_catalog.store import Store
from aurelius_catalog.viewing.overlay_source import OverlaySource

Overlaid: TypeAlias = OverlaySource | StoredSegmentation | StructureSet | PredictionRecord | xr.DataArray


@dataclass(frozen=True, eq=False)
class ShownSeries:
    """The images that overlays lie on.

    Parameters
    ----------
    store
        Where the series is, and the objects drawn on it.
    record, instances
        What the index knows of it, and its files in slice order.
    image
        The series as it opened: ``(z, y, x)`` or ``(frame, y, x)``, colour with a last axis ``c``.
    """

    store: Store
    record: SeriesRecord
    instances: Sequence[InstanceRecord]
    image: xr.DataArray


@dataclass(frozen=True, eq=False)
class Overlay:
    """One layer over an image.

    Parameters
    ----------
    array
        ``(z, y, x)``, or with the axes of the pictures it lies over: segment numbers, 0 where there is none, or values.
    affine_lps
        ``(4, 4)`` of its own grid: maps (column, row, slice, 1) to mm, patient LPS; None: that of the image.
    segments
        What the numbers mean; empty for values, which are shown as a heat map.
    colours
        Of the segments, in their order; None: those they get by their numbers.
    name
        For the legend of values.
    """

    array: NDArray[Any]
    affine_lps: NDArray[np.float64] | None = None
    segments: tuple[Segment, ...] = ()
    colours: tuple[Colour, ...] | None = None
    name: str = "overlay"

    @property
    def segment_colours(self) -> tuple[Colour, ...]:
        """One colour for each segment."""
        return self.colours or tuple(choose_colour(segment.number) for segment in self.segments)


def gather_overlays(shown: ShownSeries, given: Overlaid | Sequence[Overlaid] | None) -> list[Overlay]:
    """Read what is to be shown over an opened series.

    Parameters
    ----------
    shown
        The series, as it opened.
    given
        One thing or several: label versions, stored segmentations, structure sets, predictions, arrays, or series that
        hold one of those.

    Raises
    ------
    InvalidLabel
        If something does not belong to these images, or cannot be laid over images at all.
    """
    if given is None:
        return []
    listed = given if isinstance(given, (list, tuple)) else [given]
    return [overlay for each in listed for overlay in _read(shown, each)]


def _read(shown: ShownSeries, given: Any) -> Iterator[Overlay]:
    if isinstance(given, OverlaySource):
        given = given.open_overlay()
    if isinstance(given, PredictionRecord):
        if given.SOPInstanceUID is None:
            raise InvalidLabel(f"Prediction {given.id} found nothing that could be drawn.")
        given = StoredSegmentation(read_object(shown.store, given.SOPInstanceUID))
    if isinstance(given, StoredSegmentation):
        array = given.to_xarray(choose_target(given, shown.record, shown.instances, shown.image))
        yield from _split(array, {each.number: (each.label, each.colour) for each in given.segments})
    elif isinstance(given, StructureSet):
        yield from _split(given.masks(shown.image), {each.number: (each.name, each.colour) for each in given})
    elif isinstance(given, xr.DataArray):
        yield from _split(given, {})
    else:
        raise InvalidLabel(f"{type(given).__name__} cannot be laid over images.")


def _split(array: xr.DataArray, meanings: dict[int, tuple[str, Colour | None]]) -> Iterator[Overlay]:
    """Make layers of an array: numbers, values, or one mask per segment, as few as hold them apart."""
    affine = np.array(array.attrs["affine_lps"]) if "affine_lps" in array.attrs else None
    if "segment" not in array.dims:
        values = array.to_numpy()
        if values.dtype.kind == "f":
            yield Overlay(values, affine, name=str(array.name or array.attrs.get("quantity") or "values"))
        else:
            labels = values.astype(np.uint8) if values.dtype == bool else values
            numbers = sorted(meanings) or sorted(set(np.unique(labels).tolist()) - {0}) or [1]
            yield _label(labels, affine, numbers, meanings)
        return
    masks, numbers = array.to_numpy(), [int(number) for number in array["segment"].to_numpy()]
    names = array["label"].to_numpy() if "label" in array.coords else [f"segment {number}" for number in numbers]
    if masks.dtype.kind == "f":
        yield from (Overlay(mask, affine, name=str(name)) for mask, name in zip(masks, names, strict=True))
        return
    layers: list[tuple[NDArray[Any], list[int]]] = []
    for number, mask in zip(numbers, masks, strict=True):
        free = next((layer for layer in layers if not layer[0][mask].any()), None)
        if free is None:
            free = (np.zeros(mask.shape, np.min_scalar_type(max(numbers))), [])
            layers.append(free)
        free[0][mask] = number
        free[1].append(number)
    labels_by_number = dict(zip(numbers, names, strict=True))
    for labels, held in layers:
        known = {number: meanings.get(number, (labels_by_number[number], None)) for number in held}
        yield _label(labels, affine, held, known)


def _label(
    labels: NDArray[Any],
    affine: NDArray[np.float64] | None,
    numbers: Sequence[int],
    meanings: dict[int, tuple[str, Colour | None]],
) -> Overlay:
    known = [meanings.get(number, (f"segment {number}", None)) for number in numbers]
    segments = tuple(Segment(number=number, label=label) for number, (label, _) in zip(numbers, known, strict=True))
    colours = tuple(colour or choose_colour(number) for number, (_, colour) in zip(numbers, known, strict=True))
    return Overlay(labels, affine, segments, colours)
