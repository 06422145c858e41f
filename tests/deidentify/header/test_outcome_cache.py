"""The fast rewrite: what is remembered changes the time it takes and nothing else."""

from __future__ import annotations

import tracemalloc
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence

from aurelius_catalog.errors import NotDeidentifiable
from aurelius_deidentify.header import Deidentifier, PseudonymKey, load_profile
from aurelius_deidentify.header.object_contexts import MOST_REMEMBERED_BYTES
from support.builders import VISIT, make_identified, write_object

#: The test itself reads the odd values that pydicom warns about.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
KEY = PseudonymKey(bytes(range(32)))
RESEARCH = Deidentifier(KEY, "north", load_profile("research"))


def list_sources(data: Path) -> list[bytes]:
    """Return every file of the test data, of long series some."""
    files = [path for path in sorted(data.rglob("*")) if path.is_file() and path.suffix != ".svs"]
    return [path.read_bytes() for path in files if not path.stem.isdigit() or int(path.stem) % 4 == 0]


def test_remembering_changes_no_byte(data: Path) -> None:
    session = RESEARCH.open_study()
    done = 0
    for source in list_sources(data):
        try:
            alone = RESEARCH.open_study().rewrite(source)
        except NotDeidentifiable:
            with pytest.raises(NotDeidentifiable):
                session.rewrite(source)
            continue
        for again in (session.rewrite(source), session.rewrite(source)):
            assert again.join() == alone.join()
            assert again.header == alone.header
            assert again.actions == alone.actions
        done += 1
    assert done > 100


def test_the_index_is_told_what_the_file_holds(data: Path) -> None:
    for source in list_sources(data)[::2]:
        try:
            out = RESEARCH.open_study().rewrite(source)
        except NotDeidentifiable:
            continue
        written = dcmread(BytesIO(out.join()), stop_before_pixels=True)
        assert [*out.header] == [f"{tag:08X}" for tag in written.keys() if f"{tag:08X}" in out.header]  # noqa: SIM118
        assert out.header["0020000D"]["Value"] == [written.StudyInstanceUID]
        assert out.dataset.SOPInstanceUID == written.SOPInstanceUID == out.dataset.file_meta.MediaStorageSOPInstanceUID
        assert out.dataset.file_meta.TransferSyntaxUID == written.file_meta.TransferSyntaxUID
        for keyword in ("Rows", "PixelSpacing", "Modality", "ImageOrientationPatient"):
            assert out.dataset.get(keyword) == written.get(keyword)


def test_pixel_data_is_the_element_as_it_came(data: Path) -> None:
    source = sorted((data / "ct-ge").glob("*.dcm"))[0].read_bytes()
    out = RESEARCH.open_study().rewrite(source)
    start = source.index(b"\xe0\x7f\x10\x00")
    assert bytes(out.pixels) == source[start:]
    assert out.head + out.pixels + out.tail == out.join()
    assert (out.original.Rows, out.original.PatientID) == (512, out.PatientID)


def make_file(folder: Path, number: int = 0, **values: object) -> bytes:
    dataset = make_identified()
    dataset.SOPInstanceUID = VISIT.make_uid(f"instance {number}")
    dataset.StudyDate, dataset.AccessionNumber = "20240301", "ACC-778899"
    dataset.ReferringPhysicianName = "Feelgood^Felix"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5.6.7"
    dataset.ReferencedImageSequence = Sequence([reference])
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return write_object(folder / "in.dcm", dataset).read_bytes()


def test_a_session_keeps_account(tmp_path: Path) -> None:
    session = RESEARCH.open_study()
    outs = [session.rewrite(make_file(tmp_path, number)) for number in range(3)]
    assert {
        "plantagenet",
        "petra",
        "pat-48151623",
        "acc-778899",
        "felix",
        "feelgood",
        "20240301",
    } <= session.identifiers
    assert session.uids[VISIT.make_uid("study")] == outs[0].dataset.StudyInstanceUID
    assert session.uids["1.2.3.4.5.6.7"] == outs[0].dataset.ReferencedImageSequence[0].ReferencedSOPInstanceUID
    assert session.touched["00080018", "U"] == session.touched["00081155", "U"] == session.touched["00080020", "S"] == 3
    assert sum(outs[0].actions.values()) * 3 == sum(session.touched.values())
    session.take_back(outs[2])
    assert session.touched["00080018", "U"] == session.touched["00081155", "U"] == 2
    assert outs[0].pseudonym == KEY.name_patient("north", VISIT.PatientID)
    assert (outs[0].PatientID, outs[0].PatientName) == (VISIT.PatientID, VISIT.PatientName)


def test_what_is_remembered_of_one_patient_is_not_taken_for_another(tmp_path: Path) -> None:
    session = RESEARCH.open_study()
    text = "chest of Petra or Paula"
    first = session.rewrite(make_file(tmp_path, 1, StudyDescription=text))
    second = session.rewrite(make_file(tmp_path, 2, StudyDescription=text, PatientID="P-2", PatientName="Chest^Paula"))
    assert "chest" in first.dataset.StudyDescription
    assert "chest" not in second.dataset.get("StudyDescription", "")
    assert first.dataset.StudyDate != second.dataset.StudyDate


def rewrite_many(folder: Path, number: int) -> None:
    """Rewrite objects of one study that differ in a UID and a few values each."""
    session = RESEARCH.open_study()
    old = VISIT.make_uid("instance 0").encode()
    source = make_file(folder, SliceLocation="1234567", WindowCenter="1234567", WindowWidth="1234567")
    for count in range(number):
        source_now = source.replace(b"1234567", b"%07d" % count)
        session.rewrite(source_now.replace(old, b"1.2.3." + b"%d" % (10 ** (len(old) - 7) + count)))


def test_memory_stays_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_REMEMBERED_BYTES < 100_000_000
    monkeypatch.setattr("aurelius_deidentify.header.object_contexts.MOST_REMEMBERED_BYTES", 200_000)
    rewrite_many(tmp_path, 70)
    tracemalloc.start()
    try:
        rewrite_many(tmp_path, 1500)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000  # remembering all would take twice as much


@pytest.mark.parametrize("cut", [100, 131, 140, 200, 400, 600])
def test_a_cut_off_file_is_refused_without_a_value(cut: int, tmp_path: Path) -> None:
    source = make_file(tmp_path)
    with pytest.raises(NotDeidentifiable) as refusal:
        RESEARCH.open_study().rewrite(source[:cut])
    assert "Plantagenet" not in str(refusal.value)
