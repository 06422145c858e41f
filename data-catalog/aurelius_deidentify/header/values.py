"""Values as little-endian bytes: checked against their VR, replaced by dummies, decoded and encoded."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydicom.charset import decode_bytes, encode_string

#: Valid stand-ins for a value, by VR (PS3.5 section 6.2). 1900 is before every image, so it is not taken for real.
DUMMIES: dict[str, bytes] = {
    "AE": b"REMOVED",
    "AS": b"000Y",
    "AT": bytes(4),
    "CS": b"REMOVED",
    "DA": b"19000101",
    "DS": b"0",
    "DT": b"19000101000000",
    "FD": bytes(8),
    "FL": bytes(4),
    "IS": b"1",
    "LO": b"REMOVED",
    "LT": b"REMOVED",
    "OB": bytes(2),
    "OD": bytes(8),
    "OF": bytes(4),
    "OL": bytes(4),
    "OV": bytes(8),
    "OW": bytes(2),
    "PN": b"REMOVED",
    "SH": b"REMOVED",
    "SL": bytes(4),
    "SS": bytes(2),
    "ST": b"REMOVED",
    "SV": bytes(8),
    "TM": b"000000",
    "UC": b"REMOVED",
    "UL": bytes(4),
    "UN": bytes(2),
    "UR": b"urn:removed",
    "US": bytes(2),
    "UT": b"REMOVED",
    "UV": bytes(8),
}
#: Bytes of one value of the binary VRs.
WIDTHS = {"AT": 4, "FD": 8, "FL": 4, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2, "SL": 4, "SS": 2, "SV": 8, "UL": 4,
          "US": 2, "UV": 8}  # fmt: skip
SINGLE_VALUED = frozenset({"LT", "OB", "OD", "OF", "OL", "OV", "OW", "ST", "UN", "UR", "UT"})
#: VRs whose characters are those of SpecificCharacterSet.
TEXT = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
ENCODED = TEXT | {"PN"}
STRINGS = ENCODED | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}
#: What the strict VRs may hold (PS3.5 section 6.2), generously: real files pad and write small letters.
PATTERNS = {
    "AS": re.compile(rb"[0-9]{3}[DWMY][ \0]*"),
    "CS": re.compile(rb"[ -~]*\0*"),
    "DS": re.compile(rb"[0-9+\-.eE \\\0]*"),
    "IS": re.compile(rb"[0-9+\-.eE \\\0]*"),
}
#: Attributes of a code that say what is meant in a public language, and so nothing of the patient.
CODES = frozenset(
    ["CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "ContextIdentifier", "MappingResource"]
)
#: Code strings that people type freely.
TYPED_CODES = frozenset({"ContentLabel"})
UID_VALUE = re.compile(rb"[0-9]+(\.[0-9]+)*")
TEXT_DELIMITERS = {0x0A, 0x0C, 0x0D, 0x5C}


def split_values(value: bytes, VR: str) -> list[bytes]:
    """Return the values of a plain ASCII string element, without padding."""
    parts = [value] if VR in SINGLE_VALUED else value.split(b"\\")
    return [part.strip(b" \0") for part in parts]


def make_dummy(VR: str, value: bytes) -> bytes:
    """Return a stand-in with as many values as the original has (of binary numbers: one)."""
    count = value.count(b"\\") + 1 if VR in STRINGS and VR not in SINGLE_VALUED else 1
    return b"\\".join([DUMMIES[VR]] * count)


def is_trustworthy(VR: str, allowed: str, value: bytes) -> bool:
    """Whether a value is of the kind the dictionary says, so that it cannot carry something else.

    Parameters
    ----------
    VR
        As found in the file.
    allowed
        As in PS3.6, possibly ambiguous (``"US or SS"``); empty where PS3.6 does not know the attribute.
    value
        Its bytes.
    """
    known = set(allowed.split(" or "))
    if allowed and VR not in known and not (VR in TEXT and known <= TEXT):
        return False
    if VR in WIDTHS:
        return len(value) % WIDTHS[VR] == 0
    pattern = PATTERNS.get(VR)
    return pattern is None or pattern.fullmatch(value) is not None


def cut_hidden_tail(value: bytes, VR: str) -> bytes:
    """Drop what stands after a NUL in a string: viewers do not show it, byte searches find it.

    No character set of PS3.3 C.12.1.1.2 uses the byte 0 inside a character.
    """
    return value.split(b"\0", 1)[0] if VR in STRINGS and b"\0" in value else value


def decode_text(value: bytes, VR: str, encodings: Sequence[str]) -> str:
    """Return a string element's characters, all values in one, without padding at the end."""
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii").rstrip("\0 ")
    codecs = list(encodings) if VR in ENCODED else ["latin-1"]
    return decode_bytes(value, codecs, TEXT_DELIMITERS).rstrip("\0 ")


def encode_text(text: str, encodings: Sequence[str]) -> bytes:
    """Return the bytes of a text in an object's character sets; what they cannot hold becomes a question mark."""
    if text.isascii():
        return text.encode("ascii")
    try:
        return bytes(encode_string(text, list(encodings)))
    except (UnicodeError, ValueError):
        return text.encode("ascii", "replace")
