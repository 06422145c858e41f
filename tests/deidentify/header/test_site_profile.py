"""Profile files: what they say is what is done, and what they say wrongly is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset

from aurelius_catalog.errors import ProfileUnusable
from aurelius_deidentify.header import Deidentifier, Profile, PseudonymKey, load_profile
from support.builders import make_identified, write_object

KEY = PseudonymKey(bytes(range(32)))
GOOD = "name: north\nversion: 2\nbase: basic\n"


def write_profile(folder: Path, text: str) -> Path:
    path = folder / "north.yaml"
    path.write_text(text)
    return path


def deidentify(profile: Profile, dataset: Dataset, folder: Path) -> Dataset:
    source = write_object(folder / "in.dcm", dataset).read_bytes()
    return Deidentifier(KEY, "north", profile).open_study().rewrite(source).dataset


def test_the_packaged_profiles_say_what_they_do() -> None:
    basic, research = load_profile("basic"), load_profile("research")
    assert (basic.name, basic.version, basic.edition, basic.options) == ("basic", 1, "2026c", frozenset())
    assert [code for code, _, _ in basic.codes] == ["113100"]
    assert [code for code, _, _ in research.codes] == [
        "113100", "113101", "113103", "113104", "113105", "113107", "113108", "113111"
    ]  # fmt: skip
    assert {scheme for _, scheme, _ in research.codes} == {"DCM"}
    assert len(basic.method) <= len(research.method) <= 64


def test_the_hash_is_of_what_a_profile_says_not_of_how_it_is_written(tmp_path: Path) -> None:
    rule = "rules: [{attribute: StudyID, action: K}]\n"
    first = load_profile(write_profile(tmp_path, GOOD + "options: [retain_patient, clean_graphics]\n" + rule))
    same = (
        '# a comment\nrules:\n  - action: K\n    attribute: "(0020,0010)"\noptions: [clean_graphics, retain_patient]\n'
    )
    assert load_profile(write_profile(tmp_path, same + GOOD)).sha256 == first.sha256
    hashes = {first.sha256, load_profile("basic").sha256, load_profile("research").sha256}
    for text in (GOOD, GOOD.replace("2", "3"), GOOD + "options: [retain_patient]\n", GOOD + rule.replace("K", "X")):
        hashes.add(load_profile(write_profile(tmp_path, text)).sha256)
    assert len(hashes) == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: north\n", "has name, version and base"),
        (GOOD + "surprise: 1\n", "nothing else"),
        (GOOD.replace("north", "North Clinic"), "small letters"),
        (GOOD.replace("2", "two"), "whole number"),
        (GOOD.replace("basic", "strict"), "base must be basic"),
        (GOOD + "options: [retain_everything]\n", "retain_everything is no option"),
        (GOOD + "options: [retain_full_dates, retain_modified_dates]\n", "not both"),
        (GOOD + "rules: [{attribute: StudyID, action: Q}]\n", "rule 1: Q is no action"),
        (GOOD + "rules: [{attribute: NoSuchThing, action: K}]\n", "NoSuchThing is neither"),
        (GOOD + "rules: [{attribute: StudyID, act: K}]\n", "attribute and action"),
        (GOOD + 'rules: [{attribute: "(0019,100C)", action: K}]\n', "needs its creator"),
        (GOOD + 'rules: [{attribute: "(0019,100C)", action: K, creator: X}]\n', r"as \(0019,xx0C\)"),
        (GOOD + "rules: [{attribute: StudyID, action: K}, {attribute: StudyID, action: X}]\n", "same attribute"),
        (GOOD + "rules: [", "look at line"),
    ],
)
def test_a_wrong_profile_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ProfileUnusable, match=message):
        load_profile(write_profile(tmp_path, text))


def test_a_profile_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ProfileUnusable, match=r"basic, research"):
        load_profile("reserch")


def test_a_sites_own_rules_come_first(tmp_path: Path) -> None:
    dataset = make_identified()
    dataset.StudyID, dataset.Manufacturer, dataset.StationName = "S-1", "Maker", "CT-WEST"
    block = dataset.private_block(0x0019, "OUR LAB", create=True)
    block.add_new(0x0C, "DS", "42.5")
    block.add_new(0x0D, "LO", "PLANTED")
    rules = (
        "rules:\n  - {attribute: StudyID, action: K}\n  - {attribute: Manufacturer, action: X}\n"
        '  - {attribute: "(0019,xx0C)", creator: OUR LAB, action: K}\n'
    )
    result = deidentify(load_profile(write_profile(tmp_path, GOOD + rules)), dataset, tmp_path)
    assert result.StudyID == "S-1"
    assert "Manufacturer" not in result
    assert result.StationName == "REMOVED"
    assert result.private_block(0x0019, "OUR LAB")[0x0C].value == 42.5
    assert 0x0019100D not in result
    assert "north@2" in result.DeidentificationMethod
