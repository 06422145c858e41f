"""The context of an element: everything but its own bytes that decides its outcome, such as patient and encoding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pydicom.charset import convert_encodings
from pydicom.datadict import DicomDictionary

from aurelius_deidentify.header.elements import split_items
from aurelius_deidentify.header.heads import UnknownStructure
from aurelius_deidentify.header.identifiers import identifying_values
from aurelius_deidentify.header.outcome_cache import OutcomeCache
from aurelius_deidentify.header.profile import Profile
from aurelius_deidentify.header.pseudonyms import PseudonymKey
from aurelius_deidentify.header.values import CODES, STRINGS, decode_text

_WORD = re.compile(r"[^\W_]+")
_UNKNOWN = ("", "", "", "", "")


@dataclass(eq=False)
class Context:
    """What elements of one kind of object of one patient have in common.

    Parameters
    ----------
    key, profile
        The secret that pseudonyms are made with, and the rules.
    pseudonym
        The stand-in for the patient's name and number.
    shift_days
        By how many days the patient's dates go back.
    implicit
        Whether the object is, and will be, written with implicit VRs.
    signed
        Whether pixel values are signed: the VR of attributes that can be US or SS.
    encodings
        Python names of the character sets.
    words
        This patient's own names, numbers and places, in small letters.
    phrases
        Those of them that are more than one word.
    caches
        The outcomes met so far, one cache for each mode and encoding of elements.
    """

    key: PseudonymKey
    profile: Profile
    pseudonym: str
    shift_days: int
    implicit: bool
    signed: bool
    encodings: Sequence[str]
    words: frozenset[str]
    phrases: tuple[str, ...] = field(init=False)
    caches: dict[tuple[str, bool], OutcomeCache] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.phrases = tuple(word for word in self.words if not word.isalnum())

    def names_patient(self, text: str) -> bool:
        """Whether a name, number or place of this patient is in a text."""
        small = text.casefold()
        return not self.words.isdisjoint(_WORD.findall(small)) or any(phrase in small for phrase in self.phrases)

    def count_bytes(self) -> int:
        """Return roughly how much memory the remembered outcomes take."""
        return sum(cache.size_bytes for cache in self.caches.values())


@lru_cache(64)
def read_encodings(value: bytes) -> Sequence[str]:
    """Return the Python names of the character sets that SpecificCharacterSet names."""
    names = [part.strip() for part in value.decode("ascii", "replace").strip(" \0").split("\\")]
    return tuple(convert_encodings(names if any(names) else ["ISO_IR 6"]))


def collect_words(found: Iterable[tuple[str, str, str]]) -> frozenset[str]:
    """Return the identifying strings in (keyword, VR, text) of attributes; dates are recognised without them."""
    words: set[str] = set()
    for keyword, VR, text in found:
        if VR not in ("DA", "DT", "UI"):
            words.update(identifying_values(keyword, VR, text.split("\\")))
    return frozenset(words)


def read_nested(
    data: bytes, start: int, end: int, implicit: bool, encodings: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield (keyword, VR, text) of each element in a sequence, at any depth; nothing where the bytes are not items."""
    try:
        items = split_items(data, start, end, implicit)
    except UnknownStructure:
        return
    for item in items:
        for head, _, value, value_end, _ in item:
            VR = head.VR
            if VR == "SQ":
                yield from read_nested(data, value, value_end, implicit, encodings)
            elif VR in STRINGS:
                keyword = DicomDictionary.get(head.tag, _UNKNOWN)[4]
                if keyword not in CODES:
                    yield keyword, VR, decode_text(data[value:value_end], VR, encodings)
