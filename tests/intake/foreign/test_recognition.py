"""What comes in and is no DICOM: understood by its content, said whose it is by a sidecar, and cleaned."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import subprocess
import zlib
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames

from aurelius_catalog.errors import NotDeidentifiable
from aurelius_intake.foreign.recognition import find_principal, read_foreign
from support.slide_files import SECRET, make_pixels, write_mirax, write_pyramid

SIDECAR = {"PatientID": "PAT-48151623", "PatientName": "Plantagenet^Petra", "StudyDate": "20190712", "Modality": "MR"}
PROJECTS = {"brain": {}, "lung": {}}


def write_sidecar(path: Path, **changes: object) -> Path:
    """Write ``name.ext.json`` beside a file; None takes a key away."""
    content = {key: value for key, value in {**SIDECAR, **changes}.items() if value is not None}
    sidecar = path.with_name(f"{path.name}.json")
    sidecar.write_text(json.dumps(content))
    return sidecar


def write_nifti(path: Path, kind: type = nib.Nifti1Image, order: str = "<") -> np.ndarray:
    """Write a NIfTI full of words; returns its voxels."""
    voxels = np.random.default_rng(4).integers(0, 3000, (6, 5, 4)).astype(f"{order}i2")
    affine = np.array([[-0.9, 0, 0, 90], [0, 0.8, 0.1, -126], [0, -0.1, 1.1, -72], [0, 0, 0, 1]])
    header = kind.header_class(endianness=order)
    header["descrip"] = f"{SECRET} descr".encode()
    header["aux_file"] = f"{SECRET} aux".encode()
    header["intent_name"] = f"{SECRET}".encode()
    if kind is nib.Nifti1Image:
        header["db_name"] = f"{SECRET}".encode()
    header.extensions.append(nib.nifti1.Nifti1Extension("comment", f"{SECRET} extension".encode()))
    image = kind(voxels, affine, header)
    image.header.set_data_dtype(voxels.dtype)
    image.header.set_slope_inter(2.0, -10.0)
    image.to_filename(path)
    return voxels


def test_a_slide_without_a_sidecar_says_what_to_write(data: Path, tmp_path: Path) -> None:
    slide = Path(shutil.copy(data / "wsi" / "CMU-1-Small-Region.svs", tmp_path / "Doe Jane.svs"))
    with pytest.raises(NotDeidentifiable, match=r'\{"PatientID": "4711"') as refused:
        read_foreign(slide)
    assert "Doe Jane" not in str(refused.value)


def test_a_slide_becomes_a_header_and_a_clean_file(data: Path, tmp_path: Path) -> None:
    slide = Path(shutil.copy(data / "wsi" / "CMU-1-Small-Region.svs", tmp_path / "named-anything.bin"))
    sidecar = write_sidecar(slide, StudyInstanceUID="1.2.3.4", project="lung")
    foreign = read_foreign(slide, PROJECTS)
    assert foreign is not None
    assert foreign.files == (slide, sidecar)
    assert foreign.media_type == "image/x-aperio-svs"
    assert foreign.project == "lung"
    assert foreign.to_dicom() is None
    stub = dcmread(BytesIO(foreign.stub()))
    assert (stub.PatientID, stub.PatientName, stub.StudyDate) == ("PAT-48151623", "Plantagenet^Petra", "20190712")
    assert (stub.Modality, stub.StudyInstanceUID, stub.TotalPixelMatrixColumns) == ("SM", "1.2.3.4", 2220)
    foreign.write_clean(tmp_path / "draft")
    assert not any(value.encode() in (tmp_path / "draft").read_bytes() for value in foreign.evidence)


def test_the_same_content_has_the_same_uids_whatever_its_name(tmp_path: Path) -> None:
    uids = set()
    for name, patient in (("a.tif", "1"), ("b.tif", "2")):
        write_pyramid(tmp_path / name)
        write_sidecar(tmp_path / name, PatientID=patient)
        foreign = read_foreign(tmp_path / name)
        assert foreign is not None
        uids.add((foreign.header.SOPInstanceUID, foreign.header.SeriesInstanceUID, foreign.header.StudyInstanceUID))
    assert len(uids) == 1
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids.pop())


def test_broken_slides_are_refused_and_other_files_are_nobodys(data: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copy(data / "wsi" / "broken.svs", tmp_path))
    write_sidecar(broken)
    with pytest.raises(NotDeidentifiable, match="content is none"):
        read_foreign(broken)
    shutil.copy(broken, tmp_path / "notes.txt")
    assert read_foreign(tmp_path / "notes.txt") is None
    assert read_foreign(next((data / "ct-ge").iterdir())) is None


@pytest.mark.parametrize(
    "content", ["not json", "[]", "{}", '{"PatientID": ""}', '{"PatientID": "1", "StudyDate": "Jan"}']
)
def test_a_wrong_sidecar_is_said_to_be_so_without_its_values(tmp_path: Path, content: str) -> None:
    write_pyramid(tmp_path / "slide.tif")
    (tmp_path / "slide.tif.json").write_text(content)
    with pytest.raises(NotDeidentifiable, match="The JSON file beside it") as refused:
        read_foreign(tmp_path / "slide.tif")
    assert "Jan," not in str(refused.value)


def test_an_unknown_project_is_refused(tmp_path: Path) -> None:
    write_pyramid(tmp_path / "slide.tif")
    write_sidecar(tmp_path / "slide.tif", project="heart")
    with pytest.raises(NotDeidentifiable, match="it knows: brain, lung"):
        read_foreign(tmp_path / "slide.tif", PROJECTS)


@pytest.mark.parametrize("name", ["brain.nii", "brain.nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_keeps_voxels_and_affine_and_loses_words(tmp_path: Path, name: str, kind: type, order: str) -> None:
    source = tmp_path / name
    voxels = write_nifti(source, kind, order)
    plain = gzip.decompress(source.read_bytes()) if name.endswith("gz") else source.read_bytes()
    assert SECRET.encode() in plain
    write_sidecar(source, project="brain")
    foreign = read_foreign(source, PROJECTS)
    assert foreign is not None
    assert (foreign.media_type, foreign.project, foreign.header.Modality) == ("application/x-nifti", "brain", "MR")
    foreign.write_clean(tmp_path / "draft.nii")
    written = (tmp_path / "draft.nii").read_bytes()
    assert SECRET.encode() not in written
    assert voxels.tobytes(order="F") in written
    before, after = nib.load(source), nib.load(tmp_path / "draft.nii")
    assert np.array_equal(before.affine, after.affine)
    assert np.array_equal(before.get_fdata(), after.get_fdata())
    assert not after.header.extensions
    assert any(SECRET in text for text in foreign.evidence)


def test_a_bids_sidecar_will_do(tmp_path: Path) -> None:
    write_nifti(tmp_path / "sub-01_T1w.nii.gz")
    bids = {
        **SIDECAR,
        "project": "brain",
        "PatientBirthDate": "1958-04-17",
        "EchoTime": 0.003,
        "SeriesInstanceUID": "1.2.9",
    }
    (tmp_path / "sub-01_T1w.json").write_text(json.dumps(bids))
    foreign = read_foreign(tmp_path / "sub-01_T1w.nii.gz", PROJECTS)
    assert foreign is not None
    assert foreign.header.PatientBirthDate == "19580417"
    assert foreign.header.SeriesInstanceUID != "1.2.9"  # the volume was made of that series, it is not part of it
    assert foreign.files[1].name == "sub-01_T1w.json"


def test_a_head_that_shows_a_face_is_flagged(tmp_path: Path) -> None:
    for name, size, spacing in (("head.nii", 160, 1.2), ("thick.nii", 30, 6.0)):
        volume = nib.Nifti1Image(np.zeros((180, 200, size), np.uint8), np.diag([1.2, 1.2, spacing, 1]))
        volume.to_filename(tmp_path / name)
        write_sidecar(tmp_path / name, project="brain", BodyPartExamined="BRAIN")
    assert read_foreign(tmp_path / "head.nii", PROJECTS).flags == {"face"}
    assert not read_foreign(tmp_path / "thick.nii", PROJECTS).flags


@pytest.mark.parametrize("missing", ["project", "Modality"])
def test_nifti_needs_a_project_and_a_modality(tmp_path: Path, missing: str) -> None:
    write_nifti(tmp_path / "brain.nii")
    write_sidecar(tmp_path / "brain.nii", **{"project": "brain", missing: None})
    with pytest.raises(NotDeidentifiable, match="does not name Modality and project"):
        read_foreign(tmp_path / "brain.nii", PROJECTS)


def test_a_cut_off_nifti_is_refused(tmp_path: Path) -> None:
    write_nifti(tmp_path / "brain.nii")
    write_sidecar(tmp_path / "brain.nii", project="brain")
    (tmp_path / "brain.nii").write_bytes((tmp_path / "brain.nii").read_bytes()[:-7])
    foreign = read_foreign(tmp_path / "brain.nii", PROJECTS)
    assert foreign is not None
    with pytest.raises(NotDeidentifiable, match="before its last voxel"):
        foreign.write_clean(tmp_path / "draft")


def to_dataset(path: Path, **changes: object) -> tuple[Dataset, bytes]:
    write_sidecar(path, **{"Modality": "XC", **changes})
    foreign = read_foreign(path)
    assert foreign is not None
    assert foreign.media_type == "application/dicom"
    content = foreign.to_dicom()
    assert content is not None
    return dcmread(BytesIO(content)), content


def assert_same_picture(dataset: Dataset, path: Path) -> None:
    """Any decoder shows the frame as it shows the file, and DICOM's decoders agree but for rounding."""
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    shown = np.asarray(Image.open(path))
    assert np.array_equal(np.asarray(Image.open(BytesIO(frame))), shown)
    assert np.abs(dataset.pixel_array.astype(int) - shown).max() <= 8


def test_a_baseline_jpeg_stays_its_codestream_without_exif(tmp_path: Path) -> None:
    path, exif = tmp_path / "photo.jpg", Image.Exif()
    exif[0x010E] = exif[0x013B] = SECRET
    shown = Image.fromarray(make_pixels(120, 80, 3))
    shown.save(path, exif=exif, comment=SECRET, quality=95, icc_profile=SECRET.encode() * 10)
    path.write_bytes(path.read_bytes() + SECRET.encode())
    dataset, content = to_dataset(path)
    assert SECRET.encode() not in content
    assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.77.1.4"
    scan = path.read_bytes().index(b"\xff\xda")
    assert path.read_bytes()[scan : scan + 500] in content
    assert_same_picture(dataset, path)


def test_a_turned_photograph_is_stored_upright(tmp_path: Path) -> None:
    path, exif = tmp_path / "photo.jpeg", Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(make_pixels(120, 80, 3)).save(path, exif=exif)
    dataset, _ = to_dataset(path)
    assert (dataset.Rows, dataset.Columns) == (120, 80)
    assert dataset.LossyImageCompression == "01"


def test_progressive_and_grey_jpeg(tmp_path: Path) -> None:
    Image.fromarray(make_pixels(64, 48, 3)).save(tmp_path / "p.jpg", progressive=True)
    assert to_dataset(tmp_path / "p.jpg")[0].file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    Image.fromarray(make_pixels(64, 48, 3)[..., 0]).save(tmp_path / "g.jpg")
    grey, _ = to_dataset(tmp_path / "g.jpg")
    assert grey.PhotometricInterpretation == "MONOCHROME2"
    assert_same_picture(grey, tmp_path / "g.jpg")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pngs_and_tiffs_give_their_pixels_only(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    shown = make_pixels(51, 33, 4)
    if suffix == ".png":
        info = PngImagePlugin.PngInfo()
        info.add_text("Author", SECRET)
        info.add_itxt("Comment", SECRET, zip=True)
        Image.fromarray(shown).save(path, pnginfo=info)
    else:
        Image.fromarray(shown).save(path, tiffinfo={315: SECRET, 270: SECRET})
    dataset, content = to_dataset(path, Modality="OT")
    assert SECRET.encode() not in content
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert np.array_equal(dataset.pixel_array, shown)


def test_sixteen_bit_grey_palettes_and_transparency(tmp_path: Path) -> None:
    deep = np.arange(40 * 30, dtype=np.uint16).reshape(30, 40) * 50
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.array_equal(to_dataset(tmp_path / "deep.png")[0].pixel_array, deep)
    Image.fromarray(make_pixels(40, 30, 1)).quantize(16).save(tmp_path / "palette.png")
    assert to_dataset(tmp_path / "palette.png")[0].pixel_array.shape == (30, 40, 3)
    Image.fromarray(make_pixels(40, 30, 1)).convert("RGBA").save(tmp_path / "clear.png")
    assert to_dataset(tmp_path / "clear.png")[0].SamplesPerPixel == 3


def test_pictures_that_cannot_be_taken_say_why(tmp_path: Path) -> None:
    shown = Image.fromarray(make_pixels(64, 48, 3))
    shown.save(tmp_path / "two.tif", save_all=True, append_images=[shown])
    shown.save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:-800])
    shown.save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-50])
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "float.tif")
    bomb = bytearray((tmp_path / "cut.png").read_bytes())
    bomb[16:24] = struct.pack(">II", 40000, 30000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    (tmp_path / "bomb.png").write_bytes(bomb)
    reasons = {
        "two.tif": "several pictures",
        "cut.png": "damaged",
        "cut.jpg": "damaged",
        "float.tif": "32 bits",
        "bomb.png": "million pixels",
    }
    for name, reason in reasons.items():
        with pytest.raises(NotDeidentifiable, match=reason):
            to_dataset(tmp_path / name)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is missing: apt-get install dicom3tools")
@pytest.mark.parametrize(("name", "modality"), [("a.jpg", "XC"), ("a.png", "XC"), ("a.jpg", "OT"), ("a.png", "US")])
def test_the_objects_made_of_pictures_are_valid(tmp_path: Path, name: str, modality: str) -> None:
    Image.fromarray(make_pixels(64, 48, 3)).save(tmp_path / name)
    _, content = to_dataset(tmp_path / name, Modality=modality, StudyTime="101500", PatientSex="F")
    (tmp_path / "object.dcm").write_bytes(content)
    said = subprocess.run(
        ["dciodvfy", "-new", str(tmp_path / "object.dcm")], capture_output=True, text=True, timeout=20
    )
    assert not [line for line in said.stderr.splitlines() if line.startswith("Error")]


def test_belongings_are_led_to_what_they_belong_to(tmp_path: Path) -> None:
    write_mirax(tmp_path / "slide.mrxs")
    sidecar = write_sidecar(tmp_path / "slide.mrxs")
    write_nifti(tmp_path / "brain.nii.gz")
    (tmp_path / "brain.json").write_text("{}")
    for belonging in (*(tmp_path / "slide").iterdir(), sidecar, tmp_path / "slide.mrxs"):
        assert find_principal(belonging) == tmp_path / "slide.mrxs"
    assert find_principal(tmp_path / "brain.json") == tmp_path / "brain.nii.gz"
    (tmp_path / "alone.json").write_text("{}")
    assert find_principal(tmp_path / "alone.json") == tmp_path / "alone.json"
    foreign = read_foreign(tmp_path / "slide.mrxs")
    assert foreign is not None
    assert len(foreign.files) == 6
    assert foreign.files[:2] == (tmp_path / "slide.mrxs", sidecar)
