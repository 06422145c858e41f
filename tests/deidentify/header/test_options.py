"""The options of PS3.15 section E.3: dates keep their intervals, safe private attributes stay, texts are cleaned."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence

from aurelius_deidentify.header import Deidentifier, Profile, PseudonymKey, load_profile
from aurelius_deidentify.header.dates import shift_date, shift_moment
from aurelius_deidentify.header.safe_private import load_safe_private, parse_safe_private
from aurelius_deidentify.header.site_profile import SiteRule
from support.builders import VISIT, make_identified, write_object

KEY = PseudonymKey(bytes(range(32)))
RESEARCH, BASIC = load_profile("research"), load_profile("basic")


def rewrite(dataset: Dataset, folder: Path, profile: Profile = RESEARCH) -> tuple[Dataset, bytes]:
    """Return the de-identified header, and the whole file's bytes."""
    source = write_object(folder / "in.dcm", dataset).read_bytes()
    out = Deidentifier(KEY, "north", profile).open_study().rewrite(source)
    (folder / "out.dcm").write_bytes(out.join())
    return dcmread(folder / "out.dcm"), out.join()


@pytest.mark.parametrize(
    ("text", "moved"),
    [("20240301", "20240229"), ("2024.03.01", "20240229"), ("00010101", None), ("20240230", None), ("***", None)],
)
def test_a_date_moves_by_whole_days(text: str, moved: str | None) -> None:
    assert shift_date(text, 1) == moved


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("20240301235959.123456+0100", "20240229235959.123456+0100"),
        ("202403010000", "202402290000"),
        ("20240301", "20240229"),
        ("202403", "202402"),
        ("2024", "2023"),
        ("2024-03-01", None),
        ("yesterday", None),
    ],
)
def test_a_moment_keeps_its_time_precision_and_offset(text: str, moved: str | None) -> None:
    assert shift_moment(text, 1) == moved


def test_the_decay_time_of_a_pet_scan_stays_exact(tmp_path: Path) -> None:
    dataset = make_identified()
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "20240301"
    dataset.SeriesTime, dataset.AcquisitionTime = "001500.250000", "002000"
    dataset.StudyTime, dataset.TimezoneOffsetFromUTC = "235959", "+0100"
    tracer = Dataset()
    tracer.RadiopharmaceuticalStartDateTime = "20240229231530.500000+0100"
    tracer.RadiopharmaceuticalStartTime = "231530.500000"
    tracer.RadionuclideHalfLife = "6586.2"
    dataset.RadiopharmaceuticalInformationSequence = Sequence([tracer])
    result, data = rewrite(dataset, tmp_path)

    def measure_decay(source: Dataset) -> float:
        start = source.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime
        series = f"{source.SeriesDate}{source.SeriesTime}{source.TimezoneOffsetFromUTC}"
        written = "%Y%m%d%H%M%S.%f%z"
        return (datetime.strptime(series, written) - datetime.strptime(start, written)).total_seconds()

    assert measure_decay(result) == measure_decay(dataset) == 3569.75
    assert (result.AcquisitionTime, result.StudyTime) == (dataset.AcquisitionTime, dataset.StudyTime)
    assert (
        result.StudyDate == result.AcquisitionDate == shift_date("20240301", KEY.shift_days("north", VISIT.PatientID))
    )
    assert result.LongitudinalTemporalInformationModified == "MODIFIED"
    assert b"20240301" not in data
    assert b"20240229" not in data


def test_dates_of_two_visits_keep_their_distance_and_those_of_another_patient_move_otherwise(tmp_path: Path) -> None:
    days = []
    for number, PatientID in (("20240101", "A-1"), ("20240301", "A-1"), ("20240101", "B-2")):
        dataset = make_identified()
        dataset.StudyDate, dataset.PatientID = number, PatientID
        days.append(datetime.strptime(rewrite(dataset, tmp_path)[0].StudyDate, "%Y%m%d"))
    assert (days[1] - days[0]).days == 60
    assert days[2] != days[0]


@pytest.mark.filterwarnings("ignore:Invalid value:UserWarning")
def test_what_is_no_date_is_not_kept(tmp_path: Path) -> None:
    dataset = make_identified()
    dataset.add_new(0x00080020, "DA", "PLANTED")
    dataset.add_new(0x00080030, "TM", "PLANTED")
    dataset.add_new(0x0008002A, "DT", "PLANTED")
    result, data = rewrite(dataset, tmp_path)
    assert (result.StudyDate, result.StudyTime) == ("", "")
    assert b"PLANTED" not in data


def test_characteristics_stay_but_not_a_very_old_persons_age(tmp_path: Path) -> None:
    for age, kept in (("042Y", "042Y"), ("089Y", "089Y"), ("097Y", "090Y"), ("011M", "011M")):
        dataset = make_identified()
        dataset.PatientSex, dataset.PatientAge, dataset.PatientWeight = "F", age, "61.5"
        dataset.PatientBirthDate = "19580417"
        result, _ = rewrite(dataset, tmp_path)
        assert (result.PatientSex, result.PatientAge, result.PatientWeight) == ("F", kept, 61.5)
        assert result.PatientBirthDate == ""
        assert "PatientAge" not in rewrite(dataset, tmp_path, BASIC)[0]


def make_private() -> Dataset:
    """Return an object with safe and other private attributes, also in private sequences and UN."""
    dataset = make_identified()
    block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", "1000")  # b-value: safe
    block.add_new(0x08, "CS", "PLANTED")  # not in the table
    other = dataset.private_block(0x0019, "PLANTED CREATOR", create=True)
    other.add_new(0x0C, "IS", "1000")  # a safe element number of another creator
    philips = dataset.private_block(0x2001, "Philips Imaging DD 001", create=True)
    philips.add_new(0x03, "UN", b"\0\0\x7a\x44")  # a safe FL, written as UN: 1000.0
    stack = Dataset()
    stack.PatientName = "PLANTED"
    inner = stack.private_block(0x2001, "Philips Imaging DD 001", create=True)
    inner.add_new(0x2D, "SS", 7)  # safe, inside
    inner.add_new(0xFE, "LO", "PLANTED")
    philips.add_new(0x5F, "SQ", Sequence([stack]))  # a safe private sequence
    secret = dataset.private_block(0x0009, "PLANTED SECRET", create=True)
    item = Dataset()
    item.PatientName, item.StudyDate = "PLANTED", "20240301"
    secret.add_new(0x01, "SQ", Sequence([item]))
    secret.add_new(0x02, "UN", b"PLANTED ")
    dataset.add_new(0x00211001, "LO", "PLANTED")  # without a creator
    return dataset


def test_safe_private_attributes_stay_and_all_others_go(tmp_path: Path) -> None:
    result, data = rewrite(make_private(), tmp_path)
    assert b"PLANTED" not in data.replace(b"PLANTED_AE", b"")
    assert result.private_block(0x0019, "SIEMENS MR HEADER")[0x0C].value == 1000
    philips = result.private_block(0x2001, "Philips Imaging DD 001")
    assert philips[0x03].value == 1000.0
    assert philips[0x5F].value[0].private_block(0x2001, "Philips Imaging DD 001")[0x2D].value == 7
    left = {
        element.tag for element in result.iterall() if element.tag.is_private and not element.tag.is_private_creator
    }
    assert left == {0x0019100C, 0x20011003, 0x2001105F, 0x2001102D}
    creators = [element.value for element in result if element.tag.is_private_creator]
    assert creators == ["SIEMENS MR HEADER", "Philips Imaging DD 001"]


def test_private_dates_move_and_private_uids_are_renewed(tmp_path: Path) -> None:
    rules = [SiteRule("K", private=(0x0019, "OUR LAB", element)) for element in (1, 2, 3, 4)]
    dataset = make_identified()
    block = dataset.private_block(0x0019, "OUR LAB", create=True)
    block.add_new(1, "DA", "20240301")
    block.add_new(2, "DT", "20240301101500.5")
    block.add_new(3, "UI", "1.2.3.4.5.6.7")
    block.add_new(4, "PN", "PLANTED")
    result, data = rewrite(dataset, tmp_path, replace(RESEARCH, rules=tuple(rules)))
    kept, days = result.private_block(0x0019, "OUR LAB"), KEY.shift_days("north", VISIT.PatientID)
    assert kept[1].value == shift_date("20240301", days)
    assert kept[2].value == shift_moment("20240301101500.5", days)
    assert kept[3].value == KEY.map_uid("1.2.3.4.5.6.7")
    assert b"PLANTED" not in data.replace(b"PLANTED_AE", b"")


def test_without_the_option_no_private_attribute_stays(tmp_path: Path) -> None:
    result, _ = rewrite(make_private(), tmp_path, replace(RESEARCH, options=RESEARCH.options - {"retain_safe_private"}))
    assert not [element for element in result.iterall() if element.tag.is_private]


def test_the_list_of_safe_private_attributes_is_that_of_the_standard(data: Path) -> None:
    published = (data / "ps3.15" / "table_E.3.10-1_2026c.csv").read_text().splitlines()
    assert len(load_safe_private()) == len(published) - 1 == 479
    assert load_safe_private()[0x0019, "SIEMENS MR HEADER", 0x0C] == "IS"
    with pytest.raises(ValueError, match="incomplete"):
        parse_safe_private('element,creator,VR\n0019xx0C,"SIEMENS MR HEADER",IS\n')
    with pytest.raises(ValueError, match="no private element"):
        parse_safe_private("element,creator,VR\n0018xx0C,SIEMENS MR HEADER,IS\n")


def test_descriptors_keep_what_is_medical_and_lose_the_patient(tmp_path: Path) -> None:
    dataset = make_identified()
    dataset.StudyDescription = f"CT CHEST {VISIT.PatientID} Petra 20240301"
    dataset.SeriesDescription = "Plantagenet"
    dataset.ConvolutionKernel = "B30f"
    dataset.SoftwareVersions = "VB20 for Plantagenet"  # the table does not list it
    result, data = rewrite(dataset, tmp_path)
    assert result.StudyDescription == "CT CHEST"
    assert "SeriesDescription" not in result  # X in the Basic Profile, and nothing is left of it
    assert result.ConvolutionKernel == "B30f"
    for word in (b"Plantagenet", b"Petra", b"20240301", VISIT.PatientID.encode()):
        assert word not in data


def test_graphic_annotations_keep_their_shapes_and_lose_their_texts(tmp_path: Path) -> None:
    dataset = make_identified()
    text, shape, annotation = Dataset(), Dataset(), Dataset()
    text.UnformattedTextValue, text.AnchorPoint = "PLANTED", [1.0, 2.0]
    shape.GraphicType, shape.GraphicData, shape.NumberOfGraphicPoints = "POLYLINE", [1.0, 2.0, 3.0, 4.0], 2
    annotation.TextObjectSequence, annotation.GraphicObjectSequence = Sequence([text]), Sequence([shape])
    annotation.GraphicLayer = "LAYER"
    dataset.GraphicAnnotationSequence = Sequence([annotation])
    dataset.add_new(0x60003000, "OB", b"PLANTED ")
    result, data = rewrite(dataset, tmp_path)
    kept = result.GraphicAnnotationSequence[0]
    assert list(kept.GraphicObjectSequence[0].GraphicData) == [1.0, 2.0, 3.0, 4.0]
    assert kept.TextObjectSequence[0].UnformattedTextValue == "REMOVED"
    assert b"PLANTED" not in data


def make_content(value_type: str, concept: tuple[str, str], **values: object) -> Dataset:
    """Return a content item."""
    item, name = Dataset(), Dataset()
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = *concept, "a concept"
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = "CONTAINS", value_type, Sequence([name])
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def test_content_items_are_judged_by_their_concept(tmp_path: Path) -> None:
    dataset = make_identified()
    dataset.ContentSequence = Sequence(
        [
            make_content("TEXT", ("121071", "DCM"), TextValue="nodule in the lung of Plantagenet"),
            make_content("PNAME", ("121008", "DCM"), PersonName="PLANTED"),
            make_content("UIDREF", ("121012", "DCM"), UID="1.2.3.4.5.6.7"),
            make_content("CONTAINER", ("121070", "DCM"), ContentSequence=Sequence([
                make_content("PNAME", ("121008", "DCM"), PersonName="PLANTED")])),
        ]
    )  # fmt: skip
    result, data = rewrite(dataset, tmp_path)
    texts = [str(item.get("TextValue", "")) for item in result.ContentSequence]
    assert "nodule" in texts[0]
    for word in (b"Plantagenet", b"PLANTED", b"1.2.3.4.5.6.7"):
        assert word not in data.replace(b"PLANTED_AE", b"")
