"""Identifiers: the strings of a header that would tell who the patient is, were they found in what is given away.

They are collected from the values that de-identification takes out, and used three times: a word of a descriptor that
is one is not kept (`aurelius_deidentify.header.descriptors`), text found in the pixels is compared with them, and the
bytes of every file written are searched for them (`aurelius_deidentify.residue.scanner`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from pydicom.uid import UID_dictionary

from aurelius_deidentify.data_files import read_words
from aurelius_deidentify.header.vocabulary import load_vocabulary

UID = re.compile(r"[0-2](?:\.[0-9]+){2,}")
SHORTEST_UID = 10
CONTEXT_GROUPS = "1.2.840.10008.6.1."
#: A run of letters of any script, with apostrophes and hyphens inside.
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
DIGITS = re.compile(r"[0-9]{6,}")
EARLIEST, LATEST = 1890, 2100
#: Stands for a date that was taken out, so finding it says nothing.
STAND_IN_DATE = "19000101"
#: Words that stand where a name should, or beside one, and name no one.
NAMELESS = read_words(__package__, "words_nameless.txt")
#: Words of addresses and of the names of institutions that many of them share.
PLACELESS = read_words(__package__, "words_placeless.txt")
#: Attributes whose value is a number or a label for one person, device, visit, order or place.
IDENTIFIER = re.compile(
    r"(?:ID|IDs|Identifier|IdentifierCode|AccessionNumber|OrderNumber\w*|SerialNumber|StationName|StationNames|"
    r"MachineName|InsurancePlanIdentification|TelephoneNumbers?|TelecomInformation|PhoneNumber|AETitle|"
    r"BarcodeValue|LabelText|LotNumber)$"
)
PLACE = re.compile(r"(?:Institution|Address|Residence|Location|Department|Organization|Country|Region)")


def identifying_values(keyword: str, VR: str, values: Sequence[str]) -> Iterator[str]:
    """Yield the strings of one original attribute whose presence elsewhere would identify, in small letters.

    Parameters
    ----------
    keyword
        PS3.6 keyword; empty for private and unknown attributes.
    VR
        Its value representation.
    values
        Its values, as text.

    Notes
    -----
    What many patients share ("CT", "M", "CHEST", "Hospital") is not yielded, nor what is too short to be told from
    chance: parts of names below three letters (two in scripts that need no more), identifiers below four signs,
    UIDs below ten.
    """
    for value in values:
        for found in _find(keyword, VR, value.strip(" \0")):
            lower = found.lower()
            yield lower
            if found.casefold() != lower:
                yield found.casefold()


def is_date(text: str) -> bool:
    """Whether eight digits are a day between 1890 and 2100, as DA writes it."""
    if len(text) != 8 or not text.isascii() or not text.isdigit():
        return False
    try:
        return EARLIEST <= date(int(text[:4]), int(text[4:6]), int(text[6:])).year <= LATEST
    except ValueError:
        return False


def _find(keyword: str, VR: str, value: str) -> Iterable[str]:
    if not value:
        return ()
    if VR == "UI":
        return (value,) if _is_identifying_uid(value) else ()
    if VR in ("DA", "DT"):
        day = value.replace(".", "")[:8] if VR == "DA" else value[:8]
        return (day,) if is_date(day) and day != STAND_IN_DATE else ()
    if VR == "PN":
        return _split_name(value)
    if VR in ("TM", "AS", "CS", "DS", "IS") or not keyword:
        return ()
    if VR == "AE" or IDENTIFIER.search(keyword):
        return _split_identifier(value)
    if PLACE.search(keyword):
        return _split_place(value)
    return _find_numbers(value)


def _is_identifying_uid(value: str) -> bool:
    if value in UID_dictionary or value.startswith(CONTEXT_GROUPS):
        return False
    return len(value) >= SHORTEST_UID and UID.fullmatch(value) is not None


def _split_name(value: str) -> Iterator[str]:
    if any(sign.isdigit() for sign in value):  # what a study or a machine wrote there: an identifier
        yield from _split_identifier(value.replace("^", " ").strip())
        return
    found = False
    for word in WORD.findall(value):
        for part in {word, *re.split("['’-]", word)}:
            if len(part) >= (3 if part.isascii() else 2) and part.casefold() not in NAMELESS:
                found = True
                yield part
    whole = value.strip("^= ")
    if (
        not found
        and sum(map(str.isalpha, whole)) >= 4
        and not NAMELESS.issuperset(whole.casefold().replace("^", " ").split())
    ):
        yield whole


def _split_identifier(value: str) -> Iterator[str]:
    yield from _find_numbers(value)
    vocabulary = load_vocabulary()
    words = [word for word in WORD.findall(value) if len(word) >= 4]
    identifying = [word for word in words if word.casefold() not in NAMELESS and not vocabulary.understands(word)]
    digits = sum(sign.isdigit() for sign in value)
    if len(value) >= 4 and (identifying or digits >= 3) and len(set(value) - set(" 0-.")) > 1:
        yield value
    yield from (word for word in identifying if digits)


def _split_place(value: str) -> Iterator[str]:
    yield from _find_numbers(value)
    vocabulary = load_vocabulary()
    for word in WORD.findall(value):
        if len(word) >= 4 and word.casefold() not in PLACELESS | NAMELESS and not vocabulary.understands(word):
            yield word


def _find_numbers(value: str) -> Iterator[str]:
    """Yield long runs of digits: file numbers, telephone numbers, dates."""
    for digits in DIGITS.findall(value):
        if len(set(digits)) > 2 and digits != STAND_IN_DATE:
            yield digits
