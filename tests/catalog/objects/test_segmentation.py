"""Segmentations of every kind, laid over their images: each voxel where the one who drew it put it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from aurelius_catalog import Catalog, Person, Series
from aurelius_catalog.dicom.segments import COLOURS
from aurelius_catalog.errors import InvalidLabel, InvalidObject
from aurelius_catalog.objects import StoredSegmentation
from aurelius_catalog.objects.segment_codes import describe_label
from support.cohort import make_slice
from support.objects_house import admit_objects, find_one, name_object

SHAPE = (6, 24, 32)
SPACING_MM = (2.5, 0.8, 0.8)


def make_chest(study: str, shape: tuple[int, int, int] = SHAPE) -> list[Dataset]:
    """Return a small CT series, its slices out of order."""
    series, frame = generate_uid(), generate_uid()
    slices = []
    for number, pixels in enumerate(np.random.default_rng(1).integers(-1000, 1000, shape).astype(np.int16)):
        dataset = make_slice("ct-chest", number, pixels, SPACING_MM)
        dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "case", study, series
        dataset.FrameOfReferenceUID = frame
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        slices.append(dataset)
    return slices[::2] + slices[1::2]


def make_masks(*boxes: tuple[slice, slice, slice]) -> NDArray[np.bool_]:
    """Return ``(z, y, x, segment)`` bool with one box for each segment."""
    masks = np.zeros((*SHAPE, len(boxes)), bool)
    for number, box in enumerate(boxes):
        masks[(*box, number)] = True
    return masks


def make_segmentation(
    sources: Sequence[Dataset], pixels: NDArray[np.generic] | hd.Volume, kind: str, labels: Sequence[str] = ("a", "b")
) -> Dataset:
    """Write a SEG as others would: highdicom, with labels nobody knows."""
    return hd.seg.Segmentation(
        source_images=sources,
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=[
            hd.seg.SegmentDescription(number, label, codes.SCT.Tissue, codes.SCT.Tissue, "MANUAL")
            for number, label in enumerate(labels, start=1)
        ],
        **name_object(5),
        fractional_type="PROBABILITY",
        max_fractional_value=200,
    )


APART = make_masks(np.s_[1:3, 4:9, 5:20], np.s_[4:5, 10:22, 1:9])
OVERLAPPING = make_masks(np.s_[1:4, 4:12, 5:20], np.s_[3:5, 10:22, 1:9])


def open_labelled(tmp_path: Path, kind: str, masks: NDArray[np.generic]) -> Series:
    """Admit a chest with a SEG whose planes are in slice order; returns the chest."""
    chest = make_chest(generate_uid())
    in_order = sorted(chest, key=lambda item: float(item.ImagePositionPatient[2]))
    catalog = admit_objects(tmp_path, [*chest, make_segmentation(in_order, masks, kind)])
    return find_one(catalog, Modality="CT")


def test_binary_segments_are_laid_where_they_were_drawn(tmp_path: Path) -> None:
    series = open_labelled(tmp_path, "BINARY", APART.astype(np.uint8))
    [segmentation] = series.segmentations
    labels = segmentation.to_xarray()
    np.testing.assert_array_equal(labels, APART[..., 0] + 2 * APART[..., 1])
    assert labels.dtype == np.uint8
    image = series.to_xarray()
    assert image.where(labels == 2).count() == APART[..., 1].sum()  # the same coordinates, to the last digit
    np.testing.assert_array_equal(labels.attrs["affine_lps"], image.attrs["affine_lps"])
    voxel_ml = float(np.prod(SPACING_MM)) / 1000
    assert segmentation.volumes_ml() == pytest.approx({"a": 150 * voxel_ml, "b": 96 * voxel_ml})


def test_label_maps_are_read_as_numbers(tmp_path: Path) -> None:
    series = open_labelled(tmp_path, "LABELMAP", APART.astype(np.uint8))
    np.testing.assert_array_equal(series.segmentations[0].to_xarray(), APART[..., 0] + 2 * APART[..., 1])
    np.testing.assert_array_equal(series.segmentations[0].masks(["b"])[0], APART[..., 1])


def test_overlapping_segments_come_apart(tmp_path: Path) -> None:
    series = open_labelled(tmp_path, "BINARY", OVERLAPPING.astype(np.uint8))
    [segmentation] = series.segmentations
    with pytest.raises(InvalidLabel, match=r"overlap: take `masks\(\)`"):
        segmentation.to_xarray()
    masks = segmentation.masks()
    np.testing.assert_array_equal(masks, np.moveaxis(OVERLAPPING, -1, 0))
    assert list(masks["label"].to_numpy()) == ["a", "b"]
    voxel_ml = float(np.prod(SPACING_MM)) / 1000
    assert segmentation.volumes_ml() == pytest.approx(
        {"a": OVERLAPPING[..., 0].sum() * voxel_ml, "b": OVERLAPPING[..., 1].sum() * voxel_ml}
    )
    with pytest.raises(InvalidLabel, match="there are: a, b"):
        segmentation.masks(["c"])


def test_fractions_keep_their_steps(tmp_path: Path) -> None:
    fractions = np.where(APART, 0.25, 0.0)
    fractions[2, 5, 7, 0] = 1.0
    series = open_labelled(tmp_path, "FRACTIONAL", fractions)
    masks = series.segmentations[0].masks()
    assert masks.dtype == np.float32
    np.testing.assert_allclose(masks, np.moveaxis(fractions, -1, 0), atol=1e-6)
    with pytest.raises(InvalidLabel, match="threshold"):
        series.segmentations[0].to_xarray()


def test_other_grids_are_read_at_the_nearest_voxel_and_said(tmp_path: Path) -> None:
    chest = sorted(make_chest(generate_uid()), key=lambda item: float(item.ImagePositionPatient[2]))
    half = make_masks(np.s_[1:3, 4:10, 6:20])[:, ::2, ::2, 0]
    x, y, z = (float(place) for place in chest[0].ImagePositionPatient)
    affine = [[0, 0, 1.6, x + 0.4], [0, 1.6, 0, y + 0.4], [2.5, 0, 0, z], [0, 0, 0, 1]]
    frame = chest[0].FrameOfReferenceUID
    volume = hd.Volume(half.astype(np.uint8), np.array(affine), "PATIENT", frame_of_reference_uid=frame)
    catalog = admit_objects(tmp_path, [*chest, make_segmentation(chest, volume, "BINARY", ["a"])])
    series = find_one(catalog, Modality="CT")
    with pytest.warns(UserWarning, match="another grid"):
        labels = series.segmentations[0].to_xarray()
    np.testing.assert_array_equal(labels, half.repeat(2, axis=1).repeat(2, axis=2))
    own = find_one(catalog, Modality="SEG").to_xarray()
    assert own.shape == (2, 12, 16)  # the planes that were drawn on
    assert own.attrs["spacing_mm"] == pytest.approx([2.5, 1.6, 1.6])


def test_another_frame_of_reference_is_refused(tmp_path: Path) -> None:
    chest = make_chest(generate_uid())
    segmentation = make_segmentation(chest, APART.astype(np.uint8), "BINARY")
    segmentation.FrameOfReferenceUID = generate_uid()
    series = find_one(admit_objects(tmp_path, [*chest, segmentation]), Modality="CT")
    with pytest.raises(InvalidLabel, match="another frame of reference"):
        series.segmentations[0].to_xarray()


def test_pictures_without_a_place_are_told_by_their_frames(tmp_path: Path) -> None:
    pictures = make_chest(generate_uid())
    for number, dataset in enumerate(pictures):
        del dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.FrameOfReferenceUID
        dataset.Modality, dataset.SOPClassUID = "DX", "1.2.840.10008.5.1.4.1.1.1.1"
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.InstanceNumber = number + 1
    mask = np.zeros((1, *SHAPE[1:]), np.uint8)
    mask[0, 3:9, 4:8] = 1
    segmentation = make_segmentation(pictures[2:3], mask, "BINARY", ["a"])
    series = find_one(admit_objects(tmp_path, [*pictures, segmentation]), Modality="DX")
    labels = series.segmentations[0].to_xarray()
    assert labels.dims == series.to_xarray().dims == ("frame", "y", "x")
    np.testing.assert_array_equal(labels[2], mask[0])
    assert labels.sum() == mask.sum()
    with pytest.raises(InvalidLabel, match="no depth"):
        series.segmentations[0].volumes_ml()


@pytest.mark.parametrize("size", ["23x38x3", "24x38x3"])
def test_real_segmentations_lie_where_highdicom_puts_them(data: Path, tmp_path: Path, size: str) -> None:
    """The reference is highdicom's own match by source instance, which the catalog does not use."""
    folder = data / "seg-sr"
    sources = [dcmread(path) for path in sorted(folder.glob(f"segmentations_{size}_image_*"))]
    names = [f"segmentations_{size}_seg_label.seg"]
    names += ["segmentations_sparse-labelmap-noppv.dcm"] if size.startswith("24") else []
    segmentations = [dcmread(folder / name) for name in names]
    series = find_one(admit_objects(tmp_path, [*sources, *segmentations]), Modality="CT")
    uids = [instance.SOPInstanceUID for instance in series.instances]
    assert len(series.segmentations) == len(names)
    for segmentation in series.segmentations:
        stored = dcmread(
            folder / names[[s.SOPInstanceUID for s in segmentations].index(segmentation.annotation.SOPInstanceUID)]
        )
        expected = hd.seg.Segmentation.from_dataset(stored).get_pixels_by_source_instance(
            uids, combine_segments=True, assert_missing_frames_are_empty=True, ignore_spatial_locations=True
        )
        np.testing.assert_array_equal(segmentation.to_xarray(), expected)
        assert [segment.label for segment in segmentation.annotation.segments] == ["Liver"]  # not the background


def test_every_real_segmentation_opens_on_its_own_grid(data: Path) -> None:
    opened = 0
    for path in [*(data / "seg-sr").iterdir(), *(data / "odd").glob("*seg_image*")]:
        dataset = dcmread(path)
        if dataset.Modality != "SEG" or "TotalPixelMatrixRows" in dataset or "cr_binary" in path.name:
            continue
        stored = StoredSegmentation(dataset)
        own = stored.masks()
        affine = np.array(own.attrs["affine_lps"])[:, [2, 1, 0, 3]]  # highdicom indexes (slice, row, column)
        grid = hd.VolumeGeometry(affine, own.shape[1:], "PATIENT")
        volume = hd.seg.Segmentation.from_dataset(dcmread(path)).get_volume().match_geometry(grid)
        columns = [
            -1 if stored.kind == "LABELMAP" else segment.number - 1 for segment in stored.segments
        ]  # 0: background
        np.testing.assert_array_equal(np.moveaxis(own.to_numpy(), 0, -1), volume.array[..., columns])
        opened += 1
    assert opened >= 8


def test_a_slide_s_segmentation_is_put_together_from_its_tiles(data: Path, tmp_path: Path) -> None:
    dataset = dcmread(data / "odd" / "highdicom_seg_image_sm_control_labelmap.dcm")
    expected = hd.seg.Segmentation.from_dataset(dataset).get_total_pixel_matrix(combine_segments=True)
    array = find_one(
        admit_objects(tmp_path, [dcmread(data / "odd" / "highdicom_seg_image_sm_control_labelmap.dcm")])
    ).to_xarray()
    assert array.dims == ("y", "x")
    assert array["y"].attrs["units"] == "µm"
    np.testing.assert_array_equal(array, expected)


def test_our_labels_say_what_they_are(tmp_path: Path) -> None:
    catalog = admit_objects(tmp_path, make_chest(generate_uid()), Person.of("anton", ["role-annotator", "site-north"]))
    series = find_one(catalog)
    drawn = (APART[..., 0] + 2 * APART[..., 1]).astype(np.uint8)
    series.add_annotation(drawn, ["left kidney", "nodule"])
    stored = series.open_segmentation(series.segmentations[-1].annotation.SOPInstanceUID)
    kidney, nodule = stored.segments
    assert (kidney.category, kidney.type, kidney.side) == ("Anatomical Structure", "Kidney", "Left")
    assert (nodule.category, nodule.type) == ("Morphologically Abnormal Structure", "Nodule")
    assert np.abs(np.array([kidney.colour, nodule.colour]) - np.array(COLOURS[:2])).max() <= 2
    assert stored.dataset.SeriesDescription == "Label: left kidney, nodule"
    np.testing.assert_array_equal(series.segmentations[-1].to_xarray(), drawn)


@pytest.mark.parametrize(
    ("label", "type"),
    [("Lungs", "Lung"), ("tumour", "Neoplasm"), ("left_lung", "Lung"), ("spleen 2", "Spleen"), ("thing", "Tissue")],
)
def test_labels_find_their_codes(label: str, type: str) -> None:
    assert describe_label(label).type.meaning == type


@pytest.mark.filterwarnings("ignore:The string")
def test_labels_are_drawn_on_multiframe_objects_too(data: Path, tmp_path: Path) -> None:
    source = dcmread(data / "seg-sr" / "segmentations_24x38x3_multiframe_mf.dcm")
    catalog = admit_objects(tmp_path, [source], Person.of("anton", ["role-annotator", "site-north"]))
    series = find_one(catalog)
    drawn = np.zeros(series.to_xarray().shape, np.uint8)
    drawn[0, 3:20, 5:9] = 1
    drawn[2, 30:33, 10:12] = 1
    series.add_annotation(drawn, ["liver"])
    np.testing.assert_array_equal(series.segmentations[0].to_xarray(), drawn)
    with pytest.raises(InvalidLabel, match="shape"):
        series.add_annotation(drawn[:2], ["liver"])


def test_one_label_serves_several_volumes_of_a_series(tmp_path: Path) -> None:
    first = make_chest(generate_uid(), (3, 16, 16))
    second = [deepcopy(dataset) for dataset in first]
    for dataset in second:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for number, dataset in enumerate(first + second):
        dataset.AcquisitionNumber = 1 + number // 3
    catalog = admit_objects(tmp_path, first + second, Person.of("anton", ["role-annotator", "site-north"]))
    series = find_one(catalog)
    assert series.to_xarray().dims == ("t", "z", "y", "x")
    drawn = np.zeros((3, 16, 16), np.uint8)
    drawn[1, 3:5, 4:9] = 1
    series.add_annotation(drawn, ["liver"])
    np.testing.assert_array_equal(series.segmentations[0].to_xarray(), drawn)


def test_damaged_objects_are_told_in_words(data: Path, tmp_path: Path) -> None:
    damaged = dcmread(data / "seg-sr" / "segmentations_liver.dcm")
    del damaged.SegmentSequence[0].SegmentNumber
    with pytest.raises(InvalidObject, match="This Segmentation is not written as DICOM asks"):
        find_one(admit_objects(tmp_path, [damaged])).open()


def test_what_is_no_segmentation_is_refused(data: Path) -> None:
    with pytest.raises(InvalidObject, match="no segmentation"):
        StoredSegmentation(dcmread(data / "seg-sr" / "sr-example_sr.dcm"))
    with pytest.raises(InvalidObject, match="1 frames, and describes 3"):
        StoredSegmentation(dcmread(data / "odd" / "pydicom-tests_liver_1frame.dcm")).labelmap()


def test_a_series_of_segmentations_opens_as_one(data: Path, tmp_path: Path) -> None:
    catalog: Catalog = admit_objects(tmp_path, [dcmread(data / "seg-sr" / "segmentations_partial_overlaps.dcm")])
    opened = find_one(catalog).open()
    assert isinstance(opened, StoredSegmentation)
    assert "GREEN" in repr(opened)
    assert opened.to_xarray().dims == ("segment", "z", "y", "x")
