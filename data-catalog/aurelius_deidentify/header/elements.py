"""Elements as they stand in little-endian bytes: finding where each begins and ends, and writing them again.

Only the hot copy path parses by itself, and only what it is sure of: at anything it does not understand it stops with
`UnknownStructure`, and pydicom reads the object instead (`aurelius_deidentify.header.part10`).
"""

from __future__ import annotations

from struct import Struct

from pydicom.datadict import DicomDictionary
from pydicom.tag import BaseTag

from aurelius_deidentify.header.key_attributes import find_role

SHORT_VRS = frozenset(
    ["AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI",
     "UL", "US"]
)  # fmt: skip
#: VRs whose length takes four bytes in explicit encoding (PS3.5 section 7.1.2).
LONG_VRS = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
UNDEFINED_LENGTH = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
#: Pixel data in its three forms (PS3.6): copied as the element it is.
PIXELS = frozenset([0x7FE00008, 0x7FE00009, 0x7FE00010])
DEEPEST = 40
MOST_HEADS = 50_000

_read_u16 = Struct("<H").unpack_from
_read_u32 = Struct("<L").unpack_from
_read_tag = Struct("<HH").unpack_from
_write_short = Struct("<HH2sH").pack
_write_long = Struct("<HH2s2xL").pack
_write_implicit = Struct("<HHL").pack


class UnknownStructure(Exception):
    """These bytes are nothing the hot copy path is sure of."""


class Head:
    """Tag and VR as they open an element; there is one object for each, so it can be told by identity.

    Parameters
    ----------
    tag
        Its tag.
    VR
        As written in the file; of implicit encodings, as PS3.6 says where that is one VR.
    """

    __slots__ = ("VR", "base", "block", "group", "is_creator", "is_private", "key", "long", "role", "tag")

    def __init__(self, tag: int, VR: str) -> None:
        #: The tag as pydicom has it, whose comparisons are slow.
        self.base = BaseTag(tag)
        self.tag, self.VR, self.long = tag, VR, VR in LONG_VRS
        self.key = f"{tag:08X}"
        self.group = tag >> 16
        self.is_private = bool(self.group & 1)
        element = tag & 0xFFFF
        self.is_creator = self.is_private and 0x10 <= element <= 0xFF
        #: Group and block number of a private element, the same for its creator.
        self.block = self.group << 8 | (element if self.is_creator else element >> 8)
        self.role = find_role(tag)


#: Where an element stands in the bytes: its head, and the offsets of its first byte, of its value, behind its value
#: (before a sequence delimiter), and behind the element.
Found = tuple[Head, int, int, int, int]

_explicit: dict[bytes, Head] = {}
_implicit: dict[bytes, Head] = {}


def scan(data: bytes, start: int, end: int, implicit: bool, depth: int = 0) -> tuple[list[Found], int]:
    """Find the elements of a data set or item.

    Parameters
    ----------
    data
        Bytes in little endian.
    start, end
        Where the data set stands; an item of undefined length ends before ``end``.
    implicit
        Whether VRs are implicit.
    depth
        How many sequences it stands in.

    Returns
    -------
    tuple
        The elements in ascending order, and the offset behind the last (behind the item's delimiter if it has one).

    Raises
    ------
    Unfamiliar
        At bytes that are no element, tags out of order, or an element that ends behind ``end``.
    """
    if depth > DEEPEST:
        raise UnknownStructure
    found: list[Found] = []
    heads, size = (_implicit, 4) if implicit else (_explicit, 6)
    position, last = start, -1
    while position < end:
        opening = data[position : position + size]
        head = heads.get(opening) or _learn_head(opening, implicit)
        tag = head.tag
        if tag <= last:
            raise UnknownStructure
        last = tag
        if implicit:
            value = position + 8
            (length,) = _read_u32(data, position + 4)
        elif head.long:
            value = position + 12
            (length,) = _read_u32(data, position + 8)
        else:
            value = position + 8
            (length,) = _read_u16(data, position + 6)
        if length == UNDEFINED_LENGTH and (head.long or implicit):
            if tag in PIXELS:
                value_end, behind = _skip_fragments(data, value, end)
            else:
                value_end, behind = _skip_items(data, value, end, implicit or head.VR == "UN", depth)
        else:
            if tag == ITEM_END and length == 0:
                return found, position + 8
            value_end = behind = value + length
        if behind > end or head.group == 0xFFFE:
            raise UnknownStructure
        found.append((head, position, value, value_end, behind))
        position = behind
    return found, position


def split_items(data: bytes, start: int, end: int, implicit: bool, depth: int = 0) -> list[list[Found]]:
    """Find the elements of each item of a sequence's value.

    Raises
    ------
    Unfamiliar
        If the bytes are no items.
    """
    items, position = [], start
    while position < end:
        tag, length = _read_delimiter(data, position, end)
        position += 8
        if tag == SEQUENCE_END:
            break
        if tag != ITEM:
            raise UnknownStructure
        limit = end if length == UNDEFINED_LENGTH else position + length
        if limit > end:
            raise UnknownStructure
        found, position = scan(data, position, limit, implicit, depth + 1)
        items.append(found)
    return items


def write_element(tag: int, VR: str, value: bytes, implicit: bool) -> bytes:
    """Return an element's bytes, its value padded to even length.

    Raises
    ------
    Unfamiliar
        If the value is too long for its VR.
    """
    if len(value) % 2:
        value += b" " if VR not in ("UI", "OB", "UN") else b"\0"
    if implicit:
        return _write_implicit(tag >> 16, tag & 0xFFFF, len(value)) + value
    if VR in LONG_VRS:
        return _write_long(tag >> 16, tag & 0xFFFF, VR.encode(), len(value)) + value
    if len(value) > 0xFFFF:
        raise UnknownStructure
    return _write_short(tag >> 16, tag & 0xFFFF, VR.encode(), len(value)) + value


def write_item(content: bytes) -> bytes:
    """Return an item of a sequence with a defined length."""
    return _write_implicit(0xFFFE, 0xE000, len(content)) + content


def _learn_head(opening: bytes, implicit: bool) -> Head:
    if len(opening) != (4 if implicit else 6):
        raise UnknownStructure
    group, element = _read_tag(opening, 0)
    tag = group << 16 | element
    VR = ""
    if implicit:
        VR = DicomDictionary.get(tag, ("",))[0]
        VR = "" if " " in VR else VR
    elif group != 0xFFFE:
        VR = opening[4:].decode("latin-1")
        if VR not in SHORT_VRS and VR not in LONG_VRS:
            raise UnknownStructure
    heads = _implicit if implicit else _explicit
    if len(heads) > MOST_HEADS:
        heads.clear()
    head = heads[opening] = Head(tag, VR)
    return head


def _read_delimiter(data: bytes, position: int, end: int) -> tuple[int, int]:
    if position + 8 > end:
        raise UnknownStructure
    group, element = _read_tag(data, position)
    return group << 16 | element, _read_u32(data, position + 4)[0]


def _skip_items(data: bytes, position: int, end: int, implicit: bool, depth: int) -> tuple[int, int]:
    """Return the offsets before and behind the delimiter of a sequence of undefined length."""
    while True:
        tag, length = _read_delimiter(data, position, end)
        if tag == SEQUENCE_END:
            return position, position + 8
        if tag != ITEM:
            raise UnknownStructure
        position += 8
        if length == UNDEFINED_LENGTH:
            _, position = scan(data, position, end, implicit, depth + 1)
        else:
            position += length


def _skip_fragments(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return the offsets before and behind the delimiter of encapsulated pixel data (PS3.5 section A.4)."""
    while True:
        tag, length = _read_delimiter(data, position, end)
        position += 8
        if tag == SEQUENCE_END:
            return position - 8, position
        if tag != ITEM or length == UNDEFINED_LENGTH:
            raise UnknownStructure
        position += length
