"""The attributes every de-identified object carries: its pseudonym, that identity was removed, and by which method."""

from __future__ import annotations

from pydicom.dataelem import RawDataElement

from aurelius_deidentify.header.element_encoding import write_element, write_item
from aurelius_deidentify.header.heads import Head
from aurelius_deidentify.header.json_values import Fragment, make_fragment
from aurelius_deidentify.header.key_attributes import PATIENT_ID, PATIENT_NAME
from aurelius_deidentify.header.outcome_cache import ElementOutcome
from aurelius_deidentify.header.profile import Profile

IDENTITY_REMOVED, METHOD, METHOD_CODES, TEMPORAL = 0x00120062, 0x00120063, 0x00120064, 0x00280303


def make_method_attributes(profile: Profile, pseudonym: str, implicit: bool) -> list[ElementOutcome]:
    """Return the elements that stand in every object of a patient (PS3.15 section E.1.1, PS3.3 section C.12.1)."""
    plain = [
        (PATIENT_NAME, "PN", pseudonym),
        (PATIENT_ID, "LO", pseudonym),
        (IDENTITY_REMOVED, "CS", "YES"),
        (METHOD, "LO", profile.method),
        (TEMPORAL, "CS", profile.temporal),
    ]
    outcomes = [_make_outcome(tag, VR, text.encode("ascii"), implicit) for tag, VR, text in plain]
    return [*outcomes, _make_codes(profile, implicit)]


def _make_outcome(tag: int, VR: str, value: bytes, implicit: bool, fragment: Fragment | None = None) -> ElementOutcome:
    head = Head(tag, VR)
    element = RawDataElement(head.base, VR, len(value), value, 0, implicit, True)
    fragment = fragment or make_fragment(VR, value, ["ascii"])
    return ElementOutcome(head, "", write_element(tag, VR, value, implicit), fragment, element)


def _make_codes(profile: Profile, implicit: bool) -> ElementOutcome:
    items, fragments = [], []
    for value, scheme, meaning in profile.codes:
        code = [
            _make_outcome(tag, VR, text.encode("ascii"), implicit)
            for tag, VR, text in ((0x00080100, "SH", value), (0x00080102, "SH", scheme), (0x00080104, "LO", meaning))
        ]
        items.append(write_item(b"".join(outcome.output for outcome in code)))
        fragments.append({outcome.key: outcome.fragment for outcome in code})
    return _make_outcome(METHOD_CODES, "SQ", b"".join(items), implicit, {"vr": "SQ", "Value": fragments})
