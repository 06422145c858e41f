"""The Basic Profile: one rule for every tag there can be, decided once and remembered.

The order of authority is: what cannot stand in a data set, Table E.1-1, our additions to it, the DICOM dictionary.
What none of them knows is removed.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pydicom.datadict import DicomDictionary

from aurelius_catalog.deidentify.table import EDITION, ProfileTable, load_table

#: PS3.15 gives several codes where the right one depends on the attribute's Type in the object's definition. Without
#: the object's definition at hand, the last code of each is chosen: it satisfies every Type (a value is never missing
#: where Type 1 wants one, nor an attribute where Type 2 wants one) and, like the others, leaves no original value.
RESOLVED = {"X/Z": "Z", "X/D": "D", "Z/D": "D", "X/Z/D": "D", "X/Z/U*": "U"}

#: The one X/Z attribute that no object's definition lets be empty: its items hold references only, which are renewed.
NEVER_EMPTY = {"ReferencedStudySequence": "U"}

#: What becomes of attributes that the standard knows and the table does not list, where the kind of value alone makes
#: them suspect: names, free text, dates, addresses. The other kinds are kept.
UNLISTED_BY_VR = {
    "PN": "D",
    "LT": "D",
    "ST": "D",
    "UT": "D",
    "DA": "D",
    "DT": "D",
    "TM": "D",
    "AE": "X",
    "AS": "X",
    "UN": "X",
    "UR": "X",
}

#: UIDs that name a kind of thing, not a thing. Every other UID is replaced.
CLASS_UIDS = frozenset(
    {
        "AvailableTransferSyntaxUID",
        "CodingSchemeUID",
        "ContextUID",
        "EncryptedContentTransferSyntaxUID",
        "MACCalculationTransferSyntaxUID",
        "MappingResourceUID",
        "OriginalSpecializedSOPClassUID",
        "PertinentSOPClassesInSeries",
        "PertinentSOPClassesInStudy",
        "ReferencedSOPClassUID",
        "ReferencedSOPClassUIDInFile",
        "RelatedGeneralSOPClassUID",
        "SOPClassUID",
        "SOPClassesInStudy",
        "SOPClassesSupported",
        "StoredInstanceTransferSyntaxUID",
    }
)
GRAPHICS_GROUPS = (0x50, 0x60)


@dataclass(frozen=True)
class Rule:
    """What happens to an attribute.

    Parameters
    ----------
    action
        One of ``X`` remove, ``Z`` empty, ``D`` replace, ``U`` new UID, ``K`` keep, ``C`` clean.
    VR
        The attribute's value representation in PS3.6, possibly ambiguous (``"US or SS"``); empty if unknown.
    keyword
        PS3.6 keyword; empty if unknown.
    """

    action: str
    VR: str = ""
    keyword: str = ""


REMOVE = Rule("X")


class BasicProfile:
    """The Basic Application Level Confidentiality Profile (PS3.15 section E.2), without options."""

    edition = EDITION
    method = f"PS3.15 {EDITION} Table E.1-1, Basic Profile (Aurelius)"

    def __init__(self) -> None:
        self.table: ProfileTable = load_table()
        self.additions = load_additions()
        self._rules: dict[int, Rule] = {}

    def find_rule(self, tag: int) -> Rule:
        """Return the rule for a tag of a data set, at any depth."""
        rule = self._rules.get(tag)
        if rule is None:
            rule = self._rules[tag] = self._decide(int(tag))
        return rule

    def _decide(self, tag: int) -> Rule:
        group, element = tag >> 16, tag & 0xFFFF
        if group in (0x0000, 0x0002) or element == 0:
            return REMOVE  # commands, file meta (written anew) and group lengths have no place in a data set
        VR, _, _, _, keyword = DicomDictionary.get(tag, ("", "", "", "", ""))
        row = self.table.find_row(tag)
        if row is not None:
            return Rule(NEVER_EMPTY.get(keyword) or RESOLVED.get(row.basic, row.basic), VR, keyword)
        if group == 0x0004 or group >> 8 in GRAPHICS_GROUPS:
            return REMOVE  # directory records; what is left of an overlay or curve once its data is gone
        if tag in self.additions:
            return Rule(self.additions[tag], VR, keyword)
        if not keyword:
            return REMOVE
        if VR == "UI":
            return Rule("K" if keyword in CLASS_UIDS else "U", VR, keyword)
        return Rule(UNLISTED_BY_VR.get(VR, "K"), VR, keyword)


@cache
def load_additions() -> Mapping[int, str]:
    """Load the actions for attributes that must not be kept although the table does not list them."""
    lines = (files(__package__) / "additions.csv").read_text().splitlines()
    reader = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {int(row["tag"], 16): row["action"] for row in reader}
