"""Table E.1-1 of PS3.15 as data: the action of the standard for each attribute."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

EDITION = "2026c"
OPTIONS = (
    "retain_safe_private",
    "retain_uids",
    "retain_device",
    "retain_institution",
    "retain_patient",
    "retain_full_dates",
    "retain_modified_dates",
    "clean_descriptors",
    "clean_structured",
    "clean_graphics",
)
#: Codes of PS3.15 section E.1.1 as they stand in the Basic Profile's column.
BASIC_CODES = frozenset({"X", "Z", "D", "U", "K", "C", "X/Z", "X/D", "X/Z/D", "Z/D", "X/Z/U*"})
OPTION_CODES = frozenset({"", "K", "C"})
#: The four rows that stand for many tags, with the test that says which.
PRIVATE, CURVES, OVERLAY_DATA, OVERLAY_COMMENTS = "ggggeeee", "50xxxxxx", "60xx3000", "60xx4000"
FEWEST_ROWS = 600


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Parameters
    ----------
    pattern
        Eight hexadecimal digits, or one of the four patterns.
    name
        Attribute name as printed in the standard.
    basic
        Action code of the Basic Profile.
    options
        Action code (``K`` or ``C``) under each option that says something about the attribute.
    """

    pattern: str
    name: str
    basic: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class ProfileTable:
    """The table, looked up by tag."""

    edition: str
    rows: Mapping[str, Row] = field(repr=False)

    def find_row(self, tag: int) -> Row | None:
        """Return the row that covers a tag, or None where the table does not know it."""
        return self.rows.get(find_pattern(tag))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows.values())


def find_pattern(tag: int) -> str:
    """Return the key under which the table would list a tag.

    Repeating groups are the sixteen even groups 5000-501E and 6000-601E only (PS3.5 section 7.6); an odd
    group is private wherever it lies.
    """
    group, element = tag >> 16, tag & 0xFFFF
    if group % 2:
        return PRIVATE
    if 0x5000 <= group <= 0x501E:
        return CURVES
    if 0x6000 <= group <= 0x601E and element in (0x3000, 0x4000):
        return OVERLAY_DATA if element == 0x3000 else OVERLAY_COMMENTS
    return f"{tag:08X}"


@cache
def load_table() -> ProfileTable:
    """Load and check the packaged table.

    Raises
    ------
    ValueError
        If the file is not what it should be: wrong columns, an unknown action code, a row twice, a pattern
        missing, or too few rows. A damaged table must stop the process rather than let attributes through.
    """
    text = (files(__package__) / f"table_e1_1_{EDITION}.csv").read_text()
    return parse_table(text)


def parse_table(text: str) -> ProfileTable:
    """Parse and check the table's CSV; see `load_table`."""
    reader = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    if reader.fieldnames != ["tag", "name", "basic", *OPTIONS]:
        raise ValueError("Table E.1-1: the columns are not those of the packaged file.")
    rows: dict[str, Row] = {}
    for line in reader:
        row = Row(line["tag"], line["name"], line["basic"], {name: line[name] for name in OPTIONS if line[name]})
        _check_row(row, rows)
        rows[row.pattern] = row
    missing = {PRIVATE, CURVES, OVERLAY_DATA, OVERLAY_COMMENTS} - rows.keys()
    if missing or len(rows) < FEWEST_ROWS:
        raise ValueError(f"Table E.1-1: incomplete, {len(rows)} rows, patterns missing: {sorted(missing)}.")
    return ProfileTable(EDITION, rows)


def _check_row(row: Row, seen: Mapping[str, Row]) -> None:
    patterns = {PRIVATE, CURVES, OVERLAY_DATA, OVERLAY_COMMENTS}
    if row.pattern not in patterns and not re.fullmatch("[0-9A-F]{8}", row.pattern):
        raise ValueError(f"Table E.1-1: {row.pattern!r} is neither a tag nor one of the four patterns.")
    if row.pattern in seen:
        raise ValueError(f"Table E.1-1: {row.pattern} stands there twice.")
    if row.basic not in BASIC_CODES or not set(row.options.values()) <= OPTION_CODES:
        raise ValueError(f"Table E.1-1: {row.pattern} has an action code that PS3.15 does not define.")
