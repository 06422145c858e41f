"""Text in pixels: what the header decides, what is read, and that masks hide words and change nothing else."""

from __future__ import annotations

import json
import shutil
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    XRay3DAngiographicImageStorage,
)

from aurelius_catalog.errors import InvalidRequest, NotDeidentifiable
from aurelius_deidentify.pixels import MaskRegion, PixelVerdict, judge, judge_pixels, mask_pixels, ocr, shows_face
from aurelius_deidentify.pixels.rules import judge_header
from aurelius_deidentify.pixels.words import IdentifierMatcher
from aurelius_intake.processing.admissibility import find_refusal
from support.screens import draw_screen, make_image, place_content, strip_pixels, to_part10, write_text

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is missing")
FLAT = np.full((64, 64), 7, np.uint8)


def ask(dataset: Dataset, *evidence: str) -> PixelVerdict:
    """Ask for a verdict as the desk does: the header without pixels, and the file."""
    return judge_pixels(strip_pixels(dataset), to_part10(dataset), set(evidence))


def is_covered(region: MaskRegion, regions: tuple[MaskRegion, ...]) -> bool:
    hidden = np.zeros((4000, 4000), bool)
    for each in regions:
        hidden[each.y : each.bottom, each.x : each.right] = True
    return bool(hidden[region.y : region.bottom, region.x : region.right].all())


# -- rules -------------------------------------------------------------------------------------------

DECIDED = [
    (CTImageStorage, {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}, "clean"),
    (MRImageStorage, {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "DIS3D"]}, "clean"),
    (SegmentationStorage, {"ImageType": ["DERIVED", "PRIMARY"]}, "clean"),
    (SegmentationStorage, {"ImageType": ["DERIVED", "SECONDARY"]}, "clean"),
    (
        UID("1.2.840.10008.5.1.4.1.1.77.1.6"),
        {"SamplesPerPixel": 3, "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME"]},
        "clean",
    ),
    (SecondaryCaptureImageStorage, {"SeriesDescription": "Dose Report"}, "person"),
    (SecondaryCaptureImageStorage, {"SeriesDescription": "Patient Protocol"}, "person"),
    # These must be looked at:
    (CTImageStorage, {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, None),
    (CTImageStorage, {"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED"]}, None),
    (CTImageStorage, {"ImageType": ["DERIVED", "PRIMARY", "SCREEN SAVE"]}, None),
    (CTImageStorage, {"BurnedInAnnotation": "YES"}, None),
    (CTImageStorage, {"ConversionType": "WSD"}, None),
    (CTImageStorage, {"SamplesPerPixel": 3}, None),
    (SegmentationStorage, {"BurnedInAnnotation": "YES"}, None),
    (SecondaryCaptureImageStorage, {"BurnedInAnnotation": "NO"}, None),
    (ComputedRadiographyImageStorage, {"BurnedInAnnotation": "NO"}, None),
    (XRay3DAngiographicImageStorage, {}, None),
    (UID("1.2.840.10008.5.1.4.1.1.3.1"), {"BurnedInAnnotation": "NO"}, None),
]


@pytest.mark.parametrize(("SOPClassUID", "values", "expected"), DECIDED)
def test_the_header_decides_what_needs_no_look(
    SOPClassUID: UID, values: dict[str, object], expected: str | None
) -> None:
    verdict = judge_header(make_image(FLAT, **{"SOPClassUID": SOPClassUID, "Modality": "OT", **values}))
    assert (verdict and verdict.outcome) == expected


def test_the_header_decides_the_same_whether_it_was_decoded_or_not() -> None:
    for number, (SOPClassUID, values, expected) in enumerate(DECIDED):
        dataset = make_image(FLAT, number, **{"SOPClassUID": SOPClassUID, **values})
        read = dcmread(BytesIO(to_part10(dataset)), stop_before_pixels=True)
        verdict = judge_header(read)
        assert (verdict and verdict.outcome) == expected
        assert judge_header(read) is verdict


def test_an_ordinary_object_costs_microseconds() -> None:
    source = to_part10(make_image(FLAT, SOPClassUID=CTImageStorage, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"]))
    headers = [dcmread(BytesIO(source), stop_before_pixels=True) for _ in range(300)]
    best = 1.0
    for header in headers:
        start = time.perf_counter()
        assert judge_pixels(header, source, ()).outcome == "clean"
        best = min(best, time.perf_counter() - start)
    assert best < 20e-6


def test_pixels_without_a_size_are_for_a_person() -> None:
    assert ask(make_image(FLAT, Rows=None)).outcome == "person"
    assert ask(make_image(FLAT, Rows=None, PixelData=None)).outcome == "clean"


# -- reading -----------------------------------------------------------------------------------------


@needs_tesseract
@pytest.mark.parametrize("size", [11, 32])
def test_names_on_an_ultrasound_are_masked_at_every_size_with_the_strip_they_stand_in(size: int) -> None:
    screen = draw_screen([("PLANTAGENET PETRA  48151623", 30, 10, size), ("12/07/2019", 500, 12, min(size, 20))])
    dataset = place_content(make_image(screen, BurnedInAnnotation="NO"))
    verdict = ask(dataset, "plantagenet", "petra")
    assert verdict.outcome == "mask"
    assert "own data" in verdict.reason
    assert is_covered(MaskRegion(0, 10, 640, size), verdict.regions)
    assert not is_covered(MaskRegion(200, 200, 100, 100), verdict.regions), "tissue is not text"
    hidden = pixel_array(dcmread(BytesIO(mask_pixels(to_part10(dataset), verdict.regions))))
    assert not hidden[: 10 + size].any()


def test_values_of_a_large_study_are_compared_quickly() -> None:
    values = {f"1.2.840.113619.2.{number}.77" for number in range(20_000)} | {"plantagenet", "19580417"}
    start = time.perf_counter()
    own = IdentifierMatcher(values)
    assert [own.matches(word) for word in ("PIANTAG3NET", "17.04.1958", "Chest", "840", "1132")] == [True, True] + 3 * [
        False
    ]
    assert time.perf_counter() - start < 1


@needs_tesseract
def test_dark_text_on_light_ground_and_text_as_bright_as_its_ground_are_found() -> None:
    dark = write_text(np.full((300, 400), 170, np.uint8), [("PLANTAGENET", 40, 100, 20)], ink=20)
    assert is_covered(MaskRegion(45, 105, 100, 12), ask(make_image(dark)).regions)
    colours = np.full((300, 400, 3), 128, np.uint8)  # (0, 255, 0) is as light as this grey
    mask = write_text(np.zeros((300, 400), np.uint8), [("PLANTAGENET", 40, 100, 24)]) > 128
    colours[mask] = (0, 218, 0)
    assert is_covered(MaskRegion(45, 107, 100, 14), ask(make_image(colours)).regions)


@needs_tesseract
def test_a_name_on_a_radiograph_of_16_bits_is_found_beside_its_measured_values() -> None:
    generator = np.random.default_rng(3)
    film = np.cumsum(np.cumsum(generator.normal(0, 1, (400, 400)), 0), 1)
    film = ((film - film.min()) / np.ptp(film) * 900).astype(np.uint16)
    film[write_text(np.zeros((400, 400), np.uint8), [("PLANTAGENET PETRA", 20, 360, 18)]) > 100] = 4095
    verdict = ask(make_image(film, SOPClassUID=ComputedRadiographyImageStorage, Modality="CR"))
    assert verdict.outcome == "mask"
    assert is_covered(MaskRegion(22, 364, 150, 14), verdict.regions)


@needs_tesseract
def test_text_in_the_middle_of_a_cine_is_found_and_hidden_in_every_frame() -> None:
    frames = np.stack([draw_screen([], seed=number)[60:300, 100:420] for number in range(7)])
    frames[4] = write_text(frames[4], [("PLANTAGENET", 20, 20, 18)])
    dataset = make_image(frames)
    verdict = ask(dataset)
    assert verdict.outcome == "mask"
    hidden = pixel_array(dcmread(BytesIO(mask_pixels(to_part10(dataset), verdict.regions))))
    assert hidden.shape == frames.shape
    assert is_covered(MaskRegion(22, 24, 100, 12), verdict.regions)
    for region in verdict.regions:
        assert not hidden[:, region.y : region.bottom, region.x : region.right].any()


@needs_tesseract
def test_tissue_without_text_is_clean() -> None:
    assert ask(make_image(draw_screen([])[60:300, 100:420])).outcome == "clean"


@needs_tesseract
def test_pages_and_what_cannot_be_read_go_to_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = {"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT"}
    paper = write_text(np.full((400, 400), 250, np.uint8), [("Dear colleague", 40, 40, 18)], ink=10)
    assert "paper" in ask(make_image(paper, **capture)).reason
    line = "patient history findings follow"
    page = write_text(np.zeros((300, 500), np.uint8), [(f"{line} {row} {line}", 10, 20 * row, 14) for row in range(15)])
    crowded = ask(make_image(page, **capture))
    assert (crowded.outcome, bool(crowded.words)) == ("person", True)
    assert ask(make_image(FLAT, BurnedInAnnotation="YES")).outcome == "person", "nothing of the text was found"
    broken = make_image(FLAT, PixelData=b"\0" * 10)
    assert "cannot be decoded" in ask(broken).reason
    monkeypatch.setattr(judge, "LIMIT_S", 0.001)
    assert "too long" in ask(make_image(draw_screen([]))).reason


def test_without_tesseract_a_person_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    ocr.find_tesseract.cache_clear()
    try:
        verdict = ask(make_image(draw_screen([])))
    finally:
        ocr.find_tesseract.cache_clear()
    assert (verdict.outcome, "install tesseract" in verdict.reason) == ("person", True)


@needs_tesseract
def test_the_words_of_the_ground_truth_are_covered(data: Path) -> None:
    truth = json.loads((data / "burned-in" / "ground_truth.json").read_text())["ground_truth"]
    source = (data / "burned-in" / "0_ORIGINAL_compressed.dcm").read_bytes()
    verdict = judge_pixels(dcmread(BytesIO(source), stop_before_pixels=True), source, ())
    assert verdict.outcome == "mask"
    border = 25  # the boxes were measured in a picture with a border
    for word in truth:
        x, y = max(word["left"] - border, 0), max(word["top"] - border, 0)
        assert is_covered(MaskRegion(x, y, word["width"], word["height"]), verdict.regions), word["label"]
    before, after = (pixel_array(dcmread(BytesIO(file))) for file in (source, mask_pixels(source, verdict.regions)))
    outside = np.ones(before.shape, bool)
    for region in verdict.regions:
        outside[region.y : region.bottom, region.x : region.right] = False
    assert np.array_equal(before[outside], after[outside])
    assert (
        judge_pixels(strip_pixels(dcmread(BytesIO(source))), mask_pixels(source, verdict.regions), ()).outcome
        == "clean"
    )


# -- masks -------------------------------------------------------------------------------------------

REGIONS = (MaskRegion(2, 1, 5, 2), MaskRegion(0, 3, 4, 100))


def check_mask(source: bytes) -> tuple[Dataset, Dataset]:
    """Mask two regions; everything outside of them must decode to what it did."""
    before, after = dcmread(BytesIO(source)), dcmread(BytesIO(mask_pixels(source, REGIONS)))
    frames = int(before.get("NumberOfFrames") or 1)
    old, new = (array if frames > 1 else array[None] for array in (pixel_array(before), pixel_array(after)))
    inside = np.zeros(old.shape[1:3], bool)
    for region in REGIONS:
        inside[region.y : region.bottom, region.x : region.right] = True
    assert old.shape == new.shape
    assert np.array_equal(old[:, ~inside], new[:, ~inside])
    for frame in new:
        assert len(np.unique(frame[inside].reshape(inside.sum(), -1), axis=0)) == 1
    assert after.BurnedInAnnotation == "NO"
    return before, after


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16])
def test_native_pixels_keep_their_transfer_syntax(syntax: UID, kind: type) -> None:
    pixels = np.random.default_rng(5).integers(0, 120, (3, 7, 9)).astype(kind)
    dataset = make_image(pixels)
    stored = pixels.astype(pixels.dtype.newbyteorder(">")) if syntax == ExplicitVRBigEndian else pixels
    dataset.PixelData = stored.tobytes() + b"\0" * (pixels.nbytes % 2)
    before, after = check_mask(to_part10(dataset, syntax))
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID


def test_colours_of_every_arrangement_stay_as_they_are() -> None:
    pixels = np.random.default_rng(6).integers(0, 255, (2, 8, 10, 3)).astype(np.uint8)
    check_mask(to_part10(make_image(pixels)))
    check_mask(to_part10(make_image(pixels, PhotometricInterpretation="YBR_FULL")))
    planes = make_image(pixels, PlanarConfiguration=1, PixelData=pixels.transpose(0, 3, 1, 2).tobytes())
    check_mask(to_part10(planes))


def test_lossy_input_becomes_lossless_and_says_that_it_was_lossy(data: Path) -> None:
    for name in ("pydicom-tests_examples_ybr_color.dcm", "pydicom-tests_SC_rgb_dcmtk_+eb+cy+n2.dcm"):
        _, after = check_mask((data / "odd" / name).read_bytes())
        assert after.file_meta.TransferSyntaxUID == RLELossless
        assert after.LossyImageCompression == "01"


@pytest.mark.parametrize(
    "name",
    [
        "pydicom-data_OBXXXX1A_rle_2frame.dcm",  # palette
        "pydicom-data_US1_J2KI.dcm",
        "pydicom-data_JPEG-LL.dcm",
        "pydicom-data_693_J2KR.dcm",
        "highdicom_sm_image_jpegls_nobot.dcm",
        "pydicom-tests_JPEGLSNearLossless_08.dcm",
        "pydicom-tests_rtdose_rle.dcm",  # 32 bits
        "highdicom_dx_image.dcm",  # MONOCHROME1
    ],
)
def test_real_files_change_nowhere_else(name: str, data: Path) -> None:
    check_mask((data / "odd" / name).read_bytes())


def test_an_overlay_in_unused_bits_is_cleared() -> None:
    values = np.random.default_rng(8).integers(0, 4095, (16, 16)).astype(np.uint16)
    dataset = make_image(values | 0x8000, SOPClassUID=CTImageStorage, BitsStored=12, HighBit=11)
    dataset.add_new(0x60000010, "US", 16)
    dataset.add_new(0x60000102, "US", 15)
    verdict = ask(dataset)
    assert (verdict.outcome, verdict.regions) == ("mask", ())
    after = dcmread(BytesIO(mask_pixels(to_part10(dataset), verdict.regions)))
    assert np.array_equal(np.frombuffer(after.PixelData, "<u2").reshape(16, 16), values)
    assert not [tag for tag in after.keys() if tag.group == 0x6000]  # noqa: SIM118


def test_what_cannot_be_masked_is_refused_without_quoting_it() -> None:
    broken = make_image(FLAT, PixelData=encapsulate([b"PLANTAGENET "]), PhotometricInterpretation="YBR_FULL_422")
    broken["PixelData"].is_undefined_length = True
    with pytest.raises(NotDeidentifiable) as raised:
        mask_pixels(to_part10(broken, JPEGBaseline8Bit), REGIONS)
    assert "PLANTAGENET" not in str(raised.value)
    with pytest.raises(InvalidRequest):
        MaskRegion(0, 0, 0, 5)


# -- what no pixel decides ---------------------------------------------------------------------------


def test_a_person_may_override_a_kind_but_not_a_cut() -> None:
    document = make_image(FLAT, SOPClassUID=UID("1.2.840.10008.5.1.4.1.1.104.1"), EncapsulatedDocument=b"%PDF")
    private = make_image(FLAT, SOPClassUID=UID("1.3.12.2.1107.5.9.1"))
    for dataset, expected in ((document, "document"), (private, "private")):
        read = dcmread(BytesIO(to_part10(dataset)))
        assert expected in (find_refusal(read) or "")
        assert find_refusal(read, approved=True) is None
    ordinary = dcmread(BytesIO(to_part10(make_image(FLAT))))
    assert find_refusal(ordinary) is None
    header, element = strip_pixels(ordinary), FLAT.tobytes() + bytes(12)
    header.file_meta = ordinary.file_meta
    assert find_refusal(header, pixels=element) is None
    assert "cut off" in (find_refusal(header, pixels=element[:-100], approved=True) or "")
    header.file_meta.TransferSyntaxUID = UID("1.2.3.4")
    assert "transfer syntax" in (find_refusal(header, approved=True) or "")


def test_the_label_of_a_slide_is_refused() -> None:
    slide = make_image(
        FLAT, SOPClassUID=UID("1.2.840.10008.5.1.4.1.1.77.1.6"), ImageType=["ORIGINAL", "PRIMARY", "LABEL"]
    )
    assert "slide" in (find_refusal(dcmread(BytesIO(to_part10(slide)))) or "")


@pytest.mark.parametrize(
    ("values", "count", "expected"),
    [
        ({"Modality": "MR", "BodyPartExamined": "BRAIN"}, 180, True),
        ({"Modality": "CT", "BodyPartExamined": "HEAD"}, 200, True),
        ({"Modality": "CT", "BodyPartExamined": "HEAD", "SliceThickness": 5}, 30, False),
        ({"Modality": "CT", "BodyPartExamined": "CHEST"}, 300, False),
        ({"Modality": "MR", "SeriesDescription": "t1_mprage_sag"}, 176, True),
        ({"Modality": "MR"}, 176, True),  # nothing is named, but it has the size of a head
        ({"Modality": "MR", "PixelSpacing": [2, 2]}, 176, False),
        ({"Modality": "US", "BodyPartExamined": "HEAD"}, 200, False),
        ({"Modality": "MR", "BodyPartExamined": "BRAIN", "PixelSpacing": None}, 180, False),
    ],
)
def test_a_head_in_thin_slices_shows_a_face(values: dict[str, object], count: int, expected: bool) -> None:
    common: dict[str, object] = {"PixelSpacing": [1, 1], "SliceThickness": 1, "Rows": 256, "Columns": 256}
    header = Dataset()
    for keyword, value in {**common, **values}.items():
        if value is not None:
            setattr(header, keyword, value)
    assert shows_face([header] * count) is expected
