"""Heads of elements: the tag and VR that open each, learned once and told apart by identity (PS3.5 section 7.1)."""

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
#: More different heads than a site's devices write; beyond it they are learned anew.
MOST_HEADS = 50_000

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


#: The heads met so far, by the bytes they were read from.
EXPLICIT_HEADS: dict[bytes, Head] = {}
IMPLICIT_HEADS: dict[bytes, Head] = {}


def learn_head(opening: bytes, implicit: bool) -> Head:
    """Return the head for the first bytes of an element, and remember it.

    Parameters
    ----------
    opening
        Four bytes of tag, and two of VR where that is explicit.
    implicit
        Whether VRs are implicit.

    Raises
    ------
    UnknownStructure
        If the bytes end too early, or name a VR that does not exist.
    """
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
    heads = IMPLICIT_HEADS if implicit else EXPLICIT_HEADS
    if len(heads) > MOST_HEADS:
        heads.clear()
    head = heads[opening] = Head(tag, VR)
    head.short = not implicit and VR in SHORT_VRS
    return head
