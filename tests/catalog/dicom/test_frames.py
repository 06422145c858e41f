"""Frames of every encoding: the numbers another decoder gives; damage is said; the index knows each frame."""

from __future__ import annotations

import struct
import subprocess
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder, get_encoder
from pydicom.uid import (
    UID,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MRImageStorage,
    MultiFrameSingleBitSecondaryCaptureImageStorage,
    RLELossless,
    generate_uid,
)
from sqlalchemy import select, update

from aurelius_catalog import Series
from aurelius_catalog.dicom.decoders import DeflatedImageFrame, JPEGXLLossless
from aurelius_catalog.dicom.frame_locations import decode_frame
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.index.database import open_engine, writing
from aurelius_catalog.index.schema import instances
from aurelius_catalog.records import InstanceRecord
from support.cohort import admit, make_cohort, make_slice

#: Images of the shared data's folder ``odd`` in every encoding that pydicom decodes too.
ODD = (
    "highdicom_sm_image_jpegls_nobot",
    "pydicom-data_693_J2KR",
    "pydicom-data_HTJ2KLossless_08_RGB",
    "pydicom-data_HTJ2K_08_RGB",
    "pydicom-data_JLSL_08_07_0_1F",
    "pydicom-data_JPEG-LL",
    "pydicom-data_JPGLosslessP14SV1_1s_1f_8b",
    "pydicom-data_MR2_J2KI",
    "pydicom-data_RG3_J2KI",
    "pydicom-data_SC_rgb_expb_2frame",
    "pydicom-data_US1_J2KI",
    "pydicom-data_emri_small_RLE",
    "pydicom-data_emri_small_big_endian",
    "pydicom-data_emri_small_jpeg_ls_lossless",
    "pydicom-tests_ExplVR_BigEnd",
    "pydicom-tests_GDCMJ2K_TextGBR",
    "pydicom-tests_JPEGLSNearLossless_08",
    "pydicom-tests_MR_small_RLE",
    "pydicom-tests_MR_small_bigendian",
    "pydicom-tests_MR_small_jp2klossless",
    "pydicom-tests_MR_small_jpeg_ls_lossless",
    "pydicom-tests_SC_rgb_jpeg_dcmd",
    "pydicom-tests_SC_rgb_jpeg_gdcm",
    "pydicom-tests_SC_rgb_rle_2frame",
    "pydicom-tests_SC_rgb_small_odd_big_endian",
    "pydicom-tests_image_dfl",
)


def open_anew(sources: list[FileDataset], home: Path) -> list[Series]:
    """Let objects in, each as a series of its own: some are one image in several encodings."""
    for source in sources:
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        source.SeriesInstanceUID = generate_uid()
        if not source.file_meta.get("MediaStorageSOPClassUID"):
            source.file_meta.MediaStorageSOPClassUID = source.SOPClassUID
    return admit(sources, home)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd")


def test_every_encoding_reads_as_pydicom_reads_it(data: Path, home: Path) -> None:
    sources = [dcmread(data / "odd" / f"{name}.dcm") for name in ODD]
    wanted = [source.pixel_array for source in sources]
    for name, pixels, series in zip(ODD, wanted, open_anew(sources, home), strict=True):
        stored = series.to_xarray(dtype="stored").to_numpy()
        assert stored.dtype == pixels.dtype.newbyteorder("="), name
        np.testing.assert_array_equal(stored.reshape(pixels.shape), pixels, name)


def test_twelve_bit_jpeg_reads_as_dcmtk_reads_it(data: Path, home: Path, tmp_path: Path) -> None:
    source = data / "odd" / "pydicom-tests_JPEG-lossy.dcm"
    subprocess.run(["dcmdjpeg", source, tmp_path / "plain.dcm"], check=True)
    (series,) = open_anew([dcmread(source)], home)
    image = series.to_xarray(dtype="stored")[0].to_numpy().astype(int)
    assert np.abs(image - dcmread(tmp_path / "plain.dcm").pixel_array).max() <= 1


def describe(pixels: np.ndarray, syntax: str, **changes: Any) -> InstanceRecord:
    rows, columns, *samples = pixels.shape
    values: dict[str, Any] = {
        "SOPInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2",
        "SOPClassUID": MRImageStorage,
        "path": "",
        "sha256": "",
        "size_bytes": 0,
        "TransferSyntaxUID": syntax,
        "Rows": rows,
        "Columns": columns,
        "SamplesPerPixel": samples[0] if samples else 1,
        "PhotometricInterpretation": "RGB" if samples else "MONOCHROME2",
        "BitsAllocated": pixels.dtype.itemsize * 8,
        "BitsStored": pixels.dtype.itemsize * 8,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PlanarConfiguration": 0,
    }
    return InstanceRecord(**(values | changes))


def encode_rle(pixels: np.ndarray) -> bytes:
    options = {
        "rows": pixels.shape[0],
        "columns": pixels.shape[1],
        "samples_per_pixel": 1 if pixels.ndim == 2 else pixels.shape[2],
        "bits_allocated": pixels.dtype.itemsize * 8,
        "bits_stored": pixels.dtype.itemsize * 8,
        "pixel_representation": int(pixels.dtype.kind == "i"),
        "photometric_interpretation": "MONOCHROME2" if pixels.ndim == 2 else "RGB",
        "number_of_frames": 1,
        "planar_configuration": 0,
    }
    return get_encoder(RLELossless).encode(pixels, encoding_plugin="pydicom", **options)


def deflate(pixels: np.ndarray) -> bytes:
    squeezer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeezer.compress(pixels.tobytes()) + squeezer.flush()


ENCODERS = {
    JPEGXLLossless: lambda pixels: imagecodecs.jpegxl_encode(pixels, lossless=True),
    JPEG2000Lossless: lambda pixels: imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k"),
    HTJ2KLossless: lambda pixels: imagecodecs.htj2k_encode(pixels),
    JPEGLSLossless: lambda pixels: imagecodecs.jpegls_encode(pixels),
    JPEGLosslessSV1: lambda pixels: imagecodecs.ljpeg_encode(pixels),
    RLELossless: encode_rle,
    DeflatedImageFrame: deflate,
}
UNSIGNED_GREY = (JPEGXLLossless, JPEG2000Lossless, HTJ2KLossless, JPEGLSLossless, JPEGLosslessSV1)
COLOUR = (JPEGXLLossless, JPEG2000Lossless, JPEGLSLossless, RLELossless, DeflatedImageFrame)


@pytest.mark.parametrize("syntax", ENCODERS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_comes_back_as_it_went_in(syntax: str, dtype: type) -> None:
    pixels = np.random.default_rng(3).integers(0, np.iinfo(dtype).max, (21, 34)).astype(dtype)
    decoded = decode_frame(ENCODERS[syntax](pixels), describe(pixels, syntax))
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("syntax", COLOUR)
def test_colour_comes_back_as_it_went_in(syntax: str) -> None:
    pixels = np.random.default_rng(4).integers(0, 255, (12, 18, 3)).astype(np.uint8)
    np.testing.assert_array_equal(decode_frame(ENCODERS[syntax](pixels), describe(pixels, syntax)), pixels)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEGLosslessSV1])
def test_signed_numbers_of_twelve_bits_in_encodings_that_know_no_signs(syntax: str) -> None:
    pixels = np.random.default_rng(5).integers(-2048, 2047, (21, 34)).astype(np.int16)
    twelve = (pixels & 0x0FFF).astype(np.uint16)
    decoded = decode_frame(ENCODERS[syntax](twelve), describe(pixels, syntax, BitsStored=12))
    np.testing.assert_array_equal(decoded, pixels)


def test_signed_numbers_in_runs() -> None:
    pixels = np.random.default_rng(6).integers(-30000, 30000, (9, 7)).astype(np.int16)
    np.testing.assert_array_equal(decode_frame(encode_rle(pixels), describe(pixels, RLELossless)), pixels)


def pack(pixels: np.ndarray) -> np.ndarray:
    return np.packbits(pixels, bitorder="little")


@pytest.mark.parametrize(
    ("syntax", "arrange"), [(RLELossless, np.copy), (RLELossless, pack), (DeflatedImageFrame, pack)]
)
def test_single_bits_come_back_as_they_went_in(
    syntax: str, arrange: Callable[[np.ndarray], np.ndarray], home: Path
) -> None:
    pixels = np.random.default_rng(8).integers(0, 2, (3, 11, 13)).astype(np.uint8)  # no frame ends with a whole byte
    coded = [encode_runs(arrange(frame)) if syntax == RLELossless else deflate(arrange(frame)) for frame in pixels]
    for frame, data in zip(pixels, coded, strict=True):
        decoded = decode_frame(data, describe(frame, syntax, BitsAllocated=1, BitsStored=1))
        np.testing.assert_array_equal(decoded, frame)
    for length in (0, 10, 66, len(coded[0]) * 2 // 3):
        with pytest.raises(InvalidRequest, match="cannot be decoded"):
            decode_frame(coded[0][: min(length, len(coded[0]) - 4)], describe(pixels[0], syntax, BitsAllocated=1))
    if syntax == DeflatedImageFrame:  # pydicom writes no such files
        return
    source = make_slice("ct-chest", 0, pixels[0], (1, 1, 1))
    source.SOPClassUID = MultiFrameSingleBitSecondaryCaptureImageStorage
    source.file_meta.MediaStorageSOPClassUID, source.file_meta.TransferSyntaxUID = source.SOPClassUID, UID(syntax)
    source.BitsAllocated = source.BitsStored = 1
    source.HighBit = source.PixelRepresentation = 0
    source.PixelData, source.NumberOfFrames = encapsulate(coded), len(coded)
    (series,) = open_anew([source], home)
    np.testing.assert_array_equal(series.to_xarray(dtype="stored"), pixels)


def encode_runs(values: np.ndarray) -> bytes:
    """Return a frame of one RLE segment (PS3.5 G.5)."""
    return struct.pack("<16I", 1, 64, *[0] * 14) + imagecodecs.packbits_encode(values.tobytes())


@pytest.mark.parametrize("syntax", ENCODERS)
def test_damage_is_said(syntax: str) -> None:
    pixels = np.random.default_rng(7).integers(0, 255, (64, 64)).astype(np.uint8)
    whole = ENCODERS[syntax](pixels)
    for damaged in (b"", b"\0" * 40, whole[:3]):
        with pytest.raises(InvalidRequest, match=r"1\.2\.3 cannot be decoded"):
            decode_frame(damaged, describe(pixels, syntax))


def test_a_file_that_ends_too_early_is_said_and_the_next_one_reads(data: Path, home: Path) -> None:
    first, second = open_anew([dcmread(data / "ct-ge" / f"000{number}.dcm") for number in (0, 1)], home)
    (broken,) = first.instances
    path = first._store.settings.files / broken.path  # type: ignore[attr-defined]
    path.write_bytes(path.read_bytes()[:-1000])
    for dtype in ("stored", "float32"):
        with pytest.raises(InvalidRequest, match="shorter than the index says"):
            first.to_xarray(dtype=dtype).load()
    assert second.to_xarray().load().sizes["z"] == 1


def test_fragments_and_offset_tables(data: Path, home: Path) -> None:
    """Frames in several fragments are found by the basic offset table, without a look at the codestreams."""
    source = dcmread(data / "odd" / "pydicom-data_emri_small_RLE.dcm")
    wanted = source.pixel_array
    decoder = get_decoder(RLELossless)
    frames = [encode_rle(decoder.as_array(source, index=index)[0]) for index in range(10)]
    source.PixelData = encapsulate(frames, fragments_per_frame=2, has_bot=True)
    (series,) = open_anew([source], home)
    assert len(series.instances[0].frames) == 10
    np.testing.assert_array_equal(series.to_xarray(dtype="stored").to_numpy(), wanted)


# -- what the index knows ------------------------------------------------------------------------


def test_the_index_knows_every_frame_of_an_enhanced_object(data: Path, home: Path) -> None:
    source = dcmread(data / "mr-enhanced-multiframe" / "IM_0027_fMAP.dcm")
    groups = source.PerFrameFunctionalGroupsSequence
    (series,) = open_anew([source], home)
    (instance,) = series.instances
    assert instance.NumberOfFrames == len(instance.frames) == 64
    known = instance.per_frame
    assert len(known["ImagePositionPatient"]) == 64
    assert known["ImagePositionPatient"][5] == list(groups[5].PlanePositionSequence[0].ImagePositionPatient)
    assert known["RescaleSlope"][40] == groups[40].PixelValueTransformationSequence[0].RescaleSlope
    assert [len(known[name]) for name in ("PixelSpacing", "ImageOrientationPatient", "StackID")] == [1, 1, 1]


def test_an_index_from_before_is_filled_from_its_headers(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path)
    engine = open_engine(cohort.settings)
    question = select(instances.c.SOPInstanceUID, instances.c.per_frame, instances.c.NumberOfFrames)
    with engine.begin() as connection:
        before = connection.execute(question).all()
    assert any(row.per_frame for row in before)
    migration = import_module("aurelius_catalog.index.migrations.versions.0004_frames_in_space")
    with writing(engine) as connection:
        connection.execute(update(instances).values(per_frame={}, NumberOfFrames=7))
        migration.fill_from_headers(connection)
    with engine.begin() as connection:
        assert connection.execute(question).all() == before
