"""The encoding of elements and items in little endian (PS3.5 sections 7.1 and 7.5)."""

from __future__ import annotations

from struct import Struct

from aurelius_deidentify.header.elements import ITEM
from aurelius_deidentify.header.heads import LONG_VRS, UnknownStructure

_pack_short = Struct("<HH2sH").pack
_pack_long = Struct("<HH2s2xL").pack
_pack_implicit = Struct("<HHL").pack


def write_element(tag: int, VR: str, value: bytes, implicit: bool) -> bytes:
    """Return an element's bytes, its value padded to even length.

    Raises
    ------
    UnknownStructure
        If the value is too long for its VR.
    """
    if len(value) % 2:
        value += b" " if VR not in ("UI", "OB", "UN") else b"\0"
    if implicit:
        return _pack_implicit(tag >> 16, tag & 0xFFFF, len(value)) + value
    if VR in LONG_VRS:
        return _pack_long(tag >> 16, tag & 0xFFFF, VR.encode(), len(value)) + value
    if len(value) > 0xFFFF:
        raise UnknownStructure
    return _pack_short(tag >> 16, tag & 0xFFFF, VR.encode(), len(value)) + value


def write_item(content: bytes) -> bytes:
    """Return an item of a sequence with a defined length."""
    return _pack_implicit(ITEM >> 16, ITEM & 0xFFFF, len(content)) + content
