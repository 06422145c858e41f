"""The contexts of a study's objects: one for all objects that share what their elements' outcomes depend on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.datadict import DicomDictionary

from aurelius_deidentify.errors import NotDeidentifiable
from aurelius_deidentify.header.context import Context, collect_words, read_encodings, read_nested
from aurelius_deidentify.header.elements import Found
from aurelius_deidentify.header.key_attributes import (
    CHARACTER_SET,
    IDENTIFYING,
    KEYED,
    PATIENT_ID,
    PATIENT_NAME,
    PIXEL_REPRESENTATION,
    REQUIRED,
    SEQUENCED,
    STUDY,
)
from aurelius_deidentify.header.method_attributes import make_method_attributes
from aurelius_deidentify.header.outcome_cache import ElementOutcome
from aurelius_deidentify.header.profile import Profile
from aurelius_deidentify.header.pseudonyms import PseudonymKey
from aurelius_deidentify.header.values import decode_text
from aurelius_deidentify.header.walker import ElementWalker

#: Beyond this everything remembered is forgotten, and learned again from the next file.
MOST_REMEMBERED_BYTES = 48_000_000
MOST_CONTEXTS = 64


@dataclass(frozen=True)
class ObjectContext:
    """What is remembered for one kind of object of one patient.

    Parameters
    ----------
    walker
        The walker, with its context and outcomes.
    method_attributes
        The elements written into every object, in the place of those found.
    method_tags
        Their tags.
    PatientID, PatientName
        The original ones.
    """

    walker: ElementWalker
    method_attributes: list[ElementOutcome]
    method_tags: frozenset[int]
    PatientID: str
    PatientName: str


class ObjectContexts:
    """The contexts of one study.

    Parameters
    ----------
    key, site, profile
        As of the `Deidentifier`.
    identifiers, uids
        Where original identifying values and UIDs are collected.
    """

    def __init__(
        self, key: PseudonymKey, site: str, profile: Profile, identifiers: set[str], uids: dict[str, str]
    ) -> None:
        self.key, self.site, self.profile = key, site, profile
        self.identifiers, self.uids = identifiers, uids
        self._contexts: dict[tuple[object, ...], ObjectContext] = {}
        self._words: dict[bytes, frozenset[str]] = {}

    def forget_much(self) -> None:
        """Drop all contexts once they take too much memory."""
        size = sum(object_context.walker.context.count_bytes() for object_context in self._contexts.values())
        if size > MOST_REMEMBERED_BYTES or len(self._contexts) > MOST_CONTEXTS or len(self._words) > MOST_CONTEXTS:
            self._contexts.clear()
            self._words.clear()

    def find(self, data: bytes, found: list[Found], implicit: bool) -> ObjectContext:
        """Return the context of objects like this one.

        Raises
        ------
        NotDeidentifiable
            If the object lacks one of the UIDs that make it an object.
        """
        named: dict[int, bytes] = {}
        keyed: list[bytes] = []
        sequences: list[bytes] = []
        for head, start, value, value_end, end in found:
            role = head.role
            if role == SEQUENCED:
                sequences.append(data[start:end])
            elif role:
                named[head.tag] = data[value:value_end]
                if role == KEYED:
                    keyed.append(data[start:end])
        missing = [keyword for tag, keyword in REQUIRED.items() if not named.get(tag, b"").strip(b" \0")]
        if missing:
            raise NotDeidentifiable(f"The object has no {', '.join(missing)}.")
        encodings = read_encodings(named.get(CHARACTER_SET, b""))
        nested: frozenset[str] = frozenset()
        for raw in sequences:
            nested |= self._read_words(raw, implicit, encodings)
        key = (implicit, nested, *keyed)
        object_context = self._contexts.get(key)
        if object_context is None:
            texts = {tag: decode_text(value, "LO", encodings) for tag, value in named.items()}
            object_context = self._contexts[key] = self._make_object_context(implicit, nested, texts, encodings)
        return object_context

    def _read_words(self, raw: bytes, implicit: bool, encodings: Sequence[str]) -> frozenset[str]:
        words = self._words.get(raw)
        if words is None:
            start = 12 if not implicit else 8
            # A delimiter behind the items, where there is one, ends the reading.
            words = self._words[raw] = collect_words(read_nested(raw, start, len(raw), implicit, encodings))
        return words

    def _make_object_context(
        self, implicit: bool, nested: frozenset[str], texts: dict[int, str], encodings: Sequence[str]
    ) -> ObjectContext:
        number = texts.get(PATIENT_ID, "").strip() or f"study {texts[STUDY]}"
        words = nested | collect_words(
            (DicomDictionary[tag][4], DicomDictionary[tag][0], text)
            for tag, text in texts.items()
            if tag in IDENTIFYING
        )
        context = Context(
            self.key,
            self.profile,
            self.key.name_patient(self.site, number),
            self.key.shift_days(self.site, number),
            implicit,
            texts.get(PIXEL_REPRESENTATION, "") == "\1",
            encodings,
            words,
        )
        method_attributes = make_method_attributes(self.profile, context.pseudonym, implicit)
        walker = ElementWalker(context, self.identifiers, self.uids)
        method_tags = frozenset(outcome.tag for outcome in method_attributes)
        return ObjectContext(
            walker, method_attributes, method_tags, texts.get(PATIENT_ID, ""), texts.get(PATIENT_NAME, "")
        )
