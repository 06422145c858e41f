"""Invented identities planted wherever an object can hide them, looked for in the bytes that come out.

The scoring follows the ten actions of the MIDI-B challenge (arXiv 2507.23608), but for hidden pixels, which
``test_pixels.py`` is about.
"""

from __future__ import annotations

import csv
import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from aurelius_catalog.errors import NotDeidentifiable
from aurelius_deidentify.header import DeidentifiedObject, Deidentifier, PseudonymKey, StudySession, load_profile
from aurelius_deidentify.residue.scanner import ResidueScanner, find_residue
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.vault import create_vault
from aurelius_intake.vault.maps import write_maps
from support.builders import VISIT, make_identified

KEY = PseudonymKey(bytes(range(32)))
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
PROFILES = ["basic", "research"]
DEEPEST = 4
#: Dates and UIDs planted everywhere; no output may hold them.
DAY, UID_PLANTED = "20190713", "1.2.826.0.1.3680043.9.7133.48151623"
NAMING = ("ReferringPhysicianName", "InstitutionName", "PatientAddress", "PatientComments", "StationName")
Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Answer:
    """What must have become of one value: where it stood, and one of MIDI-B's actions."""

    where: Path_
    action: str
    value: str


class Planter:
    """Plants words that occur nowhere else, and remembers each."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.answers: list[Answer] = []

    def word(self, place: str) -> str:
        """Return a new word for a place."""
        word = f"Zz{len(self.words):02d}q{hashlib.sha256(place.encode()).hexdigest()[:6]}k"
        self.words.append(word)
        return word

    def plant(self, dataset: Dataset) -> None:
        """Plant in an image object, at every depth, and around the data set."""
        where: Path_ = ()
        item = dataset
        for depth in range(DEEPEST + 1):
            self._plant_item(item, where, depth)
            if depth < DEEPEST:
                inner = Dataset()
                item.ReferencedSeriesSequence = Sequence([inner])  # kept by every profile, so it must be walked
                item, where = inner, (*where, "ReferencedSeriesSequence", 0)

    def _plant_item(self, item: Dataset, where: Path_, depth: int) -> None:
        for keyword in (
            "ReferringPhysicianName",
            "InstitutionName",
            "PatientAddress",
            "PatientComments",
            "StationName",
        ):
            setattr(item, keyword, self._removed((*where, keyword), str(depth)))
        item.StudyDescription = f"CT chest {self._removed((*where, 'StudyDescription'), str(depth))} {DAY} 5mm"
        item.AccessionNumber = self._removed((*where, "AccessionNumber"), str(depth))
        for keyword in ("StudyDate", "AcquisitionDate", "SeriesDate"):
            setattr(item, keyword, DAY)
            self.answers.append(Answer((*where, keyword), "date_shifted", DAY))
        item.AcquisitionDateTime = f"{DAY}101530.123456"
        item.ReferencedSOPInstanceUID = UID_PLANTED
        self.answers.append(Answer((*where, "AcquisitionDateTime"), "date_shifted", DAY))
        self.answers.append(Answer((*where, "ReferencedSOPInstanceUID"), "uid_changed", UID_PLANTED))
        self.answers.append(Answer((*where, "ReferencedSOPInstanceUID"), "uid_consistent", UID_PLANTED))
        item.Manufacturer = f"Siemens\0{self.word(f'tail {depth}')}"
        self.answers.append(Answer((*where, "Manufacturer"), "text_retained", "Siemens"))
        self._plant_bytes(item, depth)

    def _removed(self, where: Path_, depth: str) -> str:
        word = self.word(f"{where[-1]} {depth}")
        self.answers.append(Answer(where, "text_removed", word))
        return word

    def _plant_bytes(self, item: Dataset, depth: int) -> None:
        def padded(place: str) -> bytes:
            word = self.word(f"{place} {depth}").encode()
            return word + b" " * (len(word) % 2)

        block = item.private_block(0x0009, self.word(f"creator {depth}"), create=True)
        block.add_new(0x01, "LO", self.word(f"private text {depth}"))
        block.add_new(0x03, "UN", padded("private UN"))
        inner = Dataset()
        inner.PatientName = self.word(f"name in a private sequence {depth}")
        inner.StudyDate = DAY
        block.add_new(0x02, "SQ", Sequence([inner]))
        safe = item.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        safe.add_new(0x99, "LO", self.word(f"beside what is safe {depth}"))
        item.add_new(0x00181004, "UN", padded("known as UN"))
        item.add_new(0x0018FFF0, "UN", padded("unknown"))
        item.add_new(0x50003000, "OB", padded("curve"))
        item.add_new(0x60003000, "OB", padded("overlay"))
        item.add_new(0x60004000, "LT", padded("overlay comment").decode())
        item.add_new(0xFFFCFFFC, "OB", padded("trailing padding"))


def make_image() -> tuple[Dataset, Planter]:
    """Return an image full of planted values."""
    dataset, planter = make_identified(), Planter()
    planter.plant(dataset)
    dataset.PatientName = "Head^Zygmunta"
    dataset.SeriesDescription = "Head Zygmunta T1 axial"
    dataset.ProtocolName = "Brain 20190713 FLAIR"
    dataset.PatientSex, dataset.PatientSize = "F", "1.71"
    dataset.Rows = dataset.Columns = 4
    dataset.SamplesPerPixel, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 8, 8, 7
    dataset.PixelRepresentation, dataset.PhotometricInterpretation = 0, "MONOCHROME2"
    dataset.PixelData = bytes(range(16))
    dataset["PixelData"].VR = "OB"
    planter.words += ["Zygmunta", VISIT.PatientID]
    answers = [
        (("StudyInstanceUID",), "uid_consistent", dataset.StudyInstanceUID),
        (("SeriesInstanceUID",), "uid_consistent", dataset.SeriesInstanceUID),
        (("SOPInstanceUID",), "uid_changed", dataset.SOPInstanceUID),
        (("PatientID",), "patid_consistent", VISIT.PatientID),
        (("PixelData",), "pixels_retained", hashlib.md5(bytes(range(16)), usedforsecurity=False).hexdigest()),
        (("SOPClassUID",), "tag_retained", dataset.SOPClassUID),
        (("Rows",), "text_notnull", "4"),
        (("Modality",), "text_retained", "CT"),
        (("SeriesDescription",), "text_removed", "Zygmunta"),
        (("PatientName",), "text_removed", "Zygmunta"),
        (("ProtocolName",), "text_removed", "20190713"),
    ]
    planter.answers += [Answer(*answer) for answer in answers]
    return dataset, planter


#: What Clean Descriptors, Modified Dates and Patient Characteristics keep beside it.
RETAINED = [
    Answer(("SeriesDescription",), "text_retained", "T1 axial"),
    Answer(("ProtocolName",), "text_retained", "Brain FLAIR"),
    Answer(("StudyDescription",), "text_retained", "CT chest 5mm"),
    Answer(("PatientSex",), "text_retained", "F"),
    Answer(("PatientSize",), "text_retained", "1.71"),
    Answer(("StudyDate",), "text_notnull", ""),
    Answer(("ReferencedSeriesSequence", 0, "AcquisitionDateTime"), "text_notnull", ""),
]


def make_report() -> tuple[Dataset, Planter]:
    """Return a structured report with names, dates, references and free text in its content, three levels deep."""
    dataset, planter = make_identified(), Planter()
    dataset.SOPClassUID, dataset.Modality = BasicTextSRStorage, "SR"
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    verifier = Dataset()
    verifier.VerifyingObserverName, verifier.VerifyingOrganization = planter.word("verifier"), planter.word("where")
    verifier.VerificationDateTime = f"{DAY}101530"
    dataset.VerifyingObserverSequence = Sequence([verifier])
    owner = dataset
    for level in range(3):
        owner.ContentSequence = Sequence(list(_make_content(planter, level)))
        owner = owner.ContentSequence[-1]
    return dataset, planter


def _make_content(planter: Planter, level: int) -> Iterator[Dataset]:
    def item(value_type: str, code: tuple[str, str, str], **values: object) -> Dataset:
        made = Dataset()
        made.RelationshipType, made.ValueType = "CONTAINS", value_type
        concept = Dataset()
        concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = code
        made.ConceptNameCodeSequence = Sequence([concept])
        for keyword, value in values.items():
            setattr(made, keyword, value)
        return made

    local = ("L1", "99LOCAL", "Something")
    yield item("PNAME", ("121008", "DCM", "Person Observer Name"), PersonName=planter.word(f"observer {level}"))
    yield item("PNAME", local, PersonName=planter.word(f"local name {level}"))
    yield item(
        "TEXT", ("121071", "DCM", "Finding"), TextValue=f"lung nodule, {planter.word(f'finding {level}')}, {DAY}"
    )
    yield item("TEXT", ("121022", "DCM", "Accession Number"), TextValue=planter.word(f"accession {level}"))
    yield item("TEXT", local, TextValue=planter.word(f"local text {level}"))
    yield item("DATE", local, Date=DAY)
    yield item("DATETIME", local, DateTime=f"{DAY}101530")
    yield item("UIDREF", local, UID=UID_PLANTED)
    yield item("HOLOGRAM", local, TextValue=planter.word(f"unheard of {level}"))
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = planter.word(f"code {level}"), "99LOCAL"
    code.CodeMeaning = planter.word(f"meaning {level}")
    yield item("CODE", local, ConceptCodeSequence=Sequence([code]))
    yield item("CONTAINER", ("121070", "DCM", "Findings"), ContinuityOfContent="SEPARATE")


def write_part10(dataset: Dataset, syntax: UID, planter: Planter) -> bytes:
    """Return a Part 10 file with values planted in preamble and file meta too."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.SourceApplicationEntityTitle = planter.word("meta")[:16]
    meta.PrivateInformationCreatorUID = UID_PLANTED
    meta.PrivateInformation = planter.word("private meta").encode()
    target = BytesIO()
    preamble = planter.word("preamble").encode().ljust(128, b"\0")
    dcmwrite(target, FileDataset(BytesIO(), dataset, file_meta=meta, preamble=preamble), enforce_file_format=True)
    return target.getvalue()


def rewrite(source: bytes, profile: str, key: PseudonymKey = KEY) -> tuple[StudySession, DeidentifiedObject, bytes]:
    session = Deidentifier(key, "north", load_profile(profile)).open_study()
    out = session.rewrite(source)
    return session, out, bytes(out.head) + bytes(out.pixels) + bytes(out.tail)


def inflate(data: bytes, syntax: UID) -> bytes:
    if syntax != DeflatedExplicitVRLittleEndian:
        return data
    start = 144 + int.from_bytes(data[140:144], "little")
    return data[:start] + zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[start:])


@pytest.mark.parametrize("make", [make_image, make_report], ids=["image", "report"])
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_nothing_planted_is_in_the_output_bytes(
    syntax: UID, profile: str, make: Callable[[], tuple[Dataset, Planter]]
) -> None:
    dataset, planter = make()
    source = write_part10(dataset, syntax, planter)
    session, _, output = rewrite(source, profile)
    before, after = inflate(source, syntax).lower(), inflate(output, syntax).lower()
    planted = [*planter.words, DAY, UID_PLANTED]
    assert [word for word in planted if word.lower().encode() not in before] == [], "all were planted"
    assert [word for word in planted if word.lower().encode() in after] == []
    assert find_residue(ResidueScanner([*planted, *session.identifiers]), output) == ()


@pytest.mark.parametrize("profile", PROFILES)
def test_every_midi_b_check_passes(profile: str, tmp_path: Path) -> None:
    dataset, planter = make_image()
    vault = create_vault(IntakeSettings(home=tmp_path / "house"))
    source = write_part10(dataset, ExplicitVRLittleEndian, planter)
    session, out, output = rewrite(source, profile, vault.pseudonyms)
    vault.remember(
        site="north",
        PatientID=out.PatientID,
        PatientName=out.PatientName,
        pseudonym=out.pseudonym,
        StudyInstanceUID=str(out.dataset.StudyInstanceUID),
        uids=session.uids,
        evidence=session.identifiers,
    )
    with vault.begin() as connection:
        write_maps(vault, connection, tmp_path)
    maps = {**_read_map(tmp_path / "uid_mapping.csv"), **_read_map(tmp_path / "patid_mapping.csv")}
    answers = [*planter.answers, *(RETAINED if profile == "research" else [])]
    result = dcmread(BytesIO(output))
    failed = [answer for answer in answers if not _passes(answer, _find(result, answer.where), maps)]
    assert failed == []
    assert len(answers) > 60
    assert {answer.action for answer in answers} == {
        "tag_retained",
        "text_notnull",
        "text_retained",
        "text_removed",
        "date_shifted",
        "uid_changed",
        "uid_consistent",
        "patid_consistent",
        "pixels_retained",
    }


def test_bytes_behind_the_last_element_never_come_out() -> None:
    dataset, planter = make_image()
    source = write_part10(dataset, ExplicitVRLittleEndian, planter)
    word = planter.word("behind the end").encode()
    for tail in (word, bytes(16) + word, b"\xfe\xff\xdd\xe0\0\0\0\0" + word):
        try:
            _, _, output = rewrite(source + tail, "research")
        except NotDeidentifiable:
            continue  # then a person decides
        assert word not in output


def test_what_is_medical_in_a_report_is_kept_and_its_references_agree() -> None:
    dataset, planter = make_report()
    session, _, output = rewrite(write_part10(dataset, ExplicitVRLittleEndian, planter), "research")
    items = {(item.ValueType, item.ConceptNameCodeSequence[0].CodeValue): item for item in dcmread(BytesIO(output)).ContentSequence}  # noqa: E501  # fmt: skip
    assert items["TEXT", "121071"].TextValue == "lung nodule"
    assert session.uids[UID_PLANTED] == items["UIDREF", "L1"].UID
    assert ("TEXT", "121022") not in items
    date, moment = items["DATE", "L1"].Date, items["DATETIME", "L1"].DateTime
    assert moment == f"{date}101530", "dates move, times stay"


def _read_map(path: Path) -> dict[str, str]:
    with path.open() as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == ["id_old", "id_new"]
        return {row["id_old"]: row["id_new"] for row in reader}


def _find(dataset: Dataset, where: Path_) -> object | None:
    """Return the value at a place, None where it is gone."""
    value: object = dataset
    for step in where:
        if isinstance(step, int):
            value = value[step] if len(value) > step else None  # type: ignore[index, arg-type]
        else:
            value = value.get(step) if isinstance(value, Dataset) else None
        if value is None:
            return None
    return value


def _passes(answer: Answer, found: object | None, maps: dict[str, str]) -> bool:
    text = "" if found is None else str(found)
    match answer.action:
        case "tag_retained":
            return found is not None
        case "text_notnull":
            return bool(text)
        case "text_retained":
            return text == answer.value
        case "text_removed":
            return answer.value.casefold() not in text.casefold()
        case "date_shifted" | "uid_changed":
            return answer.value not in text
        case "uid_consistent" | "patid_consistent":
            return found is None or text == maps[answer.value]
        case "pixels_retained":
            return isinstance(found, bytes) and hashlib.md5(found, usedforsecurity=False).hexdigest() == answer.value
    raise AssertionError(answer.action)
