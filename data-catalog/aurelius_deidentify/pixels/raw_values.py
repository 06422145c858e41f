"""Raw values of a header: the bytes as they came, for the hot path, without decoding."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag, Tag

NUMBER_OF_FRAMES = Tag("NumberOfFrames")


def read_bytes(dataset: Dataset, tag: BaseTag) -> bytes:
    """Return the value of an element as bytes, decoding nothing."""
    if tag not in dataset.keys():  # noqa: SIM118 - many times faster than asking the data set
        return b""
    value = dataset.get_item(tag).value
    if isinstance(value, bytes):
        return value
    if value is None:
        return b""
    parts = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    return "\\".join(str(part) for part in parts).encode("latin-1", "replace")


def read_number(dataset: Dataset, tag: BaseTag) -> int:
    """Return the value of a US or IS element, decoding nothing; 0 if it has none.

    Raises
    ------
    ValueError
        If it is not one number.
    """
    if tag not in dataset.keys():  # noqa: SIM118 - many times faster than asking the data set
        return 0
    element = dataset.get_item(tag)
    value = element.value
    # NumberOfFrames is written in digits.
    if isinstance(element, RawDataElement) and tag != NUMBER_OF_FRAMES and isinstance(value, bytes) and len(value) == 2:
        return int.from_bytes(value, "little" if element.is_little_endian else "big")
    return int(read_bytes(dataset, tag).strip(b"\0 ") or 0)
