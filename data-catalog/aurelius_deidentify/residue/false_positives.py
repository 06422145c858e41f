"""False positives of the residual scan: matches that would stand there whoever the patient was."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement

from aurelius_deidentify.header.identifiers import STAND_IN_DATE, is_date
from aurelius_deidentify.header.profile import CLASS_UIDS
from aurelius_deidentify.header.pseudonyms import MOST_DAYS, PSEUDONYM_PREFIX
from aurelius_deidentify.header.vocabulary import load_vocabulary

#: Below this many bytes a match in bulk data is as likely chance as not.
SHORTEST_IN_BULK = 6
#: Binary values above this many bytes are bulk data.
LARGE = 1024
NUMBERS = frozenset({"AT", "DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV", "TM", "AS"})
#: Attributes that name companies, products and coding schemes, some of which are called like places and people.
MAKERS = frozenset({"CodingSchemeDesignator", "Manufacturer", "ManufacturerModelName", "SoftwareVersions"})
#: A code of a public scheme can be as short as some clinic's number for a patient.
LONGEST_CHANCE_CODE = 5


@dataclass(frozen=True)
class Hit:
    """A match: ``length`` bytes at ``offset``; never the value itself."""

    offset: int
    length: int


def drop_false_positives(data: bytes, hits: list[Hit], values: frozenset[str]) -> Iterator[Hit]:
    """Yield the matches that are not false positives; see `aurelius_deidentify.residue.scanner.find_residue`.

    Parameters
    ----------
    data
        A Part 10 file.
    hits
        What was found in it.
    values
        What was searched for.
    """
    explained: dict[bytes, int] = {}
    try:
        elements = list(_list_elements(dcmread(BytesIO(data), force=True)))
        moved = _is_moved(elements, values)
    except Exception:
        elements, moved = [], False  # unreadable here: then nothing is explained
    for hit in hits:
        found = bytes(data[hit.offset : hit.offset + hit.length]).lower()
        if found not in explained:
            explained[found] = sum(_count_false_positives(element, found, moved) for element in elements)
        explained[found] -= 1
        if explained[found] < 0:
            yield hit


def _list_elements(dataset: Dataset) -> Iterator[DataElement]:
    for element in dataset:
        if element.VR != "SQ":
            yield element
            continue
        for item in element.value:
            yield from _list_elements(item)


def _count_false_positives(element: DataElement, found: bytes, moved: bool) -> int:
    """Return how often a match stands in an element as a false positive; ``moved`` as `_is_moved` says."""
    value = element.value
    if isinstance(value, bytes):
        return value.lower().count(found) if len(value) > LARGE and len(found) < SHORTEST_IN_BULK else 0
    if element.VR == "UI":
        return str(value).encode().count(found) if element.keyword in CLASS_UIDS else 0
    text = found.decode("ascii", "replace")
    written = "\\".join(map(str, _list_values(element)))
    whole = written.casefold()
    if text not in whole:
        return 0
    if element.VR in NUMBERS:
        return whole.count(text)
    if element.VR in ("DA", "DT"):
        return whole.count(text) if moved else 0
    if element.VR == "PN":
        return whole.count(text) if _is_pseudonym(written) and len(found) < SHORTEST_IN_BULK else 0
    if element.keyword in MAKERS and not any(sign.isdigit() for sign in text):
        return whole.count(text)
    if element.keyword == "CodeValue" and len(text) <= LONGEST_CHANCE_CODE:
        return whole.count(text)
    vocabulary = load_vocabulary()
    around = re.findall(rf"[^\W\d_]*{re.escape(text)}[^\W\d_]*", whole)
    return sum(len(text) < 4 or vocabulary.understands(word) for word in around)


def _is_moved(elements: list[DataElement], values: frozenset[str]) -> bool:
    """Whether the dates of a file are those of the patient, all moved back by the same number of days.

    A moved date can fall on another original one. That is no residue, but only if one and the same shift leads from
    every date of the file to an original, and they are not the originals as they stand.
    """
    written = (str(value)[:8] for element in elements if element.VR in ("DA", "DT") for value in _list_values(element))
    dates = {_read_date(text) for text in written if is_date(text) and text != STAND_IN_DATE}
    originals = {_read_date(value) for value in values if is_date(value)}
    if not dates or dates <= originals:
        return False
    first = min(dates)
    shifts = {original - first for original in originals if 0 < (original - first).days <= MOST_DAYS}
    return any(all(day + shift in originals for day in dates) for shift in shifts)


def _list_values(element: DataElement) -> list[object]:
    return list(element.value) if element.VM > 1 else [element.value]


def _read_date(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))


def _is_pseudonym(written: str) -> bool:
    return re.fullmatch(re.escape(PSEUDONYM_PREFIX) + "[A-Z2-7]{16}", written) is not None


def name_places(data: bytes, hits: Iterable[Hit]) -> list[str]:
    """Return the keywords of the attributes in which matches stand, for a person to look there; never a value.

    Parameters
    ----------
    data
        The file the matches were found in, as `aurelius_deidentify.residue.scanner.find_residue` read it.
    hits
        The matches.
    """
    wanted = {bytes(data[hit.offset : hit.offset + hit.length]).lower() for hit in hits}
    try:
        elements = list(_list_elements(dcmread(BytesIO(data), force=True)))
    except Exception:
        return ["a header that cannot be read"]
    places, seen = set(), set()
    for element in elements:
        value = element.value
        held = (
            value if isinstance(value, bytes) else "\\".join(map(str, _list_values(element))).encode("utf-8", "replace")
        )
        if found := {text for text in wanted if text in held.lower()}:
            places.add(element.keyword or f"the private attribute {element.tag}")
            seen |= found
    return sorted(places) + (["bytes outside of any attribute"] if wanted - seen else [])
