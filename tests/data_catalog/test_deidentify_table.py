"""Table E.1-1 as data: complete, checked on loading, and each row's action carried out at any depth."""

from __future__ import annotations

import csv
import re
from importlib.resources import files
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.datadict import DicomDictionary
from pydicom.sequence import Sequence

from aurelius_catalog.deidentify import Deidentifier, PseudonymKey, load_profile, load_table, read_identified
from aurelius_catalog.deidentify.profile import load_additions
from aurelius_catalog.deidentify.table import parse_table
from builders import make_identified, write_object

KEY = PseudonymKey(b"k" * 32)
BASIC = load_profile("basic")
TEXT = (files("aurelius_catalog.deidentify") / "table_e1_1_2026c.csv").read_text()
ROWS = list(csv.DictReader(line for line in TEXT.splitlines() if not line.startswith("#")))
TAGS = [row for row in ROWS if re.fullmatch("[0-9A-F]{8}", row["tag"])]
ORIGINALS = {
    "AE": "PLANTED", "AS": "042Y", "CS": "PLANTED", "DA": "20190713", "DS": "42.5", "DT": "20190713101530",
    "IS": "42", "LO": "PLANTED", "LT": "PLANTED", "OB": b"PLANTED ", "PN": "PLANTED", "SH": "PLANTED",
    "ST": "PLANTED", "TM": "101531", "UC": "PLANTED", "UI": "1.2.3.4.5", "UN": b"PLANTED ", "UR": "urn:PLANTED",
    "US": 42, "UT": "PLANTED",
}  # fmt: skip


def test_the_table_holds_what_the_standard_lists() -> None:
    table = load_table()
    assert (len(table), len(TAGS), table.edition) == (656, 652, "2026c")
    counted = {code: sum(row.basic == code for row in table) for code in {row.basic for row in table}}
    assert counted == {
        "X": 416, "D": 93, "U": 55, "Z": 42, "X/D": 23, "X/Z": 11, "X/Z/D": 8, "Z/D": 6, "X/Z/U*": 2
    }  # fmt: skip


def test_the_packaged_table_agrees_with_the_published_one(data: Path) -> None:
    with (data / "ps3.15" / "table_E.1-1_2026c.csv").open() as file:
        rows = {re.sub(r"[(),]", "", row["Tag"])[:8]: row for row in csv.DictReader(file)}
    for row in TAGS:
        assert row["basic"] == rows[row["tag"]]["Basic Prof."], row["tag"]
        assert row["retain_modified_dates"] == rows[row["tag"]]["Rtn. Long. Modif. Dates Opt."], row["tag"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace(",X,", ",Q,", 1), "does not define"),
        (lambda text: text + text.splitlines()[10] + "\n", "twice"),
        (lambda text: "\n".join(text.splitlines()[:500]), "incomplete"),
        (lambda text: text.replace("ggggeeee", "gggg", 1), "neither a tag"),
        (lambda text: text.replace("tag,name", "name,tag", 1), "columns"),
    ],
)
def test_a_damaged_table_stops_the_process(damage: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_table(damage(TEXT))  # type: ignore[operator]


#: Commands and file meta cannot stand in a data set; that their values are gone is searched for in bytes elsewhere.
IN_DATA_SETS = [row for row in TAGS if not row["tag"].startswith(("0000", "0002"))]


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("row", IN_DATA_SETS, ids=lambda row: row["tag"])
def test_every_row_is_carried_out(row: dict[str, str], depth: int, tmp_path: Path) -> None:
    tag = int(row["tag"], 16)
    VR = DicomDictionary[tag][0] if tag in DicomDictionary else "LO"
    result = _deidentify_one(tag, VR, depth, tmp_path)
    element = result.get(tag)
    keyword = DicomDictionary[tag][4] if tag in DicomDictionary else ""
    match row["basic"]:
        case _ if keyword == "PatientID" or (keyword == "PatientName" and depth == 0):
            assert str(element.value).startswith("AUR-")
        case "X":
            assert element is None
        case "Z" | "X/Z" if keyword != "ReferencedStudySequence":
            assert element is not None
            assert element.is_empty
        case _:
            _assert_replaced(element, VR)


def _deidentify_one(tag: int, VR: str, depth: int, folder: Path) -> Dataset:
    dataset = make_identified()
    item = dataset
    for _ in range(depth):
        item.ReferencedSeriesSequence = Sequence([Dataset()])
        item = item.ReferencedSeriesSequence[0]
    if VR == "SQ":
        inner = Dataset()
        inner.PatientName, inner.CodeMeaning, inner.ReferencedSOPInstanceUID = "PLANTED", "PLANTED", "1.2.3.4.5"
        item.add_new(tag, "SQ", Sequence([inner]))
    else:
        item.add_new(tag, VR, ORIGINALS[VR])
    result = Deidentifier(KEY, "north", BASIC).deidentify(read_identified(write_object(folder / "x.dcm", dataset)))
    for _ in range(depth):
        result = result.ReferencedSeriesSequence[0]
    return result


def _assert_replaced(element: object, VR: str) -> None:
    assert element is not None
    value = element.value  # type: ignore[attr-defined]
    if VR == "SQ":
        assert len(value) == 1
        assert value[0].ReferencedSOPInstanceUID == KEY.map_uid("1.2.3.4.5")
        assert value[0].PatientName != "PLANTED"
    elif VR == "UI":
        assert value == KEY.map_uid("1.2.3.4.5")
    else:
        assert value not in ("", None, ORIGINALS[VR])


def test_patterns_cover_even_groups_only() -> None:
    find_row = load_table().find_row
    assert [find_row(tag).name for tag in (0x50003000, 0x501E0005, 0x60003000, 0x601E4000)] == [  # type: ignore[union-attr]
        "Curve Data", "Curve Data", "Overlay Data", "Overlay Comments"
    ]  # fmt: skip
    assert find_row(0x60013000).name == find_row(0x00090010).name == "Private Attributes"  # type: ignore[union-attr]
    assert find_row(0x60203000) is find_row(0x50203000) is find_row(0x60000010) is None


def test_what_nobody_knows_is_removed_and_what_the_standard_knows_is_kept() -> None:
    find_rule = load_profile("basic").find_rule
    for tag in (0x0018FFF0, 0x60203000, 0x50200010, 0x60000010, 0x00091001, 0x00080000, 0x00041430):
        assert find_rule(tag).action == "X", hex(tag)
    for tag in (0x00280010, 0x00080060, 0x00280030, 0x7FE00010, 0x00180050):
        assert find_rule(tag).action == "K", hex(tag)


def test_every_uid_is_new_unless_it_names_a_kind_of_thing() -> None:
    find_rule = load_profile("basic").find_rule
    kept = {DicomDictionary[tag][4] for tag in DicomDictionary if find_rule(tag).action == "K" and _is_uid(tag)}
    assert all("Class" in keyword or "Syntax" in keyword or "Scheme" in keyword or "Context" in keyword
               or keyword == "MappingResourceUID" for keyword in kept), kept  # fmt: skip
    assert {"SOPClassUID", "ReferencedSOPClassUID", "CodingSchemeUID"} <= kept


def test_additions_name_attributes_of_the_dictionary_that_the_table_does_not_list() -> None:
    table = load_table()
    for tag in load_additions():
        assert tag in DicomDictionary, hex(tag)
        assert table.find_row(tag) is None, hex(tag)


def _is_uid(tag: int) -> bool:
    return DicomDictionary[tag][0] == "UI"
