"""Items judged as a whole before their attributes: codes, and content items of reports (PS3.15 section E.3.4)."""

from __future__ import annotations

from dataclasses import replace

from aurelius_deidentify.header.elements import Found, split_items
from aurelius_deidentify.header.heads import UnknownStructure
from aurelius_deidentify.header.profile import Profile, Rule
from aurelius_deidentify.header.structured_content import find_content_rule
from aurelius_deidentify.header.values import STRINGS

#: Inside replaced content these codes say what kind of value stood there, not what it was.
STRUCTURAL_CODES = frozenset({"ConceptNameCodeSequence", "MeasurementUnitsCodeSequence"})
PUBLIC_SCHEMES = frozenset({"DCM", "FMA", "LN", "SCT", "SNM3", "SRT", "UCUM", "UMLS"})
CODE_VALUE, CODING_SCHEME, VALUE_TYPE, CONCEPT_NAME = 0x00080100, 0x00080102, 0x0040A040, 0x0040A043
REFERENCED_ITEM = 0x0040DB73
#: The attributes that hold a content item's value (PS3.3 Table C.17-6 and C.18).
CONTENT_VALUES = frozenset(
    ["ConceptCodeSequence", "Date", "DateTime", "MeasuredValueSequence", "PersonName", "TextValue", "Time", "UID"]
)
_TEMPORAL = ("DA", "DT", "TM")


def choose_mode(mode: str, data: bytes, item: list[Found], implicit: bool, profile: Profile) -> str | None:
    """Return the mode for an item of a sequence that is walked in some mode; None if the whole item is removed.

    Modes are ``walk`` (the profile's rules), ``replace`` (only structure stays), ``code`` (of public schemes: walk, of
    others: replace), ``content`` (by the concept of the content item, Table E.3.4-1) and ``content:`` with its action.
    """
    if mode == "code":
        return "walk" if _read(data, item, CODING_SCHEME) in PUBLIC_SCHEMES else "replace"
    if mode != "content":
        return mode
    if any(found[0].tag == REFERENCED_ITEM for found in item):
        return "walk"  # says only which other item of the report is meant
    concept = next((found for found in item if found[0].tag == CONCEPT_NAME), None)
    code = ("", "")
    if concept is not None:
        try:
            inner = split_items(data, concept[2], concept[3], implicit)
        except UnknownStructure:
            return None
        if inner:
            code = (_read(data, inner[0], CODE_VALUE), _read(data, inner[0], CODING_SCHEME))
    action = find_content_rule(code, _read(data, item, VALUE_TYPE), profile.options)
    return None if action == "X" else f"content:{action}"


def choose_child_mode(mode: str) -> str:
    """Return the mode for the items of a kept sequence in a data set that is walked in some mode."""
    return "code" if mode == "replace" else "walk"


def find_rule(profile: Profile, tag: int, mode: str) -> Rule:
    """Return the rule for an attribute of a data set that is walked in some mode."""
    rule = profile.find_rule(tag)
    if mode == "replace":
        return _replace(rule)
    if mode.startswith("content:") and rule.keyword in CONTENT_VALUES:
        return _rule_content(rule, mode[-1], profile)
    return rule


def _replace(rule: Rule) -> Rule:
    """Return the rule inside a sequence that must be replaced (D): what would be kept as text is replaced too."""
    if rule.action not in ("K", "C", "S") or rule.keyword in STRUCTURAL_CODES:
        return rule
    texts = rule.VR == "SQ" or not rule.VR or rule.VR in STRINGS - {"CS", "UI"}
    return replace(rule, action="D") if texts else rule


def _rule_content(rule: Rule, action: str, profile: Profile) -> Rule:
    if rule.VR in _TEMPORAL and action in ("C", "S"):
        action = "S" if "retain_modified_dates" in profile.options else "D"
    elif rule.VR == "PN" and action == "C":
        action = "D"
    elif rule.VR == "UI" and action == "C":
        action = "U"
    elif rule.VR == "SQ" and action in ("K", "C", "U"):
        action = "C"  # codes of public schemes stay, others are replaced; measured values are walked
    elif rule.VR == "UT" and action == "U":
        action = "D"
    return replace(rule, action=action, otherwise="D")


def _read(data: bytes, item: list[Found], tag: int) -> str:
    for head, _, value, value_end, _ in item:
        if head.tag == tag:
            return data[value:value_end].decode("latin-1").strip(" \0")
    return ""
