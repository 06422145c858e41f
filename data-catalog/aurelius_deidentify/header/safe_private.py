"""Private attributes that are safe to keep (PS3.15 Table E.3.10-1), by group, creator and element."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from aurelius_deidentify.header.table import EDITION

FEWEST_ROWS = 400
#: Group, private creator, and the last two digits of the element.
PrivateKey = tuple[int, str, int]
_PATTERN = re.compile(r"([0-9A-F]{4})xx([0-9A-F]{2})")
_VRS = re.compile(r"[A-Z]{2}|OB or OW|")


@cache
def load_safe_private() -> Mapping[PrivateKey, str]:
    """Load and check the packaged table: the VR (empty where the standard leaves it open) of each safe attribute.

    Raises
    ------
    ValueError
        If the file is not what it should be.
    """
    return parse_safe_private((files(__package__) / f"table_e3_10_1_{EDITION}.csv").read_text())


def parse_safe_private(text: str) -> Mapping[PrivateKey, str]:
    """Parse and check the table's CSV; see `load_safe_private`."""
    reader = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    if reader.fieldnames != ["element", "creator", "VR"]:
        raise ValueError("Table E.3.10-1: the columns are not those of the packaged file.")
    safe = {}
    for row in reader:
        match = _PATTERN.fullmatch(row["element"])
        if not match or not int(match[1], 16) % 2 or not row["creator"] or not _VRS.fullmatch(row["VR"]):
            raise ValueError(f"Table E.3.10-1: {row['element']!r} is no private element with its creator and VR.")
        safe[int(match[1], 16), row["creator"], int(match[2], 16)] = row["VR"]
    if len(safe) < FEWEST_ROWS:
        raise ValueError(f"Table E.3.10-1: incomplete, {len(safe)} rows.")
    return safe
