"""Profiles: small files that choose the rules, and the rule that follows for every tag there can be.

The order of authority is: what cannot stand in a data set, a site's own rules, Table E.1-1 with the profile's options,
our additions to it, the DICOM dictionary. A tag that none of them knows is removed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from pydicom.datadict import DicomDictionary

from aurelius_deidentify.data_files import read_lines, read_rows
from aurelius_deidentify.header.options import OPTION_CODES, OPTIONS, choose_action
from aurelius_deidentify.header.safe_private import PrivateKey, load_safe_private
from aurelius_deidentify.header.site_profile import SiteRule, parse_profile
from aurelius_deidentify.header.table import EDITION, load_table
from aurelius_deidentify.header.values import CODES, STRINGS

#: PS3.15 gives several codes where the right one depends on the attribute's Type in the object's definition. Without
#: the object's definition at hand, the last code of each is chosen: it satisfies every Type (a value is never missing
#: where Type 1 wants one, nor an attribute where Type 2 wants one) and, like the others, leaves no original value.
RESOLVED = {"X/Z": "Z", "X/D": "D", "Z/D": "D", "X/Z/D": "D", "X/Z/U*": "U"}

#: The one X/Z attribute that no object's definition lets be empty: its items hold references only, which are renewed.
NEVER_EMPTY = {"ReferencedStudySequence": "U"}

#: The action for attributes that the standard knows and the table does not list, where the kind of value alone makes
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
CLASS_UIDS = frozenset(read_lines(__package__, "class_uids.txt"))
GRAPHICS_GROUPS = (0x50, 0x60)


@dataclass(frozen=True)
class Rule:
    """What happens to an attribute.

    Parameters
    ----------
    action
        One of ``X`` remove, ``Z`` empty, ``D`` replace, ``U`` new UID, ``K`` keep, ``C`` clean, ``S`` shift a date.
    VR
        The attribute's value representation in PS3.6, possibly ambiguous (``"US or SS"``); empty if unknown.
    keyword
        PS3.6 keyword; empty if unknown.
    otherwise
        The action for a value that ``C`` or ``S`` cannot handle.
    checked
        Whether kept text must be free of the patient's own names, numbers and places.
    """

    action: str
    VR: str = ""
    keyword: str = ""
    otherwise: str = "X"
    checked: bool = False


REMOVE = Rule("X")


@dataclass(frozen=True)
class Profile:
    """What happens to each attribute: Table E.1-1 of PS3.15, options of its section E.3, and a site's own rules.

    Parameters
    ----------
    name, version
        As in the file.
    options
        Names of the options, as in `aurelius_deidentify.header.options.OPTIONS`.
    rules
        The site's own rules.
    edition
        Edition of PS3.15 the tables are of.
    """

    name: str
    version: int
    options: frozenset[str]
    rules: tuple[SiteRule, ...] = ()
    edition: str = EDITION
    _known: dict[int, Rule] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def method(self) -> str:
        """The value of DeidentificationMethod (LO: at most 64 characters)."""
        return f"PS3.15 {self.edition} Table E.1-1, {self.name[:20]}@{self.version} (Aurelius)"

    @property
    def temporal(self) -> str:
        """The value of LongitudinalTemporalInformationModified (PS3.3 section C.7.6.1)."""
        if "retain_full_dates" in self.options:
            return "UNMODIFIED"
        return "MODIFIED" if "retain_modified_dates" in self.options else "REMOVED"

    @cached_property
    def codes(self) -> tuple[tuple[str, str, str], ...]:
        """(value, scheme, meaning) of CID 7050 for the Basic Profile and each option."""
        codes = [OPTION_CODES[name] for name in ("basic", *OPTIONS) if name == "basic" or name in self.options]
        return tuple((value, "DCM", meaning) for value, meaning in codes)

    @cached_property
    def sha256(self) -> str:
        """Hex digest of everything the profile says, in one order and spelling."""
        rules = [rule.describe() for rule in self.rules]
        content = [self.name, self.version, "basic", self.edition, sorted(self.options), rules]
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def find_rule(self, tag: int) -> Rule:
        """Return the rule for a tag of a data set, at any depth; private attributes need `find_private`."""
        rule = self._known.get(tag)
        if rule is None:
            rule = self._known[tag] = self._decide(int(tag))
        return rule

    def find_private(self, key: PrivateKey, found: str = "") -> Rule:
        """Return the rule for a private attribute that stands in a file with a VR.

        Parameters
        ----------
        key
            Group, creator and the last two digits of the element.
        found
            Its VR as found; empty or UN where only the table knows it.

        Notes
        -----
        Safe attributes are kept as the public ones of their VR would be: dates move, UIDs are renewed, names go.
        """
        VR = load_safe_private().get(key)
        action = next((rule.action for rule in self.rules if rule.private == key), None)
        if action is None:
            action = "K" if VR is not None and "retain_safe_private" in self.options else "X"
        if action == "K":
            kind = found if found not in ("", "UN") else VR or ""
            action = self._judge(0, kind, "private") if kind in ("DA", "DT", "PN", "TM", "UI") else "K"
        return Rule(action, VR or "", checked=True) if action != "X" else REMOVE

    @cached_property
    def _site_rules(self) -> Mapping[int, str]:
        return {rule.tag: rule.action for rule in self.rules if rule.tag is not None}

    def _decide(self, tag: int) -> Rule:
        group, element = tag >> 16, tag & 0xFFFF
        if group in (0x0000, 0x0002) or element == 0 or group % 2:
            return REMOVE  # commands, file meta (written anew) and group lengths have no place in a data set
        VR, _, _, _, keyword = DicomDictionary.get(tag, ("", "", "", "", ""))
        row = load_table().find_row(tag)
        action, otherwise = self._judge(tag, VR, keyword), "X"
        if row is not None:
            otherwise = NEVER_EMPTY.get(keyword) or RESOLVED.get(row.basic, row.basic)
            action = choose_action(row, VR, self.options) or otherwise
        elif VR in STRINGS:
            otherwise = UNLISTED_BY_VR.get(VR, "D")
        checked = row is None and tag not in self._site_rules and keyword not in CODES
        return Rule(self._site_rules.get(tag, action), VR, keyword, otherwise, checked)

    def _judge(self, tag: int, VR: str, keyword: str) -> str:
        """Return the action for an attribute that the table does not list."""
        if tag >> 16 == 0x0004 or tag >> 24 in GRAPHICS_GROUPS:
            return "X"  # directory records; what is left of an overlay or curve once its data is gone
        if tag in load_additions():
            return load_additions()[tag]
        if not keyword:
            return "X"
        if VR == "UI":
            return "K" if keyword in CLASS_UIDS or "retain_uids" in self.options else "U"
        if VR in ("DA", "DT", "TM") and "retain_full_dates" in self.options:
            return "K"
        if VR in ("DA", "DT", "TM") and "retain_modified_dates" in self.options:
            return "S"
        if VR in ("LT", "ST", "UT") and "clean_descriptors" in self.options:
            return "C"
        return UNLISTED_BY_VR.get(VR, "K")


def load_profile(source: str | Path) -> Profile:
    """Load a packaged profile by its name (``basic``, ``research``), or a site's own from a YAML file.

    Raises
    ------
    ProfileUnusable
        If there is no such profile, or it says something that is not understood.
    """
    read = parse_profile(source)
    return Profile(read.name, read.version, frozenset(read.options), read.rules)


@cache
def load_additions() -> Mapping[int, str]:
    """Load the actions for attributes that must not be kept although the table does not list them."""
    return {int(row["tag"], 16): row["action"] for row in read_rows(__package__, "house_rules.csv")}
