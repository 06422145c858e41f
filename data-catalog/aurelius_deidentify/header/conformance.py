"""The conformance of a de-identified file's header to its profile, checked without the original."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from io import BytesIO

from pydicom import DataElement, Dataset, dcmread
from pydicom.uid import UID_dictionary

from aurelius_deidentify.header.content import CONTENT_VALUES
from aurelius_deidentify.header.descriptors import clean_text
from aurelius_deidentify.header.elements import PIXELS
from aurelius_deidentify.header.profile import Profile
from aurelius_deidentify.header.pseudonyms import PSEUDONYM_PREFIX
from aurelius_deidentify.header.values import DUMMIES, TEXT

#: What file meta may hold (PS3.10 section 7.1): nothing that names a sender.
META = frozenset({0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013})
#: Attributes written by de-identification itself, and by the masking of pixels.
WRITTEN = frozenset(
    {
        "PatientName",
        "PatientID",
        "PatientIdentityRemoved",
        "DeidentificationMethod",
        "DeidentificationMethodCodeSequence",
        "LongitudinalTemporalInformationModified",
        "BurnedInAnnotation",
    }
)
OURS = "2.25."
Accepts = Callable[[DataElement, tuple[str, ...]], bool]


def find_breaches(data: bytes, profile: Profile) -> Iterator[str]:
    """Yield what in a Part 10 file the profile does not let through, without the values.

    Parameters
    ----------
    data
        The whole file.
    profile
        The profile it was de-identified by.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            dataset = dcmread(BytesIO(data))
            if any(data[:128]):
                yield "its preamble is not empty."
            for tag in dataset.file_meta:
                if tag.tag not in META:
                    yield f"file meta holds {tag.tag}."
            if dataset.get("PatientIdentityRemoved") != "YES":
                yield "it does not say that identity was removed."
            if not str(dataset.get("PatientID") or "").startswith(PSEUDONYM_PREFIX):
                yield "its PatientID is not a pseudonym."
            yield from find_header_breaches(dataset, profile)
    except Exception as error:
        yield f"its header cannot be read ({type(error).__name__})."


def find_header_breaches(
    dataset: Dataset, profile: Profile, accepts: Accepts | None = None, above: tuple[str, ...] = ()
) -> Iterator[str]:
    """Yield what in a header the profile does not let through, without the values.

    Parameters
    ----------
    dataset
        The header, or an item of a sequence in it.
    profile
        The profile it is checked against.
    accepts
        Called with an element the profile would not let through and the keywords of the sequences above it: whether
        it may stay nevertheless.
    above
        Keywords of the sequences the item is in.
    """
    for element in dataset:
        tag = element.tag
        where = " > ".join((*above, element.keyword or str(tag)))
        if tag in PIXELS or (element.keyword in WRITTEN and not above):
            continue
        if tag.is_private:
            yield from _check_private(dataset, element, profile, where)
            continue
        rule = profile.find_rule(tag)
        if element.VR == "SQ":
            if rule.action == "X" and element.value:
                yield f"{where} must go."
            for item in element.value:
                yield from find_header_breaches(item, profile, accepts, (*above, element.keyword))
        elif above and element.keyword in CONTENT_VALUES:
            continue  # decided by the concept of its content item; the residual scan sees its value
        elif not element.is_empty and _breaks(element, rule.action) and not (accepts and accepts(element, above)):
            yield f"{where} holds a value that action {rule.action} does not let through."


def _check_private(dataset: Dataset, element: DataElement, profile: Profile, where: str) -> Iterator[str]:
    if element.tag.is_private_creator:
        return
    creator = dataset.get((element.tag.group, element.tag.element >> 8))
    key = (element.tag.group, str(creator.value) if creator is not None else "", element.tag.element & 0xFF)
    if profile.find_private(key).action == "X":
        yield f"the private attribute {where} must go."


def _breaks(element: DataElement, action: str) -> bool:
    values = [str(value) for value in (element.value if element.VM > 1 else [element.value])]
    if action == "X":
        return True
    if element.VR == "UI":
        return action == "U" and not all(uid.startswith(OURS) or uid in UID_dictionary for uid in values)
    if all(_is_stand_in(value, element.VR) for value in values):
        return False
    if action == "Z":
        return True
    if action == "D":
        return element.VR in TEXT | {"PN"} and not all(value.startswith(PSEUDONYM_PREFIX) for value in values)
    if action == "C" and element.VR in TEXT:
        return any(clean_text(value, ()) != value.strip() for value in values)
    return False


def _is_stand_in(value: str, VR: str) -> bool:
    return not value or value == DUMMIES.get(VR, b"").decode("ascii")
