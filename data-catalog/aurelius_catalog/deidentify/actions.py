"""The actions of PS3.15 section E.1.1, one function each: what becomes of one attribute.

Every function takes the attribute as found and the subject it belongs to, and returns the element to write, or None
for nothing. Compound codes (``X/Z/D`` ...) were resolved to one of these by `aurelius_catalog.deidentify.profile`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pydicom import DataElement, Dataset, Sequence
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag
from pydicom.uid import UID_dictionary

from aurelius_catalog.deidentify.keys import PseudonymKey
from aurelius_catalog.deidentify.values import (
    UID_VALUE,
    Element,
    cut_hidden_tail,
    is_empty,
    is_trustworthy,
    make_dummy,
    split_strings,
)


@dataclass(frozen=True)
class Attribute:
    """One attribute as found in a file.

    Parameters
    ----------
    tag
        Its tag.
    VR
        Its value representation in PS3.6, possibly ambiguous.
    keyword
        Its keyword in PS3.6.
    owner
        The data set or item it stands in.
    """

    tag: BaseTag
    VR: str
    keyword: str
    owner: Dataset

    @property
    def element(self) -> Element:
        """The element, undecoded where nothing decoded it yet."""
        return self.owner.get_item(self.tag)

    @property
    def items(self) -> Iterable[Dataset]:
        """The items of a sequence."""
        return self.owner[self.tag].value or []


@dataclass(frozen=True)
class Subject:
    """Whose object it is, and how to go on into its sequences.

    Parameters
    ----------
    key
        Source of new UIDs.
    pseudonym
        What stands for the patient's name and number.
    encoding
        (implicit VR, little endian) of the file to write.
    walk
        De-identifies one item of a kept sequence.
    replace
        De-identifies one item of a sequence whose content must be replaced.
    """

    key: PseudonymKey
    pseudonym: str
    encoding: tuple[bool, bool]
    walk: Callable[[Dataset, Subject], Dataset]
    replace: Callable[[Dataset, Subject], Dataset]


Action = Callable[[Attribute, Subject], DataElement | RawDataElement | None]


def remove(attribute: Attribute, subject: Subject) -> None:
    """X: the attribute goes."""


def empty(attribute: Attribute, subject: Subject) -> DataElement:
    """Z: the attribute stays, without a value."""
    VR = _first(attribute.VR)
    return DataElement(attribute.tag, VR, Sequence() if VR == "SQ" else None)


def replace(attribute: Attribute, subject: Subject) -> DataElement | None:
    """D: a stand-in valid for the VR. A UID becomes a new UID; of a sequence only its structure stays.

    What was empty stays empty: it tells nothing, and a made-up value would claim that there was one. PatientID gets
    the pseudonym at any depth, so that the patient's objects stay joinable.
    """
    VR = _first(attribute.VR)
    if attribute.keyword == "PatientID":
        return DataElement(attribute.tag, VR, subject.pseudonym)
    if is_empty(attribute.element):
        return empty(attribute, subject)
    if VR == "UI":
        return renew(attribute, subject)
    if VR == "SQ":
        return DataElement(attribute.tag, VR, Sequence([subject.replace(item, subject) for item in attribute.items]))
    return make_dummy(attribute.tag, VR, attribute.element)


def renew(attribute: Attribute, subject: Subject) -> DataElement | None:
    """U: a new UID, the same wherever the original stood. In a sequence (U*), the UIDs of its items.

    UIDs that the standard itself defines (palettes, well-known frames of reference) name no one and stay.
    """
    if _first(attribute.VR) == "SQ":
        return walk(attribute, subject)
    uids = [
        uid if uid in UID_dictionary else subject.key.map_uid(uid) for uid in split_strings(attribute.element) if uid
    ]
    return DataElement(attribute.tag, "UI", uids if len(uids) > 1 else "".join(uids))


def keep(attribute: Attribute, subject: Subject) -> DataElement | RawDataElement | None:
    """K: the attribute stays as it is, if its value is of the kind the standard says; sequences are walked."""
    if attribute.VR == "SQ":
        return walk(attribute, subject)
    if attribute.VR == "UI":
        return _keep_uid(attribute)
    element = attribute.element
    if isinstance(element, RawDataElement) and not _fits(element, subject.encoding):
        element = attribute.owner[attribute.tag]  # decodes, and gives UN the VR that PS3.6 knows for the tag
    if element.VR == "UN" or not is_trustworthy(element, attribute.VR):
        return None
    return cut_hidden_tail(element, attribute.VR)


def clean(attribute: Attribute, subject: Subject) -> DataElement | RawDataElement | None:
    """C: keep what does not identify. Nothing here reads free text, so none of it can be vouched for: as D."""
    return replace(attribute, subject)


def walk(attribute: Attribute, subject: Subject) -> DataElement | None:
    """De-identify the items of a sequence; what claims to be a sequence and is none goes."""
    value = attribute.owner[attribute.tag].value
    if value is not None and not isinstance(value, Sequence):
        return None
    return DataElement(attribute.tag, "SQ", Sequence([subject.walk(item, subject) for item in value or []]))


#: The function for each code.
ACTIONS: Mapping[str, Action] = {"X": remove, "Z": empty, "D": replace, "U": renew, "K": keep, "C": clean}


def _first(VR: str) -> str:
    return VR.split(" or ")[0] or "UN"


def _fits(element: RawDataElement, encoding: tuple[bool, bool]) -> bool:
    """Whether raw bytes can go into the output as they are (items of UN are always implicit little endian)."""
    return element.VR != "UN" and (element.is_implicit_VR, element.is_little_endian) == encoding


def _keep_uid(attribute: Attribute) -> DataElement | None:
    uids = [uid for uid in split_strings(attribute.element) if UID_VALUE.fullmatch(uid) and len(uid) <= 64]
    return DataElement(attribute.tag, "UI", uids if len(uids) > 1 else "".join(uids)) if uids else None
