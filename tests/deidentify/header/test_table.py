"""Table E.1-1 as data: complete, checked on loading, and each row's action carried out at any depth."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import DataElement, Dataset
from pydicom.datadict import DicomDictionary
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from aurelius_deidentify.header import Deidentifier, Profile, PseudonymKey, load_profile, load_table
from aurelius_deidentify.header.dates import shift_date, shift_moment
from aurelius_deidentify.header.options import OPTIONS as OPTION_NAMES
from aurelius_deidentify.header.profile import load_additions
from aurelius_deidentify.header.table import parse_table
from support.builders import VISIT, make_identified

KEY = PseudonymKey(b"k" * 32)
BASIC = load_profile("basic")
SHIFT = KEY.shift_days("north", VISIT.PatientID)
TEXT = (files("aurelius_deidentify.header") / "table_e1_1_2026c.csv").read_text()
ROWS = list(csv.DictReader(line for line in TEXT.splitlines() if not line.startswith("#")))
TAGS = [row for row in ROWS if re.fullmatch("[0-9A-F]{8}", row["tag"])]
ORIGINALS = {
    "AE": "PLANTED", "AS": "042Y", "CS": "PLANTED", "DA": "20190713", "DS": "42.5", "DT": "20190713101530",
    "IS": "42", "LO": "CHEST PLANTED", "LT": "CHEST PLANTED", "OB": b"PLANTED ", "PN": "PLANTED",
    "SH": "CHEST PLANTED", "ST": "CHEST PLANTED", "TM": "101531", "UC": "CHEST PLANTED", "UI": "1.2.3.4.5",
    "UN": b"PLANTED ", "UR": "urn:PLANTED",
    "US": 42, "UT": "CHEST PLANTED",
}  # fmt: skip

#: What every de-identified object says of itself, whatever stood there.
STATED = ("DeidentificationMethod", "DeidentificationMethodCodeSequence", "PatientIdentityRemoved",
          "LongitudinalTemporalInformationModified")  # fmt: skip


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
OPTIONS = ["", *(name for name in OPTION_NAMES if name not in ("retain_safe_private", "clean_pixel_data"))]


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option or "basic")
def test_every_row_is_carried_out(option: str, depth: int) -> None:
    """One object holds every attribute of the table; each must end as its row, or the option's column, says."""
    profile = replace(BASIC, options=frozenset([option] if option else []))
    result = deidentify_table(profile, depth)
    wrong = {}
    for row in IN_DATA_SETS:
        tag = int(row["tag"], 16)
        action = row.get(option) or ""
        found = describe_result(tag, result.get(tag), depth)
        right = list_right_results(row, action, depth)
        if option == "retain_uids" and find_VR(tag, row["name"]) == "SQ" and "renewed" in right:
            right = {"kept"}  # the UIDs in the items of a sequence stay, whatever becomes of the rest of them
        if found not in right:
            wrong[row["tag"], row["name"]] = (row["basic"], action, found)
    assert not wrong


def deidentify_table(profile: Profile, depth: int) -> Dataset:
    """Return what becomes of a data set, or of an item in it, that holds every attribute of the table."""
    dataset = make_identified()
    item = dataset
    for _ in range(depth):
        item.SourceImageSequence = Sequence([Dataset()])
        item = item.SourceImageSequence[0]
    for row in IN_DATA_SETS:
        tag = int(row["tag"], 16)
        VR = find_VR(tag, row["name"])
        if VR == "SQ":
            inner = Dataset()
            inner.PatientName, inner.CodeMeaning, inner.ReferencedSOPInstanceUID = "PLANTED", "PLANTED", "1.2.3.4.5"
            inner.ValueType, inner.ConceptNameCodeSequence = "IMAGE", Sequence([])
            item.add_new(tag, "SQ", Sequence([inner]))
        elif tag not in dataset or depth:
            item.add_new(tag, VR, ORIGINALS[VR])
    file = FileDataset(BytesIO(), dataset, file_meta=FileMetaDataset(), is_implicit_VR=False)
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.set_original_encoding(False, True)
    result = Deidentifier(KEY, "north", profile).deidentify(file)
    for _ in range(depth):
        result = result.SourceImageSequence[0]
    return result


def find_VR(tag: int, name: str) -> str:
    """Return the VR of an attribute, by its name where pydicom is older than the table."""
    if tag in DicomDictionary:
        return DicomDictionary[tag][0]
    return "DT" if name.endswith("DateTime") else "SQ" if name.endswith("Sequence") else "LO"


def describe_result(tag: int, element: DataElement | None, depth: int) -> str:
    """Say in a word what became of an attribute."""
    if element is None:
        return "gone"
    if element.is_empty:
        return "empty"
    value = element.value
    if element.VR == "SQ":
        kept = value[0].get("ReferencedSOPInstanceUID") == "1.2.3.4.5"
        assert value[0].get("PatientName") != "PLANTED"
        return "kept" if kept else "renewed"
    if str(value).startswith("AUR-"):
        return "pseudonym"
    if element.VR == "UI":
        kept = value in ("1.2.3.4.5", VISIT.make_uid("study"), VISIT.make_uid("series"), VISIT.make_uid("instance"))
        return "kept" if kept else "renewed"
    if value == ORIGINALS[element.VR]:
        return "kept"
    shifted = {"DA": shift_date, "DT": shift_moment}.get(element.VR)
    if shifted and value == shifted(ORIGINALS[element.VR], SHIFT):
        return "shifted"
    return "cleaned" if value == "CHEST" else "replaced"


def list_right_results(row: dict[str, str], action: str, depth: int) -> set[str]:
    """Return what may become of an attribute by its row: several words where it depends on what the value is."""
    tag = int(row["tag"], 16)
    VR, keyword = find_VR(tag, row["name"]), DicomDictionary.get(tag, ("",) * 5)[4]
    if keyword == "PatientID" or (keyword == "PatientName" and depth == 0):
        return {"pseudonym"}
    if keyword in STATED and depth == 0:
        return {"replaced", "kept"}
    basic = list_basic_results(row["basic"], VR, keyword)
    if action == "K":
        return {"renewed"} if VR == "SQ" else {"kept"}
    if action != "C":
        return basic
    if VR in ("DA", "DT"):
        return {"shifted"}
    if VR == "TM":
        return {"kept"}
    if VR == "SQ":
        return {"renewed"}
    if VR in ("LO", "LT", "SH", "ST", "UC", "UT") and row["name"] != "Timezone Offset From UTC":
        return {"cleaned"}
    return basic


def list_basic_results(code: str, VR: str, keyword: str) -> set[str]:
    """Return what may become of an attribute by the Basic Profile's code: of several codes, the last is taken."""
    last = code.split("/")[-1]
    if last == "X":
        return {"gone"}
    if last == "Z" and keyword != "ReferencedStudySequence":
        return {"empty"}
    return {"renewed"} if VR in ("SQ", "UI") else {"replaced"}


def test_patterns_cover_even_groups_only() -> None:
    find_row = load_table().find_row
    assert [find_row(tag).name for tag in (0x50003000, 0x501E0005, 0x60003000, 0x601E4000)] == [  # type: ignore[union-attr]
        "Curve Data", "Curve Data", "Overlay Data", "Overlay Comments"
    ]  # fmt: skip
    assert find_row(0x60013000).name == find_row(0x00090010).name == "Private Attributes"  # type: ignore[union-attr]
    assert find_row(0x60203000) is find_row(0x50203000) is find_row(0x60000010) is None


def test_what_nobody_knows_is_removed_and_what_the_standard_knows_is_kept() -> None:
    find_rule = BASIC.find_rule
    for tag in (0x0018FFF0, 0x60203000, 0x50200010, 0x60000010, 0x00091001, 0x00080000, 0x00041430):
        assert find_rule(tag).action == "X", hex(tag)
    for tag in (0x00280010, 0x00080060, 0x00280030, 0x7FE00010, 0x00180050):
        assert find_rule(tag).action == "K", hex(tag)


def test_every_uid_is_new_unless_it_names_a_kind_of_thing() -> None:
    find_rule = BASIC.find_rule
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
