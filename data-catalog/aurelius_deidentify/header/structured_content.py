"""The Clean Structured Content Option (PS3.15 section E.3.4): the action for a report's content item, by its concept.

Table E.3.4-1 lists the concepts that identify. What it does not list is decided by its value type: measurements,
coordinates and codes are what a report is kept for; names, dates, texts and references are treated as identifying.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from aurelius_deidentify.data_files import read_rows
from aurelius_deidentify.header.table import EDITION

FEWEST_ROWS = 200
#: Options in the order in which they decide; retaining comes before cleaning.
RETAINING = ("retain_uids", "retain_device", "retain_institution", "retain_patient", "retain_full_dates")
REFERENCES = frozenset({"IMAGE", "COMPOSITE", "WAVEFORM", "UIDREF"})
MOMENTS = frozenset({"DATE", "TIME", "DATETIME"})
#: What measures or classifies. Its items are walked like any others, so what they hold is judged once more.
CONTENT = frozenset({"CODE", "CONTAINER", "NUM", "SCOORD", "SCOORD3D", "TABLE", "TCOORD"})
BASIC_CODES = frozenset({"X", "D", "X/D"})

Concept = tuple[str, str]


@dataclass(frozen=True)
class ContentRow:
    """One row: the Basic Profile's action, and the action of each option that says something about it."""

    basic: str
    options: Mapping[str, str]


def find_content_rule(concept: Concept, value_type: str, options: frozenset[str]) -> str:
    """Return the action for a content item.

    Parameters
    ----------
    concept
        (code value, coding scheme designator) of its concept name; empty strings where it has none.
    value_type
        Its ValueType, such as ``TEXT``.
    options
        Names of the profile's options.

    Returns
    -------
    str
        ``X`` drop the item, ``D`` replace its value, ``U`` renew the UIDs in it, ``S`` shift its date, ``C`` clean its
        text, ``K`` keep it and judge what it contains.
    """
    row = load_content_table().get((*concept, value_type))
    if row is None:
        return _judge_value_type(value_type, options)
    for option in RETAINING:
        if option in options and option in row.options:
            return "K"
    if "retain_modified_dates" in options and "retain_modified_dates" in row.options:
        return "S"
    if "clean_descriptors" in options and "clean_descriptors" in row.options:
        return "C"
    if row.basic == "X":
        return "X"
    return "U" if value_type in REFERENCES else "D"  # X/D: D satisfies every template


@cache
def load_content_table() -> Mapping[tuple[str, str, str], ContentRow]:
    """Load and check the packaged table, by (code, scheme, value type).

    Raises
    ------
    ValueError
        If the file is not what it should be: a damaged table must stop the process.
    """
    table: dict[tuple[str, str, str], ContentRow] = {}
    for row in read_rows(__package__, f"table_e3_4_1_{EDITION}.csv"):
        key = (row.pop("code"), row.pop("scheme"), row.pop("value_type"))
        basic, _ = row.pop("basic"), row.pop("meaning")
        if key in table or basic not in BASIC_CODES or not set(row.values()) <= {"", "K", "C"}:
            raise ValueError(f"Table E.3.4-1: the row of {key} is not one of PS3.15.")
        table[key] = ContentRow(basic, {option: action for option, action in row.items() if action})
    if len(table) < FEWEST_ROWS:
        raise ValueError(f"Table E.3.4-1: incomplete, {len(table)} rows.")
    return table


def _judge_value_type(value_type: str, options: frozenset[str]) -> str:
    if value_type in CONTENT:
        return "K"
    if value_type in REFERENCES:
        return "K" if "retain_uids" in options else "U"
    if value_type in MOMENTS:
        if "retain_full_dates" in options:
            return "K"
        return "S" if "retain_modified_dates" in options else "D"
    if value_type == "TEXT":
        return "C" if "clean_descriptors" in options else "D"
    return "D" if value_type == "PNAME" else "X"
