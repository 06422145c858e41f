"""Values in the DICOM JSON Model (PS3.18 Annex F), made from an element's bytes."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from struct import unpack
from typing import Any

from aurelius_deidentify.header.values import SINGLE_VALUED, WIDTHS, decode_text

#: Longer values stay in the file: a lookup table is not searched for.
LONGEST_INLINE_BYTES = 1024
BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
FORMATS = {"FD": "d", "FL": "f", "SL": "l", "SS": "h", "SV": "q", "UL": "L", "US": "H", "UV": "Q"}
Fragment = dict[str, Any]


def make_fragment(VR: str, value: bytes, encodings: Sequence[str]) -> Fragment | None:
    """Return the DICOM JSON of a value other than a sequence.

    Parameters
    ----------
    VR
        Its value representation.
    value
        Its bytes, little endian.
    encodings
        Python names of the object's character sets.

    Returns
    -------
    dict or None
        With ``vr`` alone where the value is empty or too long for an index; None where the value cannot be read.
    """
    if not value or len(value) > LONGEST_INLINE_BYTES:
        return {"vr": VR}
    if VR in BULK:
        return {"vr": VR, "InlineBinary": base64.b64encode(value).decode()}
    try:
        values = _read_values(VR, value, encodings)
    except (ValueError, OverflowError):
        return None
    return {"vr": VR, "Value": values} if values else {"vr": VR}


def _read_values(VR: str, value: bytes, encodings: Sequence[str]) -> list[Any]:
    if VR in FORMATS:
        return _read_numbers(VR, value)
    if VR == "AT":
        return [f"{group:04X}{element:04X}" for group, element in zip(*[iter(unpack(f"<{len(value) // 2}H", value))] * 2)]  # fmt: skip  # noqa: B905, E501
    text = decode_text(value, VR, encodings)
    if not text:
        return []
    if VR in SINGLE_VALUED:
        return [text]
    parts = text.split("\\")
    if VR == "DS":
        return [_finite(float(part)) if part.strip() else None for part in parts]
    if VR == "IS":
        return [_whole(part) if part.strip() else None for part in parts]
    if VR == "PN":
        return [_split_name(part) for part in parts]
    if VR in ("AE", "CS", "UI", "LO", "SH"):
        return [part.strip(" \0") or None for part in parts]
    return [part.rstrip(" \0") or None for part in parts]


def _read_numbers(VR: str, value: bytes) -> list[Any]:
    numbers = unpack(f"<{len(value) // WIDTHS[VR]}{FORMATS[VR]}", value)
    return list(numbers) if VR[0] != "F" else [_finite(number) for number in numbers]


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("JSON has no word for it.")
    return number


def _whole(text: str) -> int:
    number = float(text)
    if number != int(number):
        raise ValueError("IS holds whole numbers.")
    return int(number)


def _split_name(text: str) -> dict[str, str]:
    parts = text.split("=")
    return dict(zip(("Alphabetic", "Ideographic", "Phonetic"), parts, strict=False))
