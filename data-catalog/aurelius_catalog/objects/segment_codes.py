"""Codes for segment labels (PS3.16 CID 7150 and 7151), for the segmentations that the house writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

#: Words people use for what the context groups name otherwise.
SYNONYMS = {
    "bone": "bone tissue",
    "fat": "adipose tissue",
    "haemorrhage": "hemorrhage",
    "metastasis": "neoplasm, secondary",
    "muscle": "skeletal muscle tissue",
    "oedema": "edema",
    "tumor": "neoplasm",
    "tumour": "neoplasm",
    "vessel": "blood vessel",
}
SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right}


@dataclass(frozen=True)
class Property:
    """Category and type of a segment, and its side where the label names one."""

    category: Code
    type: Code
    side: Code | None = None


def describe_label(label: str) -> Property:
    """Find the codes of a label such as ``left kidney``; ``Tissue``, which says nothing more, where there are none."""
    words = [word for word in re.split(r"[^a-z,]+", label.lower()) if word]
    sides = {word for word in words if word in SIDES}
    spoken = " ".join(word for word in words if word not in SIDES)
    for name in (spoken, spoken.removesuffix("s")):
        if found := _list_types().get(SYNONYMS.get(name, name)):
            return Property(*found, side=SIDES[sides.pop()] if len(sides) == 1 else None)
    return Property(codes.SCT.Tissue, codes.SCT.Tissue)


@cache
def _list_types() -> dict[str, tuple[Code, Code]]:
    """Return (category, type) by the type's meaning, in small letters; the special groups over the general one."""
    groups = (
        (codes.CID7151, codes.SCT.AnatomicalStructure),
        (codes.CID7157, codes.SCT.PhysicalObject),
        (codes.CID7166, codes.SCT.Tissue),
        (codes.CID7159, codes.SCT.MorphologicallyAbnormalStructure),
    )
    found = {}
    for group, category in groups:
        for name in group.dir():
            code = getattr(group, name)
            found[code.meaning.lower()] = (category, code)
    return found
