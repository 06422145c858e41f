"""Labels of a slide that are outlines and points: bulk annotations, of one tumour or of a million nuclei."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from aurelius_catalog.dicom.segments import Colour, choose_colour
from aurelius_catalog.objects.bulk_annotations import AnnotationGroup
from aurelius_catalog.objects.contours import fill_polygon
from aurelius_catalog.records import SlideRecord
from aurelius_catalog.slides.placement import Place, find_unit
from aurelius_catalog.slides.region import SlideRegion
from aurelius_catalog.viewing.slide_label import LegendEntry, SlideLabel

LINE_PX = 2
#: What is smaller than this on the screen is shown as a dot.
DOT_PX = 3
#: Half the side of the square that stands for a point.
POINT_PX = 2


@dataclass(frozen=True, eq=False)
class _Group:
    """A group in pixels of level 0: its shapes one behind the other, and each one's bounds and middle."""

    source: AnnotationGroup
    shapes: Sequence[NDArray[np.float64]]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]

    @classmethod
    def of(cls, source: AnnotationGroup, unit: tuple[float, float]) -> _Group:
        shapes = [shape / unit for shape in source.shapes_um]
        if not shapes:
            return cls(source, shapes, np.zeros((0, 2)), np.zeros((0, 2)))
        points, starts = np.concatenate(shapes), np.cumsum([0, *(len(shape) for shape in shapes[:-1])])
        return cls(source, shapes, np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts))

    def find_touched(self, corner: tuple[float, float], size: tuple[float, float]) -> NDArray[np.bool_]:
        """Find the shapes that reach into a rectangle: ``(shapes,)`` bool."""
        touched = (self.highest >= corner) & (self.lowest <= np.add(corner, size))
        return np.asarray(touched.all(axis=1))


class ShapeLabel(SlideLabel):
    """A label of shapes, drawn as outlines as sharp as the screen is; its own pixels are those of level 0.

    Parameters
    ----------
    name, slide
        As of any `SlideLabel`.
    groups
        The groups of annotations.
    """

    def __init__(self, name: str, slide: SlideRecord, groups: Sequence[AnnotationGroup]) -> None:
        finest = slide.levels[0]
        marks = [LegendEntry(each.number, each.label, each.colour or choose_colour(each.number)) for each in groups]
        super().__init__(name, slide, marks, Place(), (finest.width, finest.height))
        self._groups = [_Group.of(each, find_unit(slide)) for each in groups]

    def draw(self, x: int, y: int, width: int, height: int, by: int, shown: Collection[int]) -> NDArray[np.uint8]:
        """Draw a part of it, ``(y, x, c)`` uint8 RGBA; see `SlideLabel.draw`."""
        picture = Image.new("RGBA", (-(-width // by), -(-height // by)))
        pen = ImageDraw.Draw(picture)
        reach = by * (LINE_PX + POINT_PX)  # what lies beside it may reach into it
        for mark, group in zip(self.marks, self._groups, strict=True):
            if mark.number not in shown:
                continue
            touched = group.find_touched((x - reach, y - reach), (width + 2 * reach, height + 2 * reach))
            small = (group.highest - group.lowest).max(axis=1, initial=0) < DOT_PX * by
            for number in np.flatnonzero(touched & ~small).tolist():
                points = [tuple(point) for point in ((group.shapes[number] - (x, y)) / by).tolist()]
                closing = points[:1] if group.source.is_closed else []
                pen.line([*points, *closing], (*mark.colour, 255), LINE_PX, "curve")
            middles = (group.lowest + group.highest)[touched & small] / 2
            places = np.floor((middles - (x, y)) / by).astype(np.int64)
            _draw_dots(picture, places, mark.colour, POINT_PX if group.source.kind == "POINT" else 0)
        return np.asarray(picture)

    def _sample(self, region: SlideRegion, numbers: Sequence[int]) -> NDArray[np.generic]:
        masks = np.zeros((len(numbers), region.rows, region.columns), bool)
        step = np.array(region.step_um) / self.slide.mpp
        corner = np.array(region.corner_um) / self.slide.mpp
        by_number = {group.source.number: group for group in self._groups}
        for mask, number in zip(masks, numbers, strict=True):
            group = by_number[number]
            if not group.source.is_closed:
                continue
            touched = group.find_touched(tuple(corner), tuple(step * (region.columns, region.rows)))
            for index in np.flatnonzero(touched).tolist():
                _fill((group.shapes[index] - corner) / step - 0.5, mask)
        return masks


def _fill(corners_xy: NDArray[np.float64], mask: NDArray[np.bool_]) -> None:
    """Mark the pixels whose middles, at whole numbers, lie inside a polygon."""
    left, top = np.maximum(np.floor(corners_xy.min(axis=0)), 0).astype(int)
    right, bottom = np.minimum(np.ceil(corners_xy.max(axis=0)) + 1, mask.shape[::-1]).astype(int)
    if right > left and bottom > top:
        mask[top:bottom, left:right] |= fill_polygon(corners_xy - (left, top), (bottom - top, right - left))


def _draw_dots(picture: Image.Image, places: NDArray[np.int64], colour: Colour, reach: int) -> None:
    """Draw squares around ``(n, 2)`` pixels, as many as there may be."""
    if not len(places):
        return
    pixels = np.array(picture)
    for down in range(-reach, reach + 1):
        for along in range(-reach, reach + 1):
            x, y = (places + np.array([along, down])).T
            inside = (x >= 0) & (y >= 0) & (x < picture.width) & (y < picture.height)
            pixels[y[inside], x[inside]] = (*colour, 255)
    picture.paste(Image.fromarray(pixels))
