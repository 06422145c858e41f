from __future__ import annotations

import gzip
import io
import zlib

import nibabel
import nrrd
import numpy as np
import pytest

from aurelius_annotation.server.uploaded_label import find_suffix, read_label
from aurelius_catalog.errors import InvalidLabel

SHAPE = (5, 4, 3)
AFFINE_LPS = np.array([[2.0, 0, 0, -10], [0, 3.0, 0, -20], [0, 0, 4.0, 30], [0, 0, 0, 1]])


def write_nifti(values: np.ndarray, affine_lps: np.ndarray = AFFINE_LPS) -> bytes:
    return gzip.compress(nibabel.Nifti1Image(values, np.diag([-1, -1, 1, 1]) @ affine_lps).to_bytes())


def write_nrrd(values: np.ndarray, **fields: object) -> bytes:
    header = {
        "space": "left-posterior-superior",
        "space directions": np.vstack([[[np.nan] * 3], AFFINE_LPS[:3, :3].T])
        if values.ndim == 4
        else AFFINE_LPS[:3, :3].T,
        "space origin": AFFINE_LPS[:3, 3],
        **fields,
    }
    file = io.BytesIO()
    nrrd.write(file, values, header)
    return file.getvalue()


def make_values() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 3, SHAPE).astype(np.uint8)


@pytest.mark.parametrize(
    ("filename", "suffix"),
    [
        (r"C:\Users\first.last\AppData\Local\Temp\tmpx.nii.gz", ".nii.gz"),
        ("/tmp/Slicer-anna.b/tmp1.seg.nrrd", ".seg.nrrd"),
        ("LABEL.NRRD", ".nrrd"),
        ("../../../x.nii", ".nii"),
    ],
)
def test_only_the_known_end_of_a_file_name_counts(filename: str, suffix: str) -> None:
    assert find_suffix(filename) == suffix


@pytest.mark.parametrize("filename", ["", "a.py", "x.nrrd/", r"x.nii.gz\..\evil.py", "x.mha"])
def test_other_file_names_are_refused(filename: str) -> None:
    with pytest.raises(InvalidLabel, match="called none of these"):
        find_suffix(filename)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_nifti_and_nrrd_say_the_same(dtype: type) -> None:
    values = make_values()
    for content, suffix in (
        (write_nifti(values.astype(dtype)), ".nii.gz"),
        (write_nrrd(values.astype(dtype)), ".nrrd"),
    ):
        label = read_label(content, suffix, values.size)
        assert label.values.dtype == np.uint8
        np.testing.assert_array_equal(label.values, values)
        np.testing.assert_allclose(label.affine_lps, AFFINE_LPS)


def test_segment_names_and_layers_come_from_a_seg_nrrd() -> None:
    layers = np.zeros((2, *SHAPE), np.uint8)
    layers[0, 0], layers[1, 1] = 1, 1
    names = {"Segment0_Name": "nodule", "Segment0_Layer": "0", "Segment0_LabelValue": "1"}
    names |= {"Segment1_Name": "vessel", "Segment1_Layer": "1", "Segment1_LabelValue": "1"}
    label = read_label(write_nrrd(layers, **names), ".seg.nrrd", int(np.prod(SHAPE)))
    assert label.names == {1: "nodule", 2: "vessel"}
    assert (label.values[0] == 1).all()
    assert (label.values[1] == 2).all()
    np.testing.assert_allclose(label.affine_lps, AFFINE_LPS)


def test_overlapping_segments_are_refused_by_name() -> None:
    layers = np.ones((2, *SHAPE), np.uint8)
    names = {"Segment0_Name": "nodule", "Segment1_Name": "vessel", "Segment1_Layer": "1"}
    with pytest.raises(InvalidLabel, match="'vessel' overlaps"):
        read_label(write_nrrd(layers, **names), ".seg.nrrd", int(np.prod(SHAPE)))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".seg.nrrd"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"NRRD0004\n", b"\x1f\x8bgarbage", b"\x00" * 400])
def test_garbage_is_refused(content: bytes, suffix: str) -> None:
    with pytest.raises(InvalidLabel):
        read_label(content, suffix, 60)


@pytest.mark.parametrize("cut", [0.2, 0.6, 0.95])
def test_half_a_file_is_refused(cut: float) -> None:
    values = np.random.default_rng(1).integers(0, 200, (20, 20, 20)).astype(np.uint8)
    for content, suffix in ((write_nifti(values), ".nii.gz"), (write_nrrd(values), ".nrrd")):
        with pytest.raises(InvalidLabel):
            read_label(content[: int(len(content) * cut)], suffix, values.size)


def test_values_that_are_no_segment_numbers_are_refused() -> None:
    for value in (0.5, -1.0, 256.0, np.nan):
        values = np.zeros(SHAPE, np.float32)
        values[0, 0, 0] = value
        with pytest.raises(InvalidLabel, match="whole numbers"):
            read_label(write_nrrd(values), ".nrrd", values.size)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(1 << 24), 9)
    with pytest.raises(InvalidLabel, match="larger than the image"):
        read_label(bomb, ".nii.gz", 60)
    head = write_nrrd(np.zeros(SHAPE, np.uint8)).split(b"\n\n")[0] + b"\n\n"
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    label = read_label(head + packer.compress(bytes(1 << 24)) + packer.flush(), ".nrrd", 60)
    assert label.values.size == 60  # only as much as the header says was unpacked


def test_a_label_that_points_to_another_file_is_refused() -> None:
    text = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 5 4 3\nspace: left-posterior-superior\n"
    text += b"space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nencoding: raw\n"
    for line in (b"data file: /etc/passwd\n\n", b"byte skip: -1\n\n"):
        with pytest.raises(InvalidLabel, match="in the uploaded file itself"):
            read_label(text + line, ".nrrd", 60)
