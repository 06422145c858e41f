"""What comes out of de-identification, judged by its bytes: nothing planted, UIDs that agree, a valid file."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from aurelius_catalog.errors import NotDeidentifiable
from aurelius_deidentify.header import Deidentifier, PseudonymKey, deidentify_file, load_profile
from support.builders import VISIT, make_identified, make_phantom, plant, write_object, write_phantom, write_truth

KEY = PseudonymKey(bytes(range(32)))
BASIC = load_profile("basic")
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


def deidentify(source: Path, site: str = "north") -> Path:
    target = source.with_suffix(".out")
    deidentify_file(source, target, Deidentifier(KEY, site, BASIC))
    return target


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file, followed by its inflated data set where it is deflated."""
    raw = path.read_bytes()
    if dcmread(path).file_meta.TransferSyntaxUID != DeflatedExplicitVRLittleEndian:
        return raw
    start = 144 + int.from_bytes(raw[140:144], "little")
    return raw + zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw[start:])


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_nothing_planted_survives_in_the_bytes(syntax: UID, tmp_path: Path) -> None:
    dataset = make_identified()
    planted = [*plant(dataset), VISIT.PatientID]
    source = write_object(tmp_path / "in.dcm", dataset, syntax, preamble=b"ZZPLANT preamble".ljust(128, b"\0"))
    before, after = read_bytes(source), read_bytes(deidentify(source))
    for word in planted:
        assert word.encode() in before, word
        assert word.encode() not in after, word
    assert after[:132] == bytes(128) + b"DICM"
    assert b"Maker" in after  # what is kept is kept


def test_two_processes_agree_and_another_key_does_not(tmp_path: Path) -> None:
    dataset = make_identified()
    plant(dataset)
    source = write_object(tmp_path / "in.dcm", dataset)
    deidentify_file(source, source.with_suffix(".out"), Deidentifier(KEY, "north", load_profile("research")))
    first = source.with_suffix(".out").read_bytes()
    code = (
        "import sys; from pathlib import Path; from aurelius_deidentify.header import *;"
        "key = PseudonymKey(bytes(range(32)));"
        "deidentify_file(Path(sys.argv[1]), Path(sys.argv[2]), Deidentifier(key, 'north', load_profile('research')))"
    )
    subprocess.run([sys.executable, "-c", code, str(source), str(tmp_path / "second")], check=True)
    assert (tmp_path / "second").read_bytes() == first
    deidentify_file(source, tmp_path / "third", Deidentifier(PseudonymKey(b"z" * 32), "north", BASIC))
    third, read = dcmread(tmp_path / "third"), dcmread(source.with_suffix(".out"))
    assert {third.PatientID, third.SOPInstanceUID}.isdisjoint({read.PatientID, read.SOPInstanceUID})


def test_patients_stay_joinable_within_a_site_only(tmp_path: Path) -> None:
    source = write_object(tmp_path / "in.dcm", make_identified())
    north, south = (dcmread(deidentify(source, site)) for site in ("north", "south"))
    assert north.PatientID == north.PatientName == KEY.name_patient("north", VISIT.PatientID)
    assert north.PatientID != south.PatientID
    assert north.StudyInstanceUID == south.StudyInstanceUID == KEY.map_uid(VISIT.make_uid("study"))


def test_an_object_without_patient_id_shares_its_pseudonym_with_its_study_only(tmp_path: Path) -> None:
    names = []
    for number in (1, 1, 2):
        dataset = make_identified()
        dataset.PatientID, dataset.StudyInstanceUID = "", f"1.2.{number}"
        names.append(dcmread(deidentify(write_object(tmp_path / "in.dcm", dataset))).PatientID)
    assert names[0] == names[1] != names[2]


def test_the_method_is_stated(tmp_path: Path) -> None:
    result = dcmread(deidentify(write_object(tmp_path / "in.dcm", make_identified())))
    assert result.PatientIdentityRemoved == "YES"
    assert "2026c" in result.DeidentificationMethod
    assert [code.CodeValue for code in result.DeidentificationMethodCodeSequence] == ["113100"]
    assert result.LongitudinalTemporalInformationModified == "REMOVED"
    assert result.file_meta.MediaStorageSOPInstanceUID == result.SOPInstanceUID
    assert "SourceApplicationEntityTitle" not in result.file_meta


def test_a_segmentation_still_refers_to_its_series(tmp_path: Path) -> None:
    phantom = make_phantom("ct-chest", 1)
    paths = write_phantom(tmp_path / "ct", phantom, VISIT)
    truth = dcmread(deidentify(write_truth(tmp_path / "seg.dcm", paths, phantom.truth, "nodule", VISIT)))
    images = [dcmread(deidentify(path)) for path in paths]
    reference = truth.ReferencedSeriesSequence[0]
    assert reference.SeriesInstanceUID == images[0].SeriesInstanceUID
    assert truth.StudyInstanceUID == images[0].StudyInstanceUID
    assert truth.FrameOfReferenceUID == images[0].FrameOfReferenceUID
    referenced = {item.ReferencedSOPInstanceUID for item in reference.ReferencedInstanceSequence}
    assert referenced == {image.SOPInstanceUID for image in images}
    frames = truth.PerFrameFunctionalGroupsSequence
    derived = {frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID for frame in frames}
    assert derived <= referenced
    assert truth.ContentLabel == "TRUTH"
    assert truth.SegmentSequence[0].SegmentLabel == "nodule"
    assert (truth.SOPClassUID, truth.file_meta.TransferSyntaxUID) == (UID("1.2.840.10008.5.1.4.1.1.66.4"), "1.2.840.10008.1.2.1")  # fmt: skip  # noqa: E501


def test_pixels_are_handed_on_as_they_came(data: Path, tmp_path: Path) -> None:
    encodings = sorted((data / "transfer-syntaxes").rglob("*.dcm"))
    assert len(encodings) >= 5
    for path in encodings:
        deidentify_file(path, tmp_path / "out.dcm", Deidentifier(KEY, "north", BASIC))
        before, after = dcmread(path), dcmread(tmp_path / "out.dcm")
        assert after.PixelData == before.PixelData, path.name
        assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID


def test_a_value_of_the_wrong_kind_is_not_kept(tmp_path: Path) -> None:
    dataset = make_identified()
    dataset.add_new(0x00280030, "LO", "ZZPLANT")  # PixelSpacing as text
    dataset.add_new(0x00189445, "OB", b"ZZPLANT ")  # a tag of the dictionary without a name
    dataset.add_new(0x00082218, "OB", b"ZZPLANT ")  # AnatomicRegionSequence, which is none
    source = write_object(tmp_path / "in.dcm", dataset)
    assert b"ZZPLANT" not in deidentify(source).read_bytes()


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_an_object_without_its_uids_is_refused(keyword: str, tmp_path: Path) -> None:
    dataset = make_identified()
    delattr(dataset, keyword)
    with pytest.raises(NotDeidentifiable, match=keyword):
        deidentify(write_object(tmp_path / "in.dcm", dataset))


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    dataset = make_identified()
    dataset.SoftwareVersions = "x" * 60
    source = write_object(tmp_path / "in.dcm", dataset)
    whole = source.read_bytes()
    source.write_bytes(whole[:-70])
    with pytest.raises(NotDeidentifiable):
        deidentify(source)
