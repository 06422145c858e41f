"""Microscopy bulk simple annotations: many points and outlines on a slide (PS3.3 A.87, C.37)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor
from numpy.typing import NDArray
from pydicom import Dataset

from aurelius_catalog.dicom.segments import Colour
from aurelius_catalog.errors import InvalidLabel, InvalidObject, NotFound
from aurelius_catalog.objects.reading import find_visible, list_references
from aurelius_catalog.records import SlideRecord
from aurelius_catalog.store import Store

if TYPE_CHECKING:
    import pandas as pd

#: Corners of the outline that an ellipse is shown as.
ELLIPSE_CORNERS = 32


@dataclass(frozen=True, eq=False)
class AnnotationGroup:
    """Annotations of one kind, such as all nuclei that a program found.

    Parameters
    ----------
    number, label
        AnnotationGroupNumber, AnnotationGroupLabel.
    type
        Meaning of AnnotationPropertyTypeCodeSequence, such as ``Nucleus``.
    kind
        GraphicType: ``POINT``, ``POLYLINE``, ``POLYGON``, ``ELLIPSE`` or ``RECTANGLE``.
    made_by
        AnnotationGroupGenerationType, such as ``AUTOMATIC``.
    colour
        Red, green, blue, 0 … 255, where the object recommends one.
    shapes_um
        One for each annotation: ``(n, 2)`` float64, x and y in micrometres from the slide's upper left corner. Polygons
        are not closed by repeating a point; an ellipse is its outline.
    measurements
        One row for each annotation, one column for each quantity with its unit, such as ``Area (um2)``.
    """

    number: int
    label: str
    type: str
    kind: str
    made_by: str
    colour: Colour | None
    shapes_um: tuple[NDArray[np.float64], ...]
    measurements: pd.DataFrame

    def __repr__(self) -> str:
        return f"<AnnotationGroup {self.label}: {len(self.shapes_um)} × {self.kind.lower()}>"

    @property
    def is_closed(self) -> bool:
        """Whether its shapes enclose something."""
        return self.kind not in ("POINT", "POLYLINE")

    @cached_property
    def centres_um(self) -> NDArray[np.float64]:
        """``(annotation, 2)``: the mean of the points of each, x and y in micrometres."""
        return np.array([shape.mean(axis=0) for shape in self.shapes_um]).reshape(-1, 2)


class BulkAnnotations(Sequence[AnnotationGroup]):
    """The annotations of a slide as they are stored, in groups.

    Parameters
    ----------
    store
        Where the slide is that they were made on: what they count in is found there.
    dataset
        The whole object.

    Raises
    ------
    InvalidObject
        If it holds no annotations, or such as cannot be placed.
    """

    def __init__(self, store: Store, dataset: Dataset) -> None:
        self._store = store
        self.dataset = dataset
        self.referenced_series = list_references(dataset)
        if not dataset.get("AnnotationGroupSequence"):
            raise InvalidObject("This object holds no annotations.")
        if dataset.AnnotationCoordinateType == "2D" and dataset.get("PixelOriginInterpretation") == "FRAME":
            raise InvalidObject("These annotations count within single frames of their slide, which is not read here.")

    def __repr__(self) -> str:
        listed = (f"{item.get('AnnotationGroupLabel')} ({item.get('NumberOfAnnotations')})" for item in self._items)
        return f"<BulkAnnotations {', '.join(listed)}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(str(item.get('AnnotationGroupLabel')))}</td><td>{escape(str(item.get('GraphicType')))}"
            f"</td><td>{item.get('NumberOfAnnotations')}</td></tr>"
            for item in self._items
        )
        return f"<table><tr><th>group</th><th>kind</th><th>annotations</th></tr>{rows}</table>"

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, position):  # type: ignore[no-untyped-def]  # as Sequence: a group, or a tuple of them
        return self.groups[position]

    def __iter__(self) -> Iterator[AnnotationGroup]:
        return iter(self.groups)

    @property
    def _items(self) -> Sequence[Dataset]:
        return self.dataset.AnnotationGroupSequence

    def find(self, label: str) -> AnnotationGroup:
        """Return the group with a label.

        Raises
        ------
        InvalidLabel
            If there is none, naming those there are.
        """
        for group in self.groups:
            if group.label == label:
                return group
        raise InvalidLabel(f"There is no group {label!r}; there are: {', '.join(each.label for each in self.groups)}.")

    def find_slide(self) -> SlideRecord:
        """Return what the catalog knows of the slide they were made on.

        Raises
        ------
        NotFound
            If the catalog does not hold it.
        """
        record = find_visible(self._store, self.referenced_series)
        if record is None:
            raise NotFound("The slide that these annotations were made on is not in your catalog.")
        return self._store.describe_slide(record.SeriesInstanceUID)

    @cached_property
    def groups(self) -> tuple[AnnotationGroup, ...]:
        """All groups, in the order of the object, placed on the slide.

        Raises
        ------
        NotFound
            If the catalog does not hold the slide: what the numbers count in is known from there.
        InvalidObject
            If they cannot be placed on it.
        """
        turn, offset = self._find_placing()
        try:
            parsed = hd.ann.MicroscopyBulkSimpleAnnotations.from_dataset(self.dataset, copy=False)
            return tuple(_read_group(item, parsed, turn, offset) for item in parsed.get_annotation_groups())
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidObject(f"These annotations are not written as DICOM asks: {error}") from error

    def _find_placing(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``(2, 2)`` and ``(2,)`` that turn stored coordinates into micrometres on the slide."""
        from aurelius_catalog.slides.placement import find_glass_to_px, find_pixel_size  # OpenSlide: for slides only

        record = self.find_slide()
        if self.dataset.AnnotationCoordinateType == "2D":
            named = [str(item.ReferencedSOPInstanceUID) for item in self.dataset.get("ReferencedImageSequence") or []]
            size = find_pixel_size(record, self._store.list_instances(record.SeriesInstanceUID), named)
            if size is None:
                raise InvalidObject("These annotations count in pixels of an image that is not part of the slide.")
            return np.diag(size), np.zeros(2)
        to_px = find_glass_to_px(record)
        if to_px is None:
            raise InvalidObject("The slide does not say how it lies on its glass, where these annotations are placed.")
        scale = np.diag(record.mpp)
        return scale @ to_px[0], scale @ to_px[1]


def _read_group(
    item: hd.ann.AnnotationGroup,
    parsed: hd.ann.MicroscopyBulkSimpleAnnotations,
    turn: NDArray[np.float64],
    offset: NDArray[np.float64],
) -> AnnotationGroup:
    import pandas as pd  # wanted in notebooks only

    kind = str(item.graphic_type.value)
    stored = [shape for shape in item.get_graphic_data(parsed.annotation_coordinate_type) if len(shape)]
    shapes = np.split(_place(stored, turn, offset), np.cumsum([len(shape) for shape in stored])[:-1]) if stored else []
    names, values, units = item.get_measurements()
    columns = [f"{name.meaning} ({unit.value})" for name, unit in zip(names, units, strict=True)]
    lab = item.get("RecommendedDisplayCIELabValue")
    return AnnotationGroup(
        number=int(item.number),
        label=str(item.label),
        type=str(item.annotated_property_type.meaning),
        kind=kind,
        made_by=str(item.get("AnnotationGroupGenerationType") or ""),
        colour=None if lab is None else CIELabColor.from_dicom_value(lab).to_rgb(),
        shapes_um=tuple(map(_draw_ellipse, shapes) if kind == "ELLIPSE" else shapes),
        measurements=pd.DataFrame(values if columns else None, range(len(shapes)), columns),
    )


def _place(
    stored: Sequence[NDArray[np.generic]], turn: NDArray[np.float64], offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    points = np.concatenate(stored).astype(np.float64)[:, :2]
    return np.asarray(points @ turn.T + offset)


def _draw_ellipse(ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the outline of an ellipse that is given by the ends of its two axes (PS3.3 C.37.1.4)."""
    centre = ends.mean(axis=0)
    half = (ends[1] - ends[0]) / 2, (ends[3] - ends[2]) / 2
    angles = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angles) * half[0] + np.sin(angles) * half[1])
