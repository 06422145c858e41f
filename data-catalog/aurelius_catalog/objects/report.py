"""Structured reports: the tree of what was said, the measurements as a table, the key images (PS3.3 A.35)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from aurelius_catalog.errors import InvalidObject

if TYPE_CHECKING:
    import pandas as pd

GROUP, LIBRARY = ("125007", "DCM"), ("111028", "DCM")
TRACKING_IDENTIFIER, TRACKING_UID = ("112039", "DCM"), ("112040", "DCM")
FINDING, DERIVATION = ("121071", "DCM"), ("121401", "DCM")
FINDING_SITES = {("363698007", "SCT"), ("G-C0E3", "SRT")}
COLUMNS = ["group", "tracking_uid", "finding", "site", "name", "derivation", "value", "unit"]


@dataclass(frozen=True)
class ImageReference:
    """An image, or another object, that a report points to; ``frames`` is empty where it means all."""

    SOPClassUID: str
    SOPInstanceUID: str
    SeriesInstanceUID: str = ""
    frames: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class ContentItem:
    """One statement, and those below it.

    Parameters
    ----------
    name, code
        Meaning of the concept, and (value, scheme) of its code.
    kind
        ValueType, such as ``NUM``.
    value
        By kind: text, number (NaN where none was given), meaning of a code, `ImageReference`, or for coordinates
        ``(n, 2)`` pixels or ``(n, 3)`` mm. None for containers.
    unit
        UCUM code of a number; GraphicType of coordinates.
    value_code
        (value, scheme) of a value that is a code.
    items
        What it contains or was inferred from.
    """

    name: str
    code: tuple[str, str]
    kind: str
    value: str | float | ImageReference | NDArray[np.float64] | None = None
    unit: str = ""
    value_code: tuple[str, str] = ("", "")
    items: tuple[ContentItem, ...] = ()

    def __str__(self) -> str:
        return "\n".join(_draw(self, 0))

    def walk(self) -> Iterator[ContentItem]:
        """Yield this item and all below it, in the order of the report."""
        yield self
        for item in self.items:
            yield from item.walk()

    def find(self, name: str) -> list[ContentItem]:
        """Return the items at or below this one whose concept has this meaning, whatever its capitals."""
        return [item for item in self.walk() if item.name.lower() == name.lower()]


class StructuredReport:
    """A structured report, or a selection of key images.

    Parameters
    ----------
    dataset
        The whole object.

    Raises
    ------
    InvalidObject
        If it has no content that can be read.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        if "ContentSequence" not in dataset and "ConceptNameCodeSequence" not in dataset:
            raise InvalidObject("This object is no report: it has no content.")
        series = {
            str(image.ReferencedSOPInstanceUID): str(group.SeriesInstanceUID)
            for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
            for study in dataset.get(keyword) or []
            for group in study.get("ReferencedSeriesSequence") or []
            for image in group.get("ReferencedSOPSequence") or []
        }
        self.root = _read_item(dataset, series)

    def __repr__(self) -> str:
        return f"<Report {self.title}, {len(self.measurements)} measurements, {len(self.key_images)} images>"

    def __str__(self) -> str:
        return str(self.root)

    def _repr_html_(self) -> str:
        return f'<div class="au-report">{_draw_html(self.root)}</div>'

    @property
    def title(self) -> str:
        """Meaning of the report's own concept."""
        return self.root.name or "without title"

    @cached_property
    def measurements(self) -> pd.DataFrame:
        """One row per number: whose (``group``, ``tracking_uid``, ``finding``, ``site``), what, how much, which unit.

        Of reports after TID 1500 (PS3.16) a group is a measurement group; of others, the heading a number stands under.
        What an image library says about the images is left out.
        """
        import pandas as pd  # wanted in notebooks only

        nobody = dict.fromkeys(("group", "tracking_uid", "finding", "site"), "")
        return pd.DataFrame(list(_list_numbers(self.root, nobody)), columns=COLUMNS)

    @cached_property
    def key_images(self) -> list[ImageReference]:
        """The images the report points to, each once, in its order."""
        found = [item.value for item in self.root.walk() if item.kind in ("IMAGE", "COMPOSITE", "WAVEFORM")]
        return list(dict.fromkeys(value for value in found if isinstance(value, ImageReference)))


def _list_numbers(item: ContentItem, above: dict[str, str]) -> Iterator[dict[str, object]]:
    if item.code == LIBRARY:
        return
    if item.kind == "CONTAINER" and (item.code == GROUP or not above["tracking_uid"]):
        above = {**above, "group": item.name, **_describe_group(item)}
    for below in item.items:
        if below.kind == "NUM":
            derivation = [str(each.value) for each in below.items if each.code == DERIVATION]
            yield {
                **above,
                "name": below.name,
                "derivation": ", ".join(derivation),
                "value": below.value,
                "unit": below.unit,
            }
        yield from _list_numbers(below, above)


def _describe_group(item: ContentItem) -> dict[str, str]:
    """Return what the direct items of a container say about all its numbers."""
    found: dict[str, str] = {}
    for below in item.items:
        if below.code == TRACKING_IDENTIFIER:
            found["group"] = str(below.value)
        elif below.code == TRACKING_UID:
            found["tracking_uid"] = str(below.value)
        elif below.code == FINDING:
            found["finding"] = str(below.value)
        elif below.code in FINDING_SITES:
            found["site"] = str(below.value)
    return found


def _read_item(item: Dataset, series: dict[str, str]) -> ContentItem:
    concept = (item.get("ConceptNameCodeSequence") or [Dataset()])[0]
    kind = str(item.get("ValueType") or "")
    value, unit, code = _read_value(item, kind, series)
    return ContentItem(
        name=str(concept.get("CodeMeaning") or ""),
        code=_read_code(concept),
        kind=kind,
        value=value,
        unit=unit,
        value_code=code,
        items=tuple(_read_item(below, series) for below in item.get("ContentSequence") or []),
    )


_TEXTS = {
    "TEXT": "TextValue",
    "DATE": "Date",
    "TIME": "Time",
    "DATETIME": "DateTime",
    "UIDREF": "UID",
    "PNAME": "PersonName",
}


def _read_value(
    item: Dataset, kind: str, series: dict[str, str]
) -> tuple[str | float | ImageReference | NDArray[np.float64] | None, str, tuple[str, str]]:
    """Return value, unit and code of a content item (PS3.3 C.17.3)."""
    if kind in _TEXTS:
        return str(item.get(_TEXTS[kind]) or ""), "", ("", "")
    if kind == "CODE":
        code = (item.get("ConceptCodeSequence") or [Dataset()])[0]
        return str(code.get("CodeMeaning") or ""), "", _read_code(code)
    if kind == "NUM":
        measured = (item.get("MeasuredValueSequence") or [Dataset()])[0]
        unit = (measured.get("MeasurementUnitsCodeSequence") or [Dataset()])[0]
        number = measured.get("NumericValue")
        return float("nan") if number is None else float(number), str(unit.get("CodeValue") or ""), ("", "")
    if kind in ("SCOORD", "SCOORD3D"):
        points = np.array(item.get("GraphicData") or [], dtype=np.float64)
        return points.reshape(-1, 2 if kind == "SCOORD" else 3), str(item.get("GraphicType") or ""), ("", "")
    if kind in ("IMAGE", "COMPOSITE", "WAVEFORM"):
        return _read_reference((item.get("ReferencedSOPSequence") or [Dataset()])[0], series), "", ("", "")
    return None, "", ("", "")


def _read_reference(image: Dataset, series: dict[str, str]) -> ImageReference:
    numbers = image.get("ReferencedFrameNumber") or []
    uid = str(image.get("ReferencedSOPInstanceUID") or "")
    return ImageReference(
        SOPClassUID=str(image.get("ReferencedSOPClassUID") or ""),
        SOPInstanceUID=uid,
        SeriesInstanceUID=series.get(uid, ""),
        frames=(int(numbers),) if isinstance(numbers, (int, str)) else tuple(int(number) for number in numbers),
    )


def _read_code(code: Dataset) -> tuple[str, str]:
    return str(code.get("CodeValue") or ""), str(code.get("CodingSchemeDesignator") or "")


def _describe(item: ContentItem) -> str:
    """Return a content item in one line."""
    value = item.value
    if value is None:
        return item.name or item.kind.lower()
    if isinstance(value, ImageReference):
        text = f"image {value.SOPInstanceUID}" + (f", frames {value.frames}" if value.frames else "")
    elif isinstance(value, np.ndarray):
        text = f"{item.unit.lower()} of {len(value)} points"
    else:
        text = f"{value:g} {item.unit}".rstrip() if isinstance(value, float) else value
    return f"{item.name}: {text}" if item.name else text


def _draw(item: ContentItem, depth: int) -> Iterator[str]:
    yield "  " * depth + _describe(item)
    for below in item.items:
        yield from _draw(below, depth + 1)


def _draw_html(item: ContentItem) -> str:
    below = "".join(f"<li>{_draw_html(each)}</li>" for each in item.items)
    line = escape(_describe(item))
    return f"<details open><summary>{line}</summary><ul>{below}</ul></details>" if below else line
