"""The labels over a slide, made of whatever people, models and arrays offer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aurelius_catalog.dicom.segments import choose_colour
from aurelius_catalog.errors import InvalidLabel, InvalidObject, InvalidRequest
from aurelius_catalog.objects import BulkAnnotations, StoredSegmentation, open_object
from aurelius_catalog.objects.reading import read_object
from aurelius_catalog.records import AnnotationRecord, PredictionRecord, SlideRecord
from aurelius_catalog.slides.placement import Place, find_unit, locate_picture, place_whole
from aurelius_catalog.store import Store
from aurelius_catalog.viewing.overlay_source import OverlaySource
from aurelius_catalog.viewing.raster_label import MatrixLabel, Reader
from aurelius_catalog.viewing.shape_label import ShapeLabel
from aurelius_catalog.viewing.slide_label import LegendEntry, SlideLabel

Given: TypeAlias = (
    SlideLabel
    | OverlaySource
    | AnnotationRecord
    | PredictionRecord
    | StoredSegmentation
    | BulkAnnotations
    | xr.DataArray
)

#: An array of whole numbers with more of them than this is no label.
MOST_NUMBERS = 256


def list_labels(store: Store, record: SlideRecord) -> list[SlideLabel]:
    """Open everything that people and models drew on a slide: label versions, predictions, bulk annotations.

    What does not lie on it, or is damaged, is left out with a warning.
    """
    uid = record.SeriesInstanceUID
    versions: list[Any] = store.list_annotations(uid)
    predictions = [each for each in store.list_predictions(uid) if each.SOPInstanceUID is not None]
    study = store.get_series(uid).StudyInstanceUID
    opened = [
        open_object(store, store.list_instances(series.SeriesInstanceUID))
        for series in store.find_series(StudyInstanceUID=study, Modality="ANN")
    ]
    bulk = [each for each in opened if isinstance(each, BulkAnnotations) and uid in each.referenced_series]
    labels: list[SlideLabel] = []
    for each in (*versions, *predictions, *bulk):
        try:
            labels += gather_labels(store, record, each)
        except (InvalidLabel, InvalidObject) as error:
            warnings.warn(f"A label is left out: {error}", stacklevel=3)
    return labels


def gather_labels(
    store: Store, record: SlideRecord, given: Given | Sequence[Given] | None, opacity: float = 0.5
) -> list[SlideLabel]:
    """Make labels of what is to be laid over a slide.

    Parameters
    ----------
    store, record
        The slide, and where it is.
    given
        One thing or several: labels (`list_labels`), label versions, predictions, series that hold a segmentation or
        bulk annotations, such objects, or arrays ``(y, x)`` of whole numbers or of fractions 0 … 1; their coordinates
        place them.
    opacity
        Of what is filled, 0 … 1.

    Raises
    ------
    InvalidLabel
        If something does not belong to this slide, or cannot be laid over a slide at all.
    InvalidRequest
        If there is no such opacity.
    """
    if not 0 <= opacity <= 1:
        raise InvalidRequest(f"The opacity {opacity:g} does not lie between 0 and 1.")
    listed = [] if given is None else given if isinstance(given, (list, tuple)) else [given]
    return [label for each in listed for label in _make(store, record, each, opacity)]


def _make(store: Store, record: SlideRecord, given: Any, opacity: float) -> Iterator[SlideLabel]:
    name = ""
    if isinstance(given, OverlaySource):
        name, given = given.overlay_name, given.open_overlay()
    if isinstance(given, AnnotationRecord):
        name = f"version {given.version} by {given.author}"
        given = StoredSegmentation(read_object(store, given.SOPInstanceUID))
    elif isinstance(given, PredictionRecord):
        if given.SOPInstanceUID is None:
            raise InvalidLabel(f"Prediction {given.id} found nothing that could be drawn.")
        name, given = given.model, StoredSegmentation(read_object(store, given.SOPInstanceUID))
    if isinstance(given, SlideLabel):
        if given.slide.SeriesInstanceUID != record.SeriesInstanceUID:
            raise InvalidLabel(f"The label {given.name!r} belongs to another slide.")
        yield given
    elif isinstance(given, StoredSegmentation):
        yield _of_segmentation(store, record, given, name or "segmentation", opacity)
    elif isinstance(given, BulkAnnotations):
        if record.SeriesInstanceUID not in given.referenced_series:
            raise InvalidLabel("These annotations were made on another slide.")
        yield ShapeLabel(name or "annotations", record, given.groups)
    elif isinstance(given, xr.DataArray):
        yield _of_array(record, given, opacity)
    else:
        raise InvalidLabel(f"{type(given).__name__} cannot be laid over a slide.")


def _of_segmentation(
    store: Store, record: SlideRecord, stored: StoredSegmentation, name: str, opacity: float
) -> SlideLabel:
    if not stored.is_of_slide:
        raise InvalidLabel("This segmentation was not drawn on a slide.")
    theirs = stored.dataset.get("FrameOfReferenceUID")
    ours = store.get_series(record.SeriesInstanceUID).FrameOfReferenceUID
    if record.SeriesInstanceUID not in stored.referenced_series and theirs != ours:
        raise InvalidLabel("This segmentation was drawn on another slide.")
    marks = [
        LegendEntry(each.number, each.label, each.colour or choose_colour(each.number)) for each in stored.segments
    ]

    def read(x: int, y: int, width: int, height: int) -> NDArray[np.generic]:
        return stored.read_part(x, y, width, height, apart=True)

    rows, columns = stored.matrix_shape
    return MatrixLabel(read, opacity, name, record, marks, locate_picture(record, stored.dataset), (columns, rows))


def _of_array(record: SlideRecord, array: xr.DataArray, opacity: float) -> SlideLabel:
    values = array.transpose(..., "y", "x").to_numpy() if {"y", "x"} <= set(array.dims) else np.zeros(0)
    if values.ndim not in (2, 3) or (values.ndim == 3 and "segment" not in array.dims) or 0 in values.shape:
        raise InvalidLabel(
            f"An array over a slide has the axes y and x; this one has {', '.join(map(str, array.dims))}."
        )
    name = str(array.name or "array")
    height, width = values.shape[-2:]
    if values.ndim == 3 or values.dtype.kind == "f":
        layers = (values if values.ndim == 3 else values[None]).astype(bool if values.dtype == bool else np.float32)
        numbers = list(range(1, len(layers) + 1))
        names = [name] if values.ndim == 2 else list(array["label"].to_numpy()) if "label" in array.coords else None
        reader = _read_layers(np.nan_to_num(layers).clip(0, 1) if layers.dtype != bool else layers)
    else:
        numbers = sorted(set(np.unique(values).tolist()) - {0}) or [1]
        if len(numbers) > MOST_NUMBERS:
            raise InvalidLabel(f"An array with {len(numbers)} different numbers is no label.")
        names = array.attrs.get("labels")
        reader = _read_numbers(values, numbers)
    labels = dict(zip(range(1, len(names) + 1), names, strict=True)) if names is not None else {}
    marks = [
        LegendEntry(number, str(labels.get(number, f"segment {number}")), choose_colour(number)) for number in numbers
    ]
    return MatrixLabel(reader, opacity, name, record, marks, _place_array(record, array), (width, height))


def _place_array(record: SlideRecord, array: xr.DataArray) -> Place:
    """Place an array by its coordinates, the middles of its pixels in the unit of the slide's own."""
    if not all(axis in array.coords and array.sizes[axis] > 1 for axis in "yx"):
        return place_whole(record, array.sizes["x"], array.sizes["y"])
    x, y = (array.coords[axis].to_numpy().astype(float) for axis in "xy")
    step_x, step_y = (float(axis[-1] - axis[0]) / (len(axis) - 1) for axis in (x, y))
    if min(step_x, step_y) <= 0:
        raise InvalidLabel("The coordinates of this array do not grow: sort them.")
    unit_x, unit_y = find_unit(record)
    corner = (x[0] - step_x / 2) / unit_x, (y[0] - step_y / 2) / unit_y
    return Place(corner[0], corner[1], step_x / unit_x, step_y / unit_y)


def _read_layers(layers: NDArray[np.generic]) -> Reader:
    def read(x: int, y: int, width: int, height: int) -> NDArray[np.generic]:
        part = np.zeros((len(layers), height, width), layers.dtype)
        top, left = max(y, 0), max(x, 0)
        inside = layers[:, top : max(y + height, 0), left : max(x + width, 0)]
        part[:, top - y :, left - x :][:, : inside.shape[1], : inside.shape[2]] = inside
        return part

    return read


def _read_numbers(values: NDArray[np.generic], numbers: Sequence[int]) -> Reader:
    read_values = _read_layers(values[None])
    wanted = np.array(numbers)[:, None, None]

    def read(x: int, y: int, width: int, height: int) -> NDArray[np.generic]:
        return np.asarray(read_values(x, y, width, height) == wanted)

    return read
