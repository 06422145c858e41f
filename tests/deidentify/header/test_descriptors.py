"""Clean Descriptors: what is medical stays, what identifies or is not understood goes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from aurelius_deidentify.data_files import read_words
from aurelius_deidentify.header.descriptors import clean_text
from aurelius_deidentify.header.identifiers import identifying_values, is_date
from aurelius_deidentify.header.vocabulary import derive_words, load_vocabulary

DESCRIPTORS = ("SeriesDescription", "ProtocolName", "StudyDescription")
WORD = re.compile(r"[^\W_]+")


@pytest.mark.parametrize(
    ("text", "evidence", "kept"),
    [
        ("P4^P101^S108^I0, Gated, 0.0% 20140321", set(), "P4^P101^S108^I0, Gated, 0.0%"),
        ("p4 20190619", set(), "p4"),
        ("XR CHEST AP PORTABLE for Douglas Davidson", {"douglas", "davidson"}, "XR CHEST AP PORTABLE"),
        ("XR CHEST AP PORTABLE for Douglas Davidson", set(), "XR CHEST AP PORTABLE"),
        ("CT, HEAD/BRAIN WO CONTRAST", {"head"}, "CT, BRAIN WO CONTRAST"),
        ("Dr. Head MRI Brain", set(), "Brain"),
        ("Smith's knee MRI", {"smith"}, "knee MRI"),
        ("Chest Mar 12, 2014 10:33 PM follow-up", set(), "Chest follow-up"),
        ("CT 12.03.2014 Abdomen", set(), "CT Abdomen"),
        ("HeadNeck64 AB12345 CT1234", set(), "HeadNeck64"),
        ("t2_tse_sag 512 W/O 3mm", set(), "t2_tse_sag 512 W/O 3mm"),
        ("5/5mm Plain", set(), "5/5mm Plain"),
        ("ax T1 FLAIR +C", set(), "ax T1 FLAIR +C"),
        ("T2* GRE (b1000)", set(), "T2* GRE (b1000)"),
        ("Thorax^1HEAD_NECK_PETCT", set(), "Thorax^1HEAD_NECK_PETCT"),
        ("Knie rechts ohne KM", set(), "Knie rechts ohne KM"),
        ("IRM du genou gauche sans contraste", set(), "IRM du genou gauche sans contraste"),
        ("TC de cráneo sin contraste", set(), "TC de cráneo sin contraste"),
        ("MRN 48151623 (Plantagenet) Lunge", set(), "Lunge"),
        ("Qwertz Uiop", set(), ""),
        ("", set(), ""),
    ],
)
def test_what_is_kept_of_a_text(text: str, evidence: set[str], kept: str) -> None:
    assert clean_text(text, evidence) == kept


@given(st.text(alphabet="CT head 0123456789./-_^(),:ßéA", max_size=40))
def test_no_date_no_long_number_and_nothing_new_is_ever_kept(text: str) -> None:
    kept = clean_text(text, ())
    assert not re.search(r"\d{5}", kept)
    assert not re.search(r"\d{4}[-./]\d{2}[-./]\d{2}", kept)
    assert clean_text(kept, ()) == kept
    remaining = iter(text)
    assert all(sign in remaining for sign in kept if sign.isalnum()), "its letters are those of the text, in order"


@given(
    st.lists(
        st.sampled_from(["chest", "CT", "Müller", "axial", "Davidson", "T1", "KNEE", "5mm", "Hand", "Zorn"]), max_size=8
    )
)
def test_evidence_goes_in_any_case_and_whatever_it_means(words: list[str]) -> None:
    kept = {
        word.casefold() for word in WORD.findall(clean_text(" ".join(words), {"hand", "müller", "davidson", "zorn"}))
    }
    assert kept.isdisjoint({"hand", "müller", "davidson", "zorn"})
    assert kept == {word.casefold() for word in words} - {"hand", "müller", "davidson", "zorn"}


def test_most_words_of_real_descriptors_are_kept_and_no_evidence_is(data: Path) -> None:
    words = kept_words = 0
    for text, evidence in {(text, frozenset(evidence)) for text, evidence in _read_descriptors(data)}:
        kept = WORD.findall(clean_text(text, evidence))
        assert evidence.isdisjoint(word.casefold() for word in kept)
        words, kept_words = words + len(WORD.findall(text)), kept_words + len(kept)
    assert words > 100
    assert kept_words / words > 0.88


def test_the_words_of_codes_are_those_pydicom_has() -> None:
    codes, imaging = (read_words("aurelius_deidentify.header", f"words_{name}.txt") for name in ("codes", "imaging"))
    assert codes <= derive_words() | imaging


def test_people_are_not_understood_because_a_sign_is_called_after_them() -> None:
    vocabulary = load_vocabulary()
    assert not any(vocabulary.understands(name) for name in ("towne", "douglas", "schmidt", "garcia"))


@pytest.mark.parametrize(
    ("keyword", "VR", "value", "found"),
    [
        ("PatientName", "PN", "Davidson^Douglas^^Dr", {"davidson", "douglas"}),
        ("PatientName", "PN", "D'Angelo^Anna-Maria", {"d'angelo", "angelo", "anna-maria", "anna", "maria"}),
        ("PatientName", "PN", "김희중", {"김희중"}),
        ("PatientName", "PN", "Test^Patient", set()),
        ("PatientName", "PN", "ROGERS_20180526", {"rogers", "20180526", "rogers_20180526"}),
        ("PatientID", "LO", "PAT-48151623", {"pat-48151623", "48151623"}),
        ("PatientID", "LO", "00000", set()),
        ("StationName", "SH", "CT1", set()),
        ("InstitutionName", "LO", "Boyer Medical Center", {"boyer"}),
        ("PatientBirthDate", "DA", "1958.04.17", {"19580417"}),
        ("ContentDate", "DA", "19000101", set()),
        ("AcquisitionDateTime", "DT", "20190712101500.000+0100", {"20190712"}),
        ("StudyInstanceUID", "UI", "1.2.276.0.7230010.3.1.4", {"1.2.276.0.7230010.3.1.4"}),
        ("SOPClassUID", "UI", "1.2.840.10008.5.1.4.1.1.2", set()),
        ("BodyPartExamined", "CS", "CHEST", set()),
        ("", "LO", "whatever 1234567", set()),
    ],
)
def test_what_identifies(keyword: str, VR: str, value: str, found: set[str]) -> None:
    assert set(identifying_values(keyword, VR, [value])) == found


def test_a_day_is_one_of_the_calendar() -> None:
    assert is_date("20240229")
    assert not any(map(is_date, ("20230229", "00010101", "12345678", "2024022", "")))


def _read_descriptors(data: Path) -> Iterator[tuple[str, set[str]]]:
    for path in sorted(data.rglob("*")):
        if not path.is_file():
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = dcmread(path, stop_before_pixels=True, force=True)
                evidence = _collect_evidence(dataset)
                texts = [str(dataset.get(keyword) or "") for keyword in DESCRIPTORS]
        except Exception:  # noqa: S112  # the odd files are there to break readers
            continue
        yield from ((text, evidence) for text in texts if text)


def _collect_evidence(dataset: Dataset) -> set[str]:
    names = [element for element in dataset if element.VR == "PN"]
    identifiers = [dataset[keyword] for keyword in ("PatientID", "AccessionNumber", "StudyID") if keyword in dataset]
    found: set[str] = set()
    for element in (*names, *identifiers):
        found.update(identifying_values(element.keyword, element.VR, [str(element.value)]))
    return found
