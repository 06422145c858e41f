"""The residual scan: what is left is found, in every writing; what is chance is not called residue."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from aurelius_deidentify.residue.false_positives import Hit, name_places
from aurelius_deidentify.residue.scanner import ResidueScanner, find_pixels, find_residue
from support.builders import make_identified, write_object

VALUES = ["smith", "20190712", "48151623", "1.2.276.0.7230010.3.1.4.0.1", "müller", "김희중", "lee", "head", "schmidt"]
SCANNER = ResidueScanner(VALUES)


@pytest.mark.parametrize(
    ("data", "offset", "length"),
    [
        (b"xx SMITH y", 3, 5),
        (b"^Smith^", 1, 5),
        (b"a 2019-07-12 b", 2, 10),
        (b"on 12.07.2019", 3, 10),
        (b"07/12/2019", 0, 10),
        (b"MRN48151623", 3, 8),
        (b"M\xfcller", 0, 6),
        ("MÜLLER".encode(), 0, 7),
        ("김희중".encode("euc_kr"), 0, 6),
        ("Müller".encode("utf-16-le"), 0, 12),
        ("Schmidt".encode("utf-16-le"), 0, 14),
        (b"1.2.276.0.7230010.3.1.4.0.1\0", 0, 27),
        (b"1.2.276.0.7230010.3.1.4.0.1.5", 0, 27),
        (b"LEE2", 0, 3),
    ],
)
def test_a_value_is_found_however_it_is_written(data: bytes, offset: int, length: int) -> None:
    assert SCANNER.scan(data) == [Hit(offset, length)]


@pytest.mark.parametrize(
    "data",
    [
        b"Smithson",
        b"0.20190712",
        b"120190712",
        b"1.2.276.0.7230010.3.1.4.0.12",
        b"31.2.276.0.7230010.3.1.4.0.1",
        b"FLEECE",
    ],
)
def test_a_piece_of_something_longer_is_no_hit(data: bytes) -> None:
    assert SCANNER.scan(data) == []


def test_in_pixels_short_values_are_chance_and_long_ones_are_not() -> None:
    data = b"header lee " + b" smith lee 20190712 " + b" tail smith"
    hits = SCANNER.scan(data, (11, 31))
    assert [data[hit.offset : hit.offset + hit.length] for hit in hits] == [b"lee", b"20190712", b"smith"]


def test_random_pixels_give_no_hits() -> None:
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list("abcdefghij"), size)) for size in rng.integers(3, 9, 100)]
    noise = rng.integers(0, 256, 2_000_000, np.uint8).tobytes()
    smooth = (100 + 20 * np.sin(np.arange(500_000) / 50)).astype(np.uint16).tobytes()
    for pixels in (noise, smooth):
        assert ResidueScanner(names).scan(pixels, (0, len(pixels))) == []


def test_many_uids_cost_no_more_than_one() -> None:
    uids = [f"1.2.276.0.7230010.3.1.4.0.{number}" for number in range(20_000)]
    scanner = ResidueScanner(uids)
    assert scanner.scan(b"x 1.2.276.0.7230010.3.1.4.0.19999 y") == [Hit(2, 31)]
    assert scanner.scan(b"x 1.2.276.0.7230010.3.1.4.0.20000 y") == []


def test_coincidences_are_explained_and_residue_is_not(tmp_path: Path) -> None:
    dataset = _make_clean()
    dataset.BodyPartExamined, dataset.Manufacturer = "HEAD", "Head Systems"
    dataset.SliceThickness, dataset.AcquisitionTime = "20190712", "201907.12"
    clean = write_object(tmp_path / "clean.dcm", dataset).read_bytes()
    assert SCANNER.scan(clean)
    assert find_residue(SCANNER, clean) == ()
    for keyword, value in (("StudyDescription", "Smith"), ("StudyDate", "20190712"), ("PatientName", "Head")):
        planted = Dataset()
        planted.update(dataset)
        setattr(planted, keyword, value)
        left = write_object(tmp_path / "left.dcm", planted).read_bytes()
        [hit] = find_residue(SCANNER, left)
        assert keyword in name_places(left, [hit])
        assert left[hit.offset : hit.offset + hit.length].decode().upper() == value.upper()
    behind = clean + b"HEAD"
    assert len(find_residue(SCANNER, behind)) == 1, "behind the last element nothing explains it"
    assert name_places(b"\0" * 200 + b"smith", [Hit(200, 5)]) == ["bytes outside of any attribute"]


def test_a_date_moved_onto_another_is_no_residue_and_one_that_was_not_moved_is(tmp_path: Path) -> None:
    scanner = ResidueScanner(["20190712", "20190702", "19580417"])
    dataset = _make_clean()
    dataset.StudyDate, dataset.AcquisitionDateTime = "20190702", "20190622101530"  # ten days earlier, both
    assert find_residue(scanner, write_object(tmp_path / "moved.dcm", dataset).read_bytes()) == ()
    dataset.ContentDate = "20190712"
    assert len(find_residue(scanner, write_object(tmp_path / "one.dcm", dataset).read_bytes())) == 2
    dataset.StudyDate, dataset.AcquisitionDateTime = "20190702", "20190712101530"
    assert len(find_residue(scanner, write_object(tmp_path / "all.dcm", dataset).read_bytes())) == 3


def test_a_deflated_file_is_searched_inflated(tmp_path: Path) -> None:
    dataset = _make_clean()
    dataset.StudyDescription = "Smith"
    data = write_object(tmp_path / "deflated.dcm", dataset, DeflatedExplicitVRLittleEndian).read_bytes()
    assert b"Smith" not in data
    assert len(find_residue(SCANNER, data)) == 1
    with pytest.raises(zlib.error):
        zlib.decompress(data)


def test_the_pixel_element_is_found(tmp_path: Path) -> None:
    dataset = _make_clean()
    assert find_pixels(write_object(tmp_path / "none.dcm", dataset).read_bytes()) is None
    dataset.Rows = dataset.Columns = dataset.BitsAllocated = 8
    dataset.PixelData = bytes(range(64))
    dataset["PixelData"].VR = "OB"
    dataset.add_new(0xFFFCFFFC, "OB", b"padding!")
    data = write_object(tmp_path / "some.dcm", dataset, ExplicitVRLittleEndian).read_bytes()
    found = find_pixels(data)
    assert found is not None
    _, end = found
    assert data[end - 64 : end] == bytes(range(64))
    assert data[end : end + 2] == b"\xfc\xff"
    assert dcmread(BytesIO(data)).Rows == 8


def _make_clean() -> Dataset:
    dataset = make_identified()
    dataset.PatientName = dataset.PatientID = "AUR-0000"
    return dataset
