"""Clean copies of slides: nothing identifying is left in their bytes, and the scan is the same to every reader."""

from __future__ import annotations

import shutil
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from openslide import OpenSlide
from PIL import Image, ImageCms
from pydicom import Dataset, dcmread

from aurelius_catalog.errors import NotDeidentifiable
from aurelius_deidentify.slides import is_associated_image, plan_slide
from aurelius_deidentify.slides.cleaning import unpack_slide
from aurelius_deidentify.slides.descriptions import clean_aperio, clean_ome
from aurelius_deidentify.slides.icc import clean_profile
from support.slide_files import SECRET, encode_jpeg, make_pixels, write_mirax, write_ndpi, write_ome, write_pyramid

APERIO_VALUES = ("CMU-1", "12/29/09", "09:59:15", "b414003d-95c6-48b0-9369-8010ed517ba7", "CPAPERIOCS", "1004486")


def clean_slide(source: Path, target: Path) -> str:
    plan = plan_slide(source)
    assert plan is not None
    plan.write(target)
    return plan.media_type


def read_levels(path: Path) -> list[np.ndarray]:
    """Decode every level completely, as OpenSlide shows it."""
    with OpenSlide(path) as slide:
        return [np.asarray(slide.read_region((0, 0), n, size)) for n, size in enumerate(slide.level_dimensions)]


def assert_same_scan(before: Path, after: Path) -> None:
    shown, kept = read_levels(before), read_levels(after)
    assert len(kept) >= 1
    for level in kept:
        assert any(level.shape == each.shape and np.array_equal(level, each) for each in shown)


def read_segments(path: Path, number: int) -> list[bytes]:
    """Return the encoded strips or tiles of one image of a TIFF."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[number]
        return [_read(path, at, n) for at, n in zip(page.dataoffsets, page.databytecounts, strict=True)]


def _read(path: Path, at: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(at)
        return file.read(size)


def test_svs_keeps_its_scan_and_loses_label_macro_and_words(data: Path, tmp_path: Path) -> None:
    source, copy = data / "wsi" / "CMU-1-Small-Region.svs", tmp_path / "draft"
    assert clean_slide(source, copy) == "image/x-aperio-svs"
    written = copy.read_bytes()
    for number in (2, 3):  # the label, with the slide's name in somebody's hand, and the macro
        for segment in read_segments(source, number):
            assert segment[-64:] not in written
    for word in (*APERIO_VALUES, "Filename", "ScanScope ID", "User"):
        assert word.encode() not in written
    assert_same_scan(source, copy)
    with OpenSlide(copy) as slide:
        assert slide.properties["openslide.vendor"] == "aperio"
        assert slide.properties["openslide.mpp-x"] == "0.499"
        assert slide.properties["openslide.objective-power"] == "20"
        assert set(slide.associated_images) == {"thumbnail"}
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(copy) as after:
        assert [series.name for series in after.series] == ["Baseline", "Thumbnail"]
        assert np.array_equal(before.series[0].asarray(), after.series[0].asarray())


def test_the_same_slide_gives_the_same_bytes(data: Path, tmp_path: Path) -> None:
    source = data / "wsi" / "CMU-1-Small-Region.svs"
    clean_slide(source, tmp_path / "a")
    clean_slide(source, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_stands_between_images_is_not_copied(data: Path, tmp_path: Path) -> None:
    """A label that an editor unlinked but left in the file is as gone as one that is linked."""
    source = tmp_path / "edited.svs"
    original = (data / "wsi" / "CMU-1-Small-Region.svs").read_bytes()
    source.write_bytes(original + f"{SECRET} behind the end".encode())
    clean_slide(source, tmp_path / "draft")
    assert SECRET.encode() not in (tmp_path / "draft").read_bytes()


def test_evidence_is_what_was_taken_away(data: Path) -> None:
    plan = plan_slide(data / "wsi" / "CMU-1-Small-Region.svs")
    assert plan is not None
    assert {"b414003d-95c6-48b0-9369-8010ed517ba7", "CPAPERIOCS", "12/29/09"} <= plan.identifiers


def test_ndpi_loses_macro_map_serials_and_jpeg_comments(tmp_path: Path) -> None:
    source, copy = tmp_path / "slide.ndpi", tmp_path / "draft"
    streams = write_ndpi(source)
    assert OpenSlide.detect_format(source) == "hamamatsu"
    assert clean_slide(source, copy) == "image/x-hamamatsu-ndpi"
    written = copy.read_bytes()
    assert SECRET.encode() not in written
    assert b"2019:07:12" not in written
    for name in ("macro", "map"):
        assert streams[name][-200:] not in written
    assert streams["level 1"] in written
    assert_same_scan(source, copy)
    with OpenSlide(copy) as slide:
        assert not slide.associated_images
        assert slide.properties["openslide.objective-power"] == "20"
    with tifffile.TiffFile(copy, is_ndpi=True) as tiff:
        assert len(tiff.pages) == 2
        assert tiff.series[0].kind == "ndpi"


@pytest.mark.parametrize(("big", "order"), [(False, "<"), (True, "<"), (False, ">"), (True, ">")])
def test_a_pyramid_loses_what_has_other_proportions_and_every_text(tmp_path: Path, big: bool, order: str) -> None:
    source, copy = tmp_path / "slide.tif", tmp_path / "draft"
    scan = write_pyramid(source, big=big, compression="lzw", order=order)
    labels = [segment for number in (2, 3) for segment in read_segments(source, number)]
    assert clean_slide(source, copy) == "image/tiff"
    written = copy.read_bytes()
    assert SECRET.encode() not in written
    assert b"2019:07:12" not in written
    assert not any(segment[:64] in written for segment in labels)
    if OpenSlide.detect_format(source):  # not every byte order is known to it
        assert_same_scan(source, copy)
    with tifffile.TiffFile(copy) as tiff:
        assert np.array_equal(tiff.series[0].asarray(), scan)
        assert [page.shape for page in tiff.pages] == [(384, 512, 3), (192, 256, 3)]


def test_jpeg_2000_tiles_lose_their_comments(tmp_path: Path) -> None:
    source, copy = tmp_path / "slide.tif", tmp_path / "draft"
    write_pyramid(source, compression="jpeg2000")
    assert b"Created by OpenJPEG" in source.read_bytes()
    clean_slide(source, copy)
    assert b"Created by OpenJPEG" not in copy.read_bytes()
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(copy) as after:
        assert np.array_equal(before.pages[0].asarray(), after.pages[0].asarray())


def test_ome_keeps_sizes_and_levels_and_loses_its_second_image(tmp_path: Path) -> None:
    source, copy = tmp_path / "slide.ome.tif", tmp_path / "draft"
    scan = write_ome(source)
    assert clean_slide(source, copy) == "image/ome-tiff"
    written = copy.read_bytes()
    assert SECRET.encode() not in written
    assert b"2019-07-12" not in written
    with tifffile.TiffFile(copy) as tiff:
        assert len(tiff.series) == 1
        assert tiff.series[0].kind == "ome"
        assert [level.shape for level in tiff.series[0].levels] == [(384, 512, 3), (192, 256, 3)]
        assert np.array_equal(tiff.series[0].asarray(), scan)
        assert 'PhysicalSizeX="0.25"' in str(tiff.ome_metadata)
        assert 'PhysicalSizeXUnit="µm"' in str(tiff.ome_metadata)


def test_mrxs_keeps_tiles_and_positions_only(tmp_path: Path) -> None:
    source, copy = tmp_path / "slide.mrxs", tmp_path / "draft"
    streams = write_mirax(source)
    with OpenSlide(source) as slide:
        assert set(slide.associated_images) == {"label", "macro", "thumbnail"}
    assert clean_slide(source, copy) == "application/x-mirax+zip"
    written = copy.read_bytes()
    assert SECRET.encode() not in written
    assert b"12/07/2019" not in written
    assert not any(streams[name][-200:] in written for name in ("label", "macro", "preview"))
    assert streams["tile 4"] in written
    assert streams["positions"] in written
    with zipfile.ZipFile(copy) as packed:
        assert all(each.compress_type == zipfile.ZIP_STORED for each in packed.infolist())
        assert not any("Notes" in name for name in packed.namelist())
    with unpack_slide(copy) as unpacked:
        assert_same_scan(source, unpacked)
        with OpenSlide(unpacked) as slide:
            assert not slide.associated_images
            assert slide.properties["openslide.mpp-x"] == "0.25"
    assert not any(path.is_dir() for path in tmp_path.iterdir() if path.name.startswith(".slide-"))


@pytest.mark.parametrize("missing", ["Slidedat.ini", "Index.dat", "Data0000.dat"])
def test_an_mrxs_without_its_folder_is_refused(tmp_path: Path, missing: str) -> None:
    write_mirax(tmp_path / "slide.mrxs")
    (tmp_path / "slide" / missing).unlink()
    with pytest.raises(NotDeidentifiable, match="folder is missing"):
        clean_slide(tmp_path / "slide.mrxs", tmp_path / "draft")


def test_a_cut_off_slide_is_refused(data: Path, tmp_path: Path) -> None:
    whole = (data / "wsi" / "CMU-1-Small-Region.svs").read_bytes()
    for share in (0.2, 0.64, 0.9):
        cut = tmp_path / "cut.svs"
        cut.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(NotDeidentifiable):
            clean_slide(cut, tmp_path / "draft")


def test_directories_in_a_circle_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "slide.tif"
    write_pyramid(source)
    content = bytearray(source.read_bytes())
    with tifffile.TiffFile(source) as tiff:
        first, last = tiff.pages[0].offset, tiff.pages[3].offset
        (count,) = struct.unpack_from("<H", content, last)
    struct.pack_into("<I", content, last + 2 + 12 * count, first)
    source.write_bytes(content)
    with pytest.raises(NotDeidentifiable, match="circle"):
        plan_slide(source)


def test_memory_stays_flat(tmp_path: Path) -> None:
    source = tmp_path / "large.tif"
    with tifffile.TiffWriter(source, bigtiff=True) as tiff:
        tiff.write(
            (np.zeros((256, 256), np.uint8) for _ in range(24 * 48)),
            shape=(24 * 256, 48 * 256),
            dtype=np.uint8,
            tile=(256, 256),
        )
    tracemalloc.start()
    try:
        clean_slide(source, tmp_path / "draft")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert source.stat().st_size > 70_000_000
    assert peak < 40_000_000


def test_a_description_keeps_only_what_is_known() -> None:
    head = "\r\n100x200 [0,0 100x200] (240x240) J2K/YUV16 Q=70|AppMag = 40"
    text = f"Aperio Image Library v12 {SECRET}{head}|Patient = {SECRET}|MPP = {SECRET}|Exposure Time = 20190712"
    assert clean_aperio(text) == f"Aperio Image Library v12 {head}"


def test_ome_over_several_files_and_entities_are_refused() -> None:
    parts = "".join(f'<TiffData><UUID FileName="{name}">u</UUID></TiffData>' for name in "ab")
    with pytest.raises(NotDeidentifiable, match="several files"):
        clean_ome(f"<OME><Image><Pixels>{parts}</Pixels></Image></OME>", {0: 0})
    with pytest.raises(NotDeidentifiable, match="entities"):
        clean_ome('<!DOCTYPE x [<!ENTITY a "b">]><OME>&a;</OME>', {0: 0})


def test_colour_profiles_lose_their_words(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    words = ["sRGB built-in".encode("utf-16-be"), "No copyright".encode("utf-16-be")]
    assert all(word in profile for word in words)
    cleaned = clean_profile(profile)
    assert cleaned is not None
    assert len(cleaned) == len(profile)
    assert not any(word in cleaned for word in words)
    shown = Image.fromarray(make_pixels(32, 32, 1))

    def convert(description: bytes) -> np.ndarray:
        path = tmp_path / "profile.icc"
        path.write_bytes(description)
        transform = ImageCms.buildTransform(str(path), ImageCms.createProfile("LAB"), "RGB", "LAB")
        return np.asarray(ImageCms.applyTransform(shown, transform))

    assert np.array_equal(convert(profile), convert(cleaned))


def test_a_profile_that_is_none_goes() -> None:
    assert clean_profile(SECRET.encode() * 40) is None


def test_other_formats_of_slides_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "philips.tif"
    tifffile.imwrite(
        path,
        make_pixels(256, 256, 1),
        tile=(128, 128),
        photometric="rgb",
        software="Philips DP v1.0",
        description='<?xml version="1.0"?><DataObject ObjectType="DPUfsImport"></DataObject>',
        metadata=None,
    )
    with pytest.raises(NotDeidentifiable, match="philips"):
        plan_slide(path)


def test_pictures_of_the_glass_are_told_from_the_scan(data: Path) -> None:
    found = {}
    for path in (data / "wsi" / "cmu-1-dicom").iterdir():
        dataset = dcmread(path, stop_before_pixels=True)
        found[dataset.ImageType[2]] = is_associated_image(dataset)
    assert found == {"VOLUME": False, "THUMBNAIL": False, "LABEL": True, "OVERVIEW": True}
    dataset.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
    dataset.SpecimenLabelInImage = "YES"
    assert is_associated_image(dataset)
    assert not is_associated_image(Dataset())


def test_a_picture_is_no_slide(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "plain.tif", make_pixels(64, 64, 1), photometric="rgb")
    (tmp_path / "photo.jpg").write_bytes(encode_jpeg(make_pixels(64, 64, 1)))
    shutil.copy(tmp_path / "photo.jpg", tmp_path / "named.svs")
    for path in tmp_path.iterdir():
        assert plan_slide(path) is None
