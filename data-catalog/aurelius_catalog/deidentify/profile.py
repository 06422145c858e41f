"""The Basic Profile: one rule for every tag there can be, decided once and remembered.

The order of authority is: what cannot stand in a data set, Table E.1-1, our additions to it, the DICOM dictionary.
What none of them knows is removed.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml
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


@dataclass(frozen=True)
class Profile:
    """What happens to each attribute: Table E.1-1 of PS3.15, options of its section E.3, and a site's own rules."""

    name: str
    version: int
    options: frozenset[str]
    rules: tuple[Mapping[str, str], ...]
    sha256: str
    codes: tuple[tuple[str, str, str], ...]
    edition: str = EDITION

    @property
    def method(self) -> str:
        """What DeidentificationMethod says."""
        return f"PS3.15 {self.edition} Annex E, profile {self.name} version {self.version} (Aurelius)"

    def find_rule(self, tag: int) -> Rule:
        """Return the rule for a tag of a data set, at any depth."""
        return _BASIC.find_rule(tag)


def load_profile(source: str | Path) -> Profile:
    """Load a packaged profile by its name, or one from a YAML file."""
    packaged = files(__package__) / "profiles" / f"{source}.yaml"
    text = packaged.read_text() if packaged.is_file() else Path(source).read_text()
    data = yaml.safe_load(text)
    canonical = json.dumps(data, sort_keys=True)
    return Profile(
        data["name"],
        data["version"],
        frozenset(data["options"]),
        tuple(data["rules"]),
        hashlib.sha256(canonical.encode()).hexdigest(),
        (("113100", "DCM", "Basic Application Confidentiality Profile"),),
    )


class _BasicProfile:
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
def _load_basic() -> _BasicProfile:
    return _BasicProfile()


class _Lazy:
    def find_rule(self, tag: int) -> Rule:
        return _load_basic().find_rule(tag)


_BASIC = _Lazy()


@cache
def load_additions() -> Mapping[int, str]:
    """Load the actions for attributes that must not be kept although the table does not list them."""
    lines = (files(__package__) / "additions.csv").read_text().splitlines()
    reader = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {int(row["tag"], 16): row["action"] for row in reader}
