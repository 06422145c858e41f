"""The searchable attributes of a series, read from the header of its first file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Float, Integer, String

from aurelius_catalog.dicom.json_header import Header, read_number, read_text, spell_tag
from aurelius_catalog.index.schema import series, studies

#: Columns of a series that no header fills.
_FACTS = {
    "id",
    "scope",
    "words",
    "labelled",
    "predicted",
    "TransferSyntaxUID",
    "n_instances",
    "n_frames",
    "size_bytes",
    "received_at",
    "revision",
}
#: What the study says is the same for all of its series.
OF_STUDY = tuple(
    column.name for column in studies.columns if column.name in series.c and column.name != "StudyInstanceUID"
)
#: Where multi-frame images, PET, slides and waveforms keep what others have at the top (PS3.3 C.7.6.16, C.8.9).
_SEQUENCES = (
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "RadiopharmaceuticalInformationSequence",
    "OpticalPathSequence",
    "WaveformSequence",
)
#: What an enhanced object calls differently (PS3.3 C.8.13.5).
_OTHER_NAMES = {"EchoTime": "EffectiveEchoTime", "ScanningSequence": "EchoPulseSequence"}
_DEEPEST = 3
#: Attributes whose words a search for text looks at.
DESCRIPTIONS = ("SeriesDescription", "StudyDescription", "ProtocolName", "BodyPartExamined", "ContrastBolusAgent")
_WORD = re.compile(r"[^\W_]+")


def read_series_attributes(header: Header) -> dict[str, Any]:
    """Return the columns of a series row that one header gives."""
    return {column.name: _read(header, column) for column in _COLUMNS}


def split_words(text: str) -> list[str]:
    """Return the words of a text as they are kept and looked for: letters and digits, small, without accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return _WORD.findall("".join(letter for letter in plain if not unicodedata.combining(letter)))


def join_words(row: Mapping[str, Any]) -> str:
    """Return the words of a series' descriptions, each once."""
    return " ".join(dict.fromkeys(word for name in DESCRIPTIONS for word in split_words(row.get(name) or "")))


def _read(header: Header, column: Column[Any]) -> Any:
    name = str(column.name)
    found = _find_holder(header, name)
    if found is None:
        return None
    holder, name = found
    if isinstance(column.type, String):
        return (read_text(holder, name) or "")[: column.type.length] or None
    number = read_number(holder, name)
    if number is None or isinstance(column.type, Float):
        return number
    return int(number) if abs(number) < 2**31 else None


def _find_holder(header: Header, keyword: str) -> tuple[Header, str] | None:
    """Return the part of a header that has an attribute, and the name it has there."""
    names = [keyword, *([_OTHER_NAMES[keyword]] if keyword in _OTHER_NAMES else [])]
    for name in names:
        if header.get(spell_tag(name), {}).get("Value"):
            return header, name
    for name in names:
        for sequence in _SEQUENCES:
            for item in header.get(spell_tag(sequence), {}).get("Value", [])[:1]:
                if (holder := _search(item, spell_tag(name), _DEEPEST)) is not None:
                    return holder, name
    return None


def _search(item: Header, tag: str, depth: int) -> Header | None:
    if item.get(tag, {}).get("Value"):
        return item
    if depth:
        for element in item.values():
            if element.get("vr") == "SQ":
                for inner in element.get("Value", [])[:1]:
                    if (found := _search(inner, tag, depth - 1)) is not None:
                        return found
    return None


_COLUMNS = [column for column in series.columns if column.name not in _FACTS]
if any(not isinstance(column.type, (String, Integer, Float)) for column in _COLUMNS):
    raise TypeError("A column of series is of a kind that no header fills.")
