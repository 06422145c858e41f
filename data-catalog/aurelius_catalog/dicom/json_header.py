"""Headers as DICOM JSON (PS3.18 Annex F), which the index keeps and reads its columns from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from pydicom import DataElement, Dataset
from pydicom.datadict import tag_for_keyword

#: Values longer than this stay in the file: no search needs a lookup table.
LONGEST_INLINE_BYTES = 1024
Header = Mapping[str, Any]
_encode = json.JSONEncoder(allow_nan=False).encode


def make_header(dataset: Dataset) -> dict[str, Any]:
    """Return a header as DICOM JSON, without values that are unreadable or longer than `LONGEST_INLINE_BYTES`.

    pydicom would leave unreadable values out as well, but it makes every reader of the process strict meanwhile (for
    good, where two threads do it at once), and it writes the values into the log.
    """
    header = {}
    for tag in dataset.keys():  # noqa: SIM118 - to iterate over the elements would read them
        with suppress(Exception):  # whatever a damaged value makes a converter raise
            header[f"{tag:08X}"] = _make_element(dataset[tag])
    return header


def _make_element(element: DataElement) -> dict[str, Any]:
    if element.VR == "SQ":
        return {"vr": "SQ", "Value": [make_header(item) for item in element.value]}
    return element.to_json_dict(lambda _: "", LONGEST_INLINE_BYTES)


class Written(str):
    """JSON that is already text; `index.database` stores it as it is."""


def write_header(header: Header, texts: dict[int, str]) -> Written:
    """Write a header out.

    Parameters
    ----------
    header
        As `make_header` or a de-identification session makes it.
    texts
        The text of each element written so far, by its identity: most elements of a study's headers are the same
        objects. Valid as long as all those headers live.
    """
    parts = []
    for tag, element in header.items():
        text = texts.get(id(element))
        if text is None:
            text = texts[id(element)] = write_json(element)
        parts.append(f'"{tag}": {text}')
    return Written(f"{{{', '.join(parts)}}}")


def write_json(value: Any) -> str:
    """Write JSON as databases take it: numbers that are not finite, which no JSON knows, become null."""
    if isinstance(value, Written):
        return value
    try:
        return _encode(value)
    except ValueError:
        return json.dumps(_drop_infinite(value))


def _drop_infinite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _drop_infinite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_drop_infinite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_values(header: Header, keyword: str) -> list[Any]:
    """Return the values of an attribute; empty if it is absent or has none."""
    element = header.get(spell_tag(keyword))
    values = element.get("Value") if element else None
    return values if isinstance(values, list) else []


def read_text(header: Header, keyword: str) -> str | None:
    r"""Return an attribute as text, several values joined by ``\``; None if it is absent."""
    found = [str(value) for value in read_values(header, keyword) if value is not None]
    return "\\".join(found).replace("\0", "") or None


def read_number(header: Header, keyword: str) -> float | None:
    """Return the first value of an attribute as a number; None if it is not a finite number."""
    values = read_numbers(header, keyword)
    return values[0] if values else None


def read_numbers(header: Header, keyword: str) -> list[float]:
    """Return the values of an attribute as numbers; empty unless all are finite numbers."""
    try:
        numbers = [float(value) for value in read_values(header, keyword)]
    except (TypeError, ValueError):
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


@cache
def spell_tag(keyword: str) -> str:
    """Return the tag of a keyword as DICOM JSON spells it."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(f"{keyword} is not a DICOM keyword.")
    return f"{tag:08X}"
