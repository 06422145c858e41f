"""The one scanner of DICOM elements: where each begins and ends in little-endian bytes (PS3.5 section 7.1).

De-identification and the first look at an arriving file scan the bytes here, because decoding every value would cost
more than everything that is done with it later. The scanner stops with `UnknownStructure` at bytes it is not sure of,
and pydicom reads the object instead.
"""

from __future__ import annotations

import struct

from aurelius_deidentify.header.heads import EXPLICIT_HEADS, IMPLICIT_HEADS, Head, UnknownStructure, learn_head

UNDEFINED_LENGTH = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
#: Pixel data in its three forms (PS3.6): copied as the element it is.
PIXELS = frozenset([0x7FE00008, 0x7FE00009, 0x7FE00010])
#: Behind the last tag there can be.
NO_TAG = 1 << 32
#: Sequences deeper than this are left to pydicom.
DEEPEST = 40

_read_explicit = struct.Struct("<6sH").unpack_from
_read_implicit = struct.Struct("<4sL").unpack_from
_read_u32 = struct.Struct("<L").unpack_from
_read_tag = struct.Struct("<HH").unpack_from


#: Where an element stands in the bytes: its head, and the offsets of its first byte, of its value, behind its value
#: (before a sequence delimiter), and behind the element.
Found = tuple[Head, int, int, int, int]


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
    keep, find_head, read_head = found.append, EXPLICIT_HEADS.get, _read_explicit
    position, last = start, -1
    while position < end:
        opening, length = read_head(data, position)
        head = find_head(opening) or learn_head(opening, implicit=False)
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
        head = IMPLICIT_HEADS.get(opening) or learn_head(opening, implicit=True)
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
