"""Values as they stand in a file: is there one, is it what its VR promises, and what stands in for it."""

from __future__ import annotations

import re
from typing import Any

from pydicom import DataElement
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

Element = DataElement | RawDataElement

#: Valid stand-ins for a value, by VR (PS3.5 section 6.2). 1900 is before every image, so nobody takes it for real.
DUMMIES: dict[str, Any] = {
    "AE": "REMOVED",
    "AS": "000Y",
    "AT": 0,
    "CS": "REMOVED",
    "DA": "19000101",
    "DS": "0",
    "DT": "19000101000000",
    "FD": 0.0,
    "FL": 0.0,
    "IS": "1",
    "LO": "REMOVED",
    "LT": "REMOVED",
    "OB": b"\0\0",
    "OD": bytes(8),
    "OF": bytes(4),
    "OL": bytes(4),
    "OV": bytes(8),
    "OW": b"\0\0",
    "PN": "REMOVED",
    "SH": "REMOVED",
    "SL": 0,
    "SS": 0,
    "ST": "REMOVED",
    "SV": 0,
    "TM": "000000",
    "UC": "REMOVED",
    "UL": 0,
    "UN": b"\0\0",
    "UR": "urn:removed",
    "US": 0,
    "UT": "REMOVED",
    "UV": 0,
}
SINGLE_VALUED = frozenset({"LT", "OB", "OD", "OF", "OL", "OV", "OW", "ST", "UN", "UR", "UT"})
TEXT = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
STRINGS = TEXT | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "PN", "TM", "UI", "UR"}
NUMBER = re.compile(rb"[0-9+\-.eE \\\0]*")
UID_VALUE = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_empty(element: Element) -> bool:
    """Whether an element has no value."""
    return not element.value if isinstance(element, RawDataElement) else element.is_empty


def split_strings(element: Element) -> list[str]:
    """Return the values of a UI or other plain ASCII element, without padding."""
    value = element.value
    if isinstance(value, bytes):
        parts = value.decode("ascii", "surrogateescape").split("\\")
    elif isinstance(value, str):
        parts = value.split("\\")
    else:
        parts = [str(part) for part in (value if value is not None else [])]
    return [part.strip(" \0") for part in parts]


def count_values(element: Element) -> int:
    """Return how many values an element has (for binary numbers read raw: one)."""
    value: Any = element.value
    if isinstance(value, bytes):
        return value.count(b"\\") + 1
    return len(value) if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue" else 1


def make_dummy(tag: BaseTag, VR: str, element: Element) -> DataElement:
    """Return a stand-in with as many values as the original has."""
    count = count_values(element) if VR in STRINGS - SINGLE_VALUED else 1
    dummy = DUMMIES[VR]
    return DataElement(tag, VR, [dummy] * count if count > 1 else dummy)


def is_trustworthy(element: Element, VR: str) -> bool:
    """Whether the value is of the kind the dictionary says, so that it cannot carry something else.

    Parameters
    ----------
    element
        As found in the file.
    VR
        As in PS3.6, possibly ambiguous.
    """
    found = element.VR or VR
    allowed = set(VR.split(" or "))
    if not (found in allowed or found == VR or (found in TEXT and allowed <= TEXT)):
        return False
    value = element.value
    if isinstance(value, bytes) and found in ("DS", "IS"):
        return NUMBER.fullmatch(value) is not None
    return True


def cut_hidden_tail(element: Element, VR: str) -> Element:
    """Drop what stands after a NUL in a raw string: viewers do not show it, byte searches find it.

    No character set of PS3.3 C.12.1.1.2 uses the byte 0 inside a character.
    """
    value = element.value
    if not isinstance(element, RawDataElement) or not isinstance(value, bytes) or b"\0" not in value:
        return element
    if (element.VR or VR) not in STRINGS:
        return element
    visible = value.split(b"\0", 1)[0]
    visible += b" " * (len(visible) % 2)
    return element._replace(value=visible, length=len(visible))
