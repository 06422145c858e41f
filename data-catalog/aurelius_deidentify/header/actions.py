"""The actions of PS3.15 section E.1.1 on one attribute, one function each.

Every function takes the attribute as found and the walker that met it, and returns the value to write, or None where
the attribute is removed. Compound codes (``X/Z/D`` ...) were resolved to one of these by
`aurelius_deidentify.header.profile`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydicom.uid import UID_dictionary

from aurelius_deidentify.header.attribute import Attribute, SequenceItems, Walker
from aurelius_deidentify.header.dates import OFFSET, keep_time, shift_date, shift_moment
from aurelius_deidentify.header.descriptors import clean_text
from aurelius_deidentify.header.key_attributes import PATIENT_ID
from aurelius_deidentify.header.values import (
    SINGLE_VALUED,
    TEXT,
    TYPED_CODES,
    UID_VALUE,
    cut_hidden_tail,
    decode_text,
    encode_text,
    is_trustworthy,
    make_dummy,
    split_values,
)

#: Sequences whose items are content items (PS3.3 section C.17.3 and Table 10-2).
CONTENT_SEQUENCE = 0x0040A730
CONTENT_SEQUENCES = frozenset([CONTENT_SEQUENCE, 0x00400555, 0x00400612, 0x00400440])
#: Ages beyond this identify, because few people reach them (45 CFR 164.514(b)(2)(i)(C)).
OLDEST = b"090Y"


Made = bytes | SequenceItems | None
Action = Callable[[Attribute, Walker], Made]


def remove(attribute: Attribute, walker: Walker) -> Made:
    """X: remove the attribute."""
    return None


def empty(attribute: Attribute, walker: Walker) -> Made:
    """Z: keep the attribute without its value."""
    return b""


def replace(attribute: Attribute, walker: Walker) -> Made:
    """D: replace the value by a dummy valid for the VR, a UID by a new UID, a sequence by its structure alone.

    An empty value stays empty: it identifies no one, and a dummy would claim that there had been one. PatientID gets
    the pseudonym at any depth, so that the patient's objects can still be joined.
    """
    if attribute.tag == PATIENT_ID:
        return walker.context.pseudonym.encode("ascii")
    if not attribute.value:
        return b""
    if attribute.VR == "UI":
        return renew(attribute, walker)
    if attribute.VR == "SQ":
        return walker.walk_items(attribute, "replace") if attribute.fits else b""
    return make_dummy(attribute.VR, attribute.value)


def renew(attribute: Attribute, walker: Walker) -> Made:
    """U: replace a UID by a new one, the same wherever the original stood; of a sequence (U*), the UIDs in its items.

    UIDs that the standard itself defines (palettes, well-known frames of reference) name no one and stay.
    """
    if attribute.VR == "SQ":
        return walk(attribute, walker)
    uids = [part.decode("ascii", "surrogateescape") for part in split_values(attribute.value, "UI")]
    return "\\".join(uid if uid in UID_dictionary else walker.map_uid(uid) for uid in uids if uid).encode("ascii")


def keep(attribute: Attribute, walker: Walker) -> Made:
    """K: keep the attribute if its value is of the kind the standard says; sequences are walked.

    Text of attributes that the table does not list is kept only if it holds no name, number or place of the patient.
    """
    if attribute.VR == "SQ":
        return walk(attribute, walker)
    if not attribute.fits or attribute.VR == "UN" or not is_trustworthy(attribute.VR, "", attribute.value):
        return None
    if attribute.VR == "UI":
        return _keep_uids(attribute)
    value = cut_hidden_tail(attribute.value, attribute.VR)
    if attribute.VR == "AS" and value.endswith(b"Y") and value > OLDEST:
        return OLDEST
    typed = attribute.VR in TEXT or attribute.rule.keyword in TYPED_CODES
    if attribute.rule.checked and typed and _names_patient(value, attribute.VR, walker):
        return clean(attribute, walker)
    return value


def shift(attribute: Attribute, walker: Walker) -> Made:
    """S: move a date by the patient's days, and keep times and offsets from UTC; other values are not kept."""
    move = {"DA": shift_date, "DT": shift_moment, "TM": _keep_time, "SH": _keep_offset}.get(attribute.VR)
    if move is None or not attribute.fits:
        return _fall_back(attribute, walker)
    parts = [part.decode("ascii", "replace") for part in split_values(attribute.value, attribute.VR)]
    moved = [move(part, walker.context.shift_days) if part else "" for part in parts]
    if any(part is None for part in moved):
        return _fall_back(attribute, walker)
    return "\\".join(part or "" for part in moved).encode("ascii")


def clean(attribute: Attribute, walker: Walker) -> Made:
    """C: keep of a text what is understood as medical, and of a sequence what the rules of its items let through.

    A value of which nothing is left is treated as in the Basic Profile.
    """
    if not attribute.fits:
        return _fall_back(attribute, walker)
    if attribute.VR == "SQ":
        if attribute.tag in CONTENT_SEQUENCES:
            items = walker.walk_items(attribute, "content")
            # PS3.3 section C.17.3 has no empty ContentSequence.
            return items if items.value or attribute.tag != CONTENT_SEQUENCE else None
        return walker.walk_items(attribute, "code" if attribute.rule.keyword.endswith("CodeSequence") else "walk")
    if attribute.VR not in TEXT:
        return _fall_back(attribute, walker)
    value = cut_hidden_tail(attribute.value, attribute.VR)
    encodings = walker.context.encodings
    text = decode_text(value, attribute.VR, encodings)
    parts = [text] if attribute.VR in SINGLE_VALUED else text.split("\\")
    cleaned = [clean_text(part, walker.context.words) for part in parts]
    cleaned = ["" if walker.context.names_patient(part) else part for part in cleaned]
    if cleaned == parts:
        return value
    kept = "\\".join(part for part in cleaned if part)
    return encode_text(kept, encodings) if kept else _fall_back(attribute, walker)


def walk(attribute: Attribute, walker: Walker) -> Made:
    """De-identify the items of a sequence; a value that only claims to be a sequence is removed."""
    return walker.walk_items(attribute) if attribute.fits else None


#: The function for each code.
ACTIONS: Mapping[str, Action] = {
    "X": remove,
    "Z": empty,
    "D": replace,
    "U": renew,
    "K": keep,
    "C": clean,
    "S": shift,
}


def _names_patient(value: bytes, VR: str, walker: Walker) -> bool:
    return walker.context.names_patient(decode_text(value, VR, walker.context.encodings))


def _fall_back(attribute: Attribute, walker: Walker) -> Made:
    return ACTIONS[attribute.rule.otherwise](attribute, walker)


def _keep_time(text: str, days: int) -> str | None:
    return keep_time(text)


def _keep_offset(text: str, days: int) -> str | None:
    return text if OFFSET.fullmatch(text) else None


def _keep_uids(attribute: Attribute) -> Made:
    uids = [uid for uid in split_values(attribute.value, "UI") if UID_VALUE.fullmatch(uid) and len(uid) <= 64]
    return b"\\".join(uids) or None
