"""Clean Structured Content: every row of Table E.3.4-1 against its action, and what is not listed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from aurelius_deidentify.header.structured_content import find_content_rule, load_content_table

RESEARCH = frozenset({"retain_modified_dates", "clean_descriptors", "clean_structured", "retain_patient"})
COLUMNS = {
    "Rtn. UIDs Opt.": "retain_uids",
    "Rtn. Dev. Id. Opt.": "retain_device",
    "Rtn. Inst. Id. Opt.": "retain_institution",
    "Rtn. Pat. Chars. Opt.": "retain_patient",
    "Rtn. Long. Full Dates Opt.": "retain_full_dates",
    "Rtn. Long. Modif. Dates Opt.": "retain_modified_dates",
    "Clean Desc. Opt.": "clean_descriptors",
}


def test_the_packaged_table_is_the_standards(data: Path) -> None:
    with (data / "ps3.15" / "table_E.3.4-1_2026c.csv").open() as file:
        rows = list(csv.DictReader(file))
    table = load_content_table()
    assert len(table) == len(rows) == 214
    for row in rows:
        key = (row["Code Value"], row["Coding Scheme Designator"], row["Value Type"])
        assert table[key].basic == row["Basic Prof."]
        assert table[key].options == {name: row[column] for column, name in COLUMNS.items() if row[column]}


def test_every_row_is_decided_as_its_options_say() -> None:
    for (code, scheme, value_type), row in load_content_table().items():
        basic = find_content_rule((code, scheme), value_type, frozenset())
        assert basic == "X" if row.basic == "X" else basic in ("D", "U")
        for option, action in row.options.items():
            found = find_content_rule((code, scheme), value_type, frozenset({option}))
            assert found == ("S" if option == "retain_modified_dates" else action)


@pytest.mark.parametrize(
    ("concept", "value_type", "action"),
    [
        (("121022", "DCM"), "TEXT", "X"),  # Accession Number
        (("121008", "DCM"), "PNAME", "D"),  # Person Observer Name
        (("126201", "DCM"), "DATE", "S"),  # Acquisition Date
        (("113795", "DCM"), "IMAGE", "U"),  # Acquired Image
        (("121032", "DCM"), "CODE", "K"),  # Subject Sex
        (("unheard", "99OF"), "TEXT", "C"),
        (("unheard", "99OF"), "PNAME", "D"),
        (("unheard", "99OF"), "DATETIME", "S"),
        (("unheard", "99OF"), "UIDREF", "U"),
        (("unheard", "99OF"), "COMPOSITE", "U"),
        (("unheard", "99OF"), "NUM", "K"),
        (("", ""), "CONTAINER", "K"),
        (("unheard", "99OF"), "HOLOGRAM", "X"),
    ],
)
def test_what_the_research_profile_does(concept: tuple[str, str], value_type: str, action: str) -> None:
    assert find_content_rule(concept, value_type, RESEARCH) == action


def test_without_options_no_text_date_or_name_is_kept() -> None:
    for value_type in ("TEXT", "PNAME", "DATE", "TIME", "DATETIME"):
        assert find_content_rule(("unheard", "99OF"), value_type, frozenset()) == "D"
