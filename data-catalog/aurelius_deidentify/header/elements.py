"""The one scanner of DICOM elements: where each begins and ends in little-endian bytes (PS3.5 section 7.1).

De-identification and the first look at an arriving file scan the bytes here, because decoding every value would cost
more than everything that is done with it later. The scanner stops with `UnknownStructure` at bytes it is not sure of,
and pydicom reads the object instead.
"""

from __future__ import annotations

import struct

from pydicom.datadict import DicomDictionary
from pydicom.tag import BaseTag

from aurelius_deidentify.header.key_attributes import find_role

#: VRs whose length takes two bytes in explicit encoding (PS3.5 section 7.1.2).
SHORT_VRS = frozenset(
    ["AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI",
     "UL", "US"]
)  # fmt: skip
#: VRs whose length takes four.
LONG_VRS = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
UNDEFINED_LENGTH = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
#: Pixel data in its three forms (PS3.6): copied as the element it is.
PIXELS = frozenset([0x7FE00008, 0x7FE00009, 0x7FE00010])
#: Behind the last tag there can be.
NO_TAG = 1 << 32
#: Sequences deeper than this are left to pydicom.
DEEPEST = 40
#: More different heads than a site's devices write; beyond it they are learned anew.
MOST_HEADS = 50_000

_read_explicit = struct.Struct("<6sH").unpack_from
_read_implicit = struct.Struct("<4sL").unpack_from
_read_u32 = struct.Struct("<L").unpack_from
_read_tag = struct.Struct("<HH").unpack_from


class UnknownStructure(Exception):
    """The bytes are not laid out as the scanner knows it; pydicom must read them."""


class Head:
    """The tag and VR that open an element; there is one object for each pair, so identity compares them.

    Parameters
    ----------
    tag
        Its tag.
    VR
        As written in the file; of implicit encodings, as PS3.6 says where that is one VR.
    """

    __slots__ = ("VR", "base", "block", "group", "is_creator", "is_private", "key", "long", "role", "short", "tag")

    def __init__(self, tag: int, VR: str) -> None:
        #: The tag as pydicom has it, whose comparisons are slow.
        self.base = BaseTag(tag)
        self.tag, self.VR, self.long = tag, VR, VR in LONG_VRS
        #: Whether the length takes two bytes where this head was found.
        self.short = False
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


def scan_elements(
    data: bytes, start: int, end: int, implicit: bool, depth: int = 0, until: int = NO_TAG
) -> tuple[list[Found], int]:
    """Find the elements of a data set or item.

    Parameters
    ----------
    data
        Bytes in little endian.
    start, end
        Offsets of the data set; an item of undefined length ends before ``end``.
    implicit
        Whether VRs are implicit.
    depth
        The number of sequences it stands in.
    until
        The last tag wanted; the scan ends before the first element behind it.

    Returns
    -------
    tuple
        The elements in ascending order, and the offset behind the last (behind the item's delimiter if it has one).

    Raises
    ------
    UnknownStructure
        At bytes that are not an element, tags out of order, or an element that ends behind ``end``.
    """
    if depth > DEEPEST:
        raise UnknownStructure
    try:
        return (_scan_implicit if implicit else _scan_explicit)(data, start, end, depth, until)
    except struct.error:  # the bytes end within a head
        raise UnknownStructure from None


def _scan_explicit(data: bytes, start: int, end: int, depth: int, until: int) -> tuple[list[Found], int]:
    found: list[Found] = []
    keep, find_head, read_head = found.append, _explicit.get, _read_explicit
    position, last = start, -1
    while position < end:
        opening, length = read_head(data, position)
        head = find_head(opening) or _learn_head(opening, implicit=False)
        tag = head.tag
        if not last < tag <= until:
            if tag > until:
                break
            raise UnknownStructure
        last = tag
        value = position + 8
        if head.short:  # by far the most elements
            value_end = behind = value + length
        else:
            if head.long:
                value = position + 12
            (length,) = _read_u32(data, value - 4)
            if tag == ITEM_END and length == 0:
                return found, value
            value_end, behind = _find_end(data, value, end, length, head, head.VR == "UN", depth)
        if behind > end:
            raise UnknownStructure
        keep((head, position, value, value_end, behind))
        position = behind
    return found, position


def _scan_implicit(data: bytes, start: int, end: int, depth: int, until: int) -> tuple[list[Found], int]:
    found: list[Found] = []
    position, last = start, -1
    while position < end:
        opening, length = _read_implicit(data, position)
        head = _implicit.get(opening) or _learn_head(opening, implicit=True)
        if head.tag > until:
            break
        if head.tag <= last:
            raise UnknownStructure
        last = head.tag
        value = position + 8
        if last == ITEM_END and length == 0:
            return found, value
        value_end, behind = _find_end(data, value, end, length, head, True, depth)
        if behind > end:
            raise UnknownStructure
        found.append((head, position, value, value_end, behind))
        position = behind
    return found, position


def _find_end(
    data: bytes, value: int, end: int, length: int, head: Head, implicit: bool, depth: int
) -> tuple[int, int]:
    """Return the offsets behind an element's value and behind the element."""
    if head.group == 0xFFFE:
        raise UnknownStructure
    if length != UNDEFINED_LENGTH:
        return value + length, value + length
    if head.tag in PIXELS:
        return _skip_fragments(data, value, end)
    return _skip_items(data, value, end, implicit, depth)


def split_items(data: bytes, start: int, end: int, implicit: bool, depth: int = 0) -> list[list[Found]]:
    """Find the elements of each item of a sequence's value.

    Raises
    ------
    UnknownStructure
        If the bytes are not items.
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
        found, position = scan_elements(data, position, limit, implicit, depth + 1)
        items.append(found)
    return items


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
    head.short = not implicit and VR in SHORT_VRS
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
            _, position = scan_elements(data, position, end, implicit, depth + 1)
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
