"""Labels over slides: where they were drawn, in the colours they have, tile by tile and by physical size."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom as hd
import imagecodecs
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

from aurelius_catalog import Catalog
from aurelius_catalog.dicom.segments import COLOURS
from aurelius_catalog.errors import InvalidLabel, InvalidObject, InvalidRequest, NotFound
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.objects import BulkAnnotations
from aurelius_catalog.settings import CatalogSettings
from aurelius_catalog.slide import Slide
from aurelius_catalog.viewing.slide_label import TILE_PX, SlideLabel, draw_tile
from support.objects_house import STEWARD, admit_objects, find_one, name_object
from support.slide_files import make_pixels, write_mirax
from support.slide_house import MPP_UM, add_slide, complete_slide, list_level_datasets, segment_slide, write_dicom_slide

WIDTH, HEIGHT = 1300, 700
STUDY = generate_uid()
#: Upright, as viewers show slides: X points up and Y to the left.
ORIENTATION = [0, -1, 0, -1, 0, 0]


def make_slide(folder: Path, placed: bool = True) -> list[Dataset]:
    """Return two levels of a slide, with what says where they lie on the glass."""
    levels = [dcmread(path) for path in write_dicom_slide(folder / "slide", make_pixels(WIDTH, HEIGHT, 7), tile=128)]
    for level in levels:
        level.StudyInstanceUID = STUDY
        if placed:
            place(level, 20.0, 30.0)
    return levels


def place(level: Dataset, x_mm: float, y_mm: float) -> None:
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = x_mm, y_mm
    level.ImageOrientationSlide, level.TotalPixelMatrixOriginSequence = ORIENTATION, [origin]
    level.ImagedVolumeWidth, level.ImagedVolumeHeight, level.ImagedVolumeDepth = 1.0, 1.0, 0.001


def make_annotations(level: Dataset, coordinates: str, groups: Sequence[tuple[str, str, list[Any]]]) -> Dataset:
    """Write bulk annotations: label, kind and shapes of each group."""
    return hd.ann.MicroscopyBulkSimpleAnnotations(
        source_images=[complete_slide(level)],
        annotation_coordinate_type=coordinates,
        annotation_groups=[
            hd.ann.AnnotationGroup(
                number=number,
                uid=generate_uid(),
                label=label,
                annotated_property_category=codes.SCT.AnatomicalStructure,
                annotated_property_type=codes.SCT.Nucleus,
                graphic_type=kind,
                graphic_data=[np.array(shape, float) for shape in shapes],
                algorithm_type="MANUAL",
                measurements=[hd.ann.Measurements(codes.SCT.Area, np.arange(len(shapes)) + 0.5, codes.UCUM.Micrometer)],
            )
            for number, (label, kind, shapes) in enumerate(groups, start=1)
        ],
        **name_object(6),
    )


def open_slide(home: Path, objects: Sequence[Dataset]) -> tuple[Catalog, Slide]:
    for each in objects:
        each.StudyInstanceUID = STUDY
    catalog = admit_objects(home, objects)
    return catalog, find_one(catalog, Modality="SM").slide()


def make_numbers(width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """Return ``(y, x)`` with two rectangles, and a single pixel far from both."""
    numbers = np.zeros((height, width), np.uint8)
    numbers[height // 7 : height // 2, width // 6 : width // 3] = 1
    numbers[height // 2 :, width // 2 : width - 5] = 2
    numbers[3, width - 9] = 1
    return numbers


def read_picture(label: SlideLabel, by: int, shown: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """Put all tiles of one resolution together: ``(y, x, c)`` RGBA."""
    width, height = label.size
    level = (max(width, height) - 1).bit_length() - (by.bit_length() - 1)
    numbers = {mark.number for mark in label.marks} if shown is None else set(shown)
    rows = []
    for row in range(-(-height // (TILE_PX * by))):
        tiles = [draw_tile(label, level, at, row, numbers) for at in range(-(-width // (TILE_PX * by)))]
        rows.append(np.concatenate([np.asarray(Image.open(BytesIO(tile))) for tile in tiles], axis=1))
    return np.concatenate(rows)


def read_all(label: SlideLabel, **options: Any) -> xr.DataArray:
    return label.read_region(0, 0, WIDTH * MPP_UM, HEIGHT * MPP_UM, size_px=(WIDTH, HEIGHT), **options)


FULL, SPARSE = hd.DimensionOrganizationTypeValues.TILED_FULL, hd.DimensionOrganizationTypeValues.TILED_SPARSE


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("order", [FULL, SPARSE])
def test_segments_lie_where_they_were_drawn(tmp_path: Path, kind: str, order: Any) -> None:
    levels, numbers = make_slide(tmp_path), make_numbers()
    full = order == FULL
    drawn = segment_slide(levels[0], numbers, kind, dimension_organization_type=order, omit_empty_frames=not full)
    _, slide = open_slide(tmp_path / "house", [*levels, drawn])
    [label] = slide.labels()
    assert repr(label) == "<SlideLabel version 1 by north: tissue 1, tissue 2>"
    np.testing.assert_array_equal(read_all(label), numbers)
    np.testing.assert_array_equal(read_all(label, masks=True, labels=["tissue 2"])[0], numbers == 2)
    picture = read_picture(label, 1)
    for number, colour in ((1, COLOURS[0]), (2, COLOURS[1])):
        assert (picture[numbers == number] == (*colour, 128)).all()
    assert not picture[numbers == 0].any()
    # From afar, and with one of them switched off.
    small = read_picture(label, 4, [1])
    tall, wide = HEIGHT + -HEIGHT % 4, WIDTH + -WIDTH % 4
    there = np.pad(numbers == 1, ((0, tall - HEIGHT), (0, wide - WIDTH))).reshape(tall // 4, 4, wide // 4, 4)
    np.testing.assert_array_equal(small[..., 3] > 0, there.any(axis=(1, 3)))  # not even one pixel vanishes
    # The same place as the picture of the slide, to the last digit.
    region = {"x_um": 100.0, "y_um": 50.0, "width_um": 80.0, "height_um": 40.0, "size_px": 160}
    assert slide.read_region(**region)["x"].equals(label.read_region(**region)["x"])
    np.testing.assert_array_equal(label.read_region(**region), numbers[100:180, 200:360])


def test_the_whole_label_is_read_as_other_labels_are(tmp_path: Path) -> None:
    levels, numbers = make_slide(tmp_path), make_numbers()
    catalog, slide = open_slide(tmp_path / "house", [*levels, segment_slide(levels[0], numbers, "BINARY")])
    [version] = find_one(catalog, Modality="SM").segmentations
    whole = version.to_xarray()
    np.testing.assert_array_equal(whole, numbers)
    np.testing.assert_allclose(whole["x"], slide.to_xarray()["x"], rtol=1e-9)
    np.testing.assert_array_equal(version.masks(["tissue 2"])[0], numbers == 2)


def test_a_label_of_a_coarser_level_lies_on_the_same_place(tmp_path: Path) -> None:
    levels, numbers = make_slide(tmp_path), make_numbers(WIDTH // 2, HEIGHT // 2)
    _, slide = open_slide(tmp_path / "house", [*levels, segment_slide(levels[1], numbers, "BINARY")])
    [label] = slide.labels()
    np.testing.assert_array_equal(read_all(label), numbers.repeat(2, axis=0).repeat(2, axis=1))
    assert slide.view(label).layers[0]["place"] == pytest.approx([0, 0, WIDTH, HEIGHT])


def test_a_label_of_a_part_lies_where_the_glass_says(tmp_path: Path) -> None:
    levels = make_slide(tmp_path)
    part = deepcopy(levels[0])
    part.TotalPixelMatrixRows, part.TotalPixelMatrixColumns = 300, 400
    drawn = segment_slide(part, make_numbers(400, 300), "BINARY")
    origin = drawn.TotalPixelMatrixOriginSequence[0]
    # 100 pixels to the right and 40 down: Y points to the left, X up.
    origin.XOffsetInSlideCoordinateSystem = 20.0 - 40 * MPP_UM / 1000
    origin.YOffsetInSlideCoordinateSystem = 30.0 - 100 * MPP_UM / 1000
    _, slide = open_slide(tmp_path / "house", [*levels, drawn])
    [label] = slide.labels()
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[40:340, 100:500] = make_numbers(400, 300)
    np.testing.assert_array_equal(read_all(label), expected)


def test_a_turned_label_is_refused(tmp_path: Path) -> None:
    levels = make_slide(tmp_path)
    drawn = segment_slide(levels[0], make_numbers(), "BINARY")
    drawn.ImageOrientationSlide = [1, 0, 0, 0, 1, 0]
    catalog, slide = open_slide(tmp_path / "house", [*levels, drawn])
    with pytest.warns(UserWarning, match="A label is left out: This label is turned"):
        assert slide.labels() == []
    with pytest.raises(InvalidLabel, match="turned"):
        slide.view(find_one(catalog, Modality="SEG"))


def test_overlapping_segments_and_fractions_come_as_masks(tmp_path: Path) -> None:
    levels = make_slide(tmp_path)
    masks = np.zeros((HEIGHT, WIDTH, 2), np.float64)
    masks[100:300, 200:600, 0], masks[200:400, 400:900, 1] = 1, 1
    both = segment_slide(levels[0], masks.astype(np.uint8), "BINARY")
    shares = segment_slide(levels[0], masks * 0.5, "FRACTIONAL", max_fractional_value=200)
    _, slide = open_slide(tmp_path / "house", [*levels, both, shares])
    overlapping, fractions = sorted(slide.labels(), key=lambda label: read_all(label, masks=True).dtype.kind)
    for label in (overlapping, fractions):
        with pytest.raises(InvalidLabel, match="masks=True"):
            read_all(label)
    np.testing.assert_array_equal(read_all(overlapping, masks=True), np.moveaxis(masks, -1, 0))
    np.testing.assert_allclose(read_all(fractions, masks=True), np.moveaxis(masks, -1, 0) / 2, atol=1e-6)
    picture = read_picture(fractions, 1)
    assert tuple(picture[150, 300]) == (*COLOURS[0], 64)  # half of half
    assert picture[250, 500, 3] == 96  # one over the other: three quarters of half
    assert tuple(read_picture(overlapping, 1, [1])[250, 500]) == (*COLOURS[0], 128)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_compressed_tiles_are_read(tmp_path: Path, kind: str) -> None:
    levels, numbers = make_slide(tmp_path), make_numbers()
    syntax = ExplicitVRLittleEndian if kind == "BINARY" else RLELossless
    drawn = segment_slide(levels[0], numbers, kind, transfer_syntax_uid=syntax)
    if kind == "BINARY":  # highdicom does not compress single bits: a byte for each, in runs
        frames = [imagecodecs.packbits_encode(frame.tobytes()) for frame in drawn.pixel_array.astype(np.uint8)]
        coded = encapsulate([struct.pack("<16I", 1, 64, *[0] * 14) + frame for frame in frames])
        drawn.file_meta.TransferSyntaxUID = RLELossless
        drawn.PixelData = coded
        drawn["PixelData"].is_undefined_length = True
    _, slide = open_slide(tmp_path / "house", [*levels, drawn])
    np.testing.assert_array_equal(read_all(slide.labels()[0]), numbers)


SQUARE = [[100, 60], [200, 60], [200, 160], [100, 160]]
GROUPS = [
    ("nuclei", "POLYGON", [SQUARE, [[400, 300], [440, 300], [420, 340]]]),
    ("ducts", "ELLIPSE", [[[600, 400], [800, 400], [700, 350], [700, 450]]]),
    ("cells", "POINT", [[[1000, 100]], [[1100, 600]]]),
    ("front", "POLYLINE", [[[900, 500], [1200, 500]]]),
]


def on_glass(groups: Sequence[tuple[str, str, list[Any]]]) -> list[tuple[str, str, list[Any]]]:
    """Return shapes in millimetres on the glass."""

    def move(shape: list[list[float]]) -> list[list[float]]:
        return [[20.0 - y * MPP_UM / 1000, 30.0 - x * MPP_UM / 1000, 0.0] for x, y in shape]

    return [(label, kind, [move(shape) for shape in shapes]) for label, kind, shapes in groups]


@pytest.mark.parametrize("coordinates", ["2D", "3D"])
def test_annotations_are_shapes_in_micrometres(tmp_path: Path, coordinates: str) -> None:
    levels = make_slide(tmp_path)
    bulk = make_annotations(levels[0], coordinates, GROUPS if coordinates == "2D" else on_glass(GROUPS))
    catalog, slide = open_slide(tmp_path / "house", [*levels, bulk])
    annotations = find_one(catalog, Modality="ANN").open()
    assert isinstance(annotations, BulkAnnotations)
    assert [group.kind for group in annotations] == ["POLYGON", "ELLIPSE", "POINT", "POLYLINE"]
    nuclei = annotations.find("nuclei")
    np.testing.assert_allclose(nuclei.shapes_um[0], np.array(SQUARE) * MPP_UM, atol=1e-3)
    np.testing.assert_allclose(nuclei.centres_um[0], [75, 55], atol=1e-3)
    assert list(nuclei.measurements.columns) == ["Area (um)"]
    assert list(nuclei.measurements["Area (um)"]) == [0.5, 1.5]
    np.testing.assert_allclose(annotations[2].centres_um, [[500, 50], [550, 300]], atol=1e-3)
    ellipse = annotations[1].shapes_um[0] / MPP_UM
    np.testing.assert_allclose(((ellipse - [700, 400]) / [100, 50]) ** 2 @ [1, 1], 1, atol=1e-3)

    [label] = slide.labels()
    numbers = read_all(label).to_numpy()
    assert (numbers == 1).sum() == pytest.approx(100 * 100 + 40 * 40 / 2, rel=0.01)
    assert (numbers[60:160, 100:200] == 1).all()
    assert (numbers == 2).sum() == pytest.approx(np.pi * 100 * 50, rel=0.02)
    assert not ((numbers == 3) | (numbers == 4)).any()  # points and lines enclose nothing
    picture = read_picture(label, 1)
    assert tuple(picture[60, 150]) == (*COLOURS[0], 255)  # outlines
    assert not picture[100, 150].any()
    assert tuple(picture[500, 1000]) == (*COLOURS[3], 255)
    for by in (1, 8):
        assert tuple(read_picture(label, by)[600 // by, 1100 // by]) == (*COLOURS[2], 255)
    assert not read_picture(label, 1, [2, 3, 4])[60, 150].any()


def test_annotations_of_a_coarser_level_count_in_its_pixels(tmp_path: Path) -> None:
    levels = make_slide(tmp_path)
    catalog, _ = open_slide(tmp_path / "house", [*levels, make_annotations(levels[1], "2D", GROUPS)])
    [annotations] = [each.open() for each in catalog.search(Modality="ANN")]
    np.testing.assert_allclose(annotations[0].shapes_um[0], np.array(SQUARE) * MPP_UM * 2)


def test_a_million_annotations_are_drawn_from_afar(tmp_path: Path) -> None:
    levels = make_slide(tmp_path)
    x, y = np.meshgrid(np.arange(0, WIDTH, 8.0), np.arange(0, HEIGHT, 8.0))
    corners = np.stack([x.ravel(), y.ravel()], axis=1)[:, None] + [[0, 0], [2, 0], [1, 2]]
    bulk = make_annotations(levels[0], "2D", [("nuclei", "POLYGON", list(corners))])
    _, slide = open_slide(tmp_path / "house", [*levels, bulk])
    picture = read_picture(slide.labels()[0], 8)
    assert (picture[..., 3] == 255).all()  # one dot each


def test_annotations_that_cannot_be_placed_say_why(tmp_path: Path) -> None:
    levels = make_slide(tmp_path, placed=False)
    bulk = make_annotations(make_slide(tmp_path / "other")[0], "3D", on_glass(GROUPS))
    catalog, _ = open_slide(tmp_path / "house", [*levels, bulk])
    annotations = find_one(catalog, Modality="ANN").open()
    with pytest.raises(InvalidObject, match="how it lies on its glass"):
        annotations.groups  # noqa: B018
    alone = admit_objects(tmp_path / "alone", [make_annotations(make_slide(tmp_path / "third")[0], "2D", GROUPS)])
    opened = find_one(alone, Modality="ANN").open()
    assert repr(opened) == "<BulkAnnotations nuclei (2), ducts (1), cells (2), front (1)>"
    with pytest.raises(NotFound, match="not in your catalog"):
        opened.groups  # noqa: B018


def test_arrays_are_laid_by_their_coordinates(tmp_path: Path) -> None:
    _, slide = open_slide(tmp_path / "house", make_slide(tmp_path))
    finest = slide.to_xarray(1)
    numbers = make_numbers(WIDTH // 2, HEIGHT // 2)
    part = xr.DataArray(numbers, {axis: finest[axis] for axis in "yx"}, ("y", "x")).isel(x=slice(50, 400))
    viewer = slide.view([part.assign_attrs(labels=["tumour", "stroma"]), part / 2.0])
    assert [each["place"] for each in viewer.layers] == [pytest.approx([100, 0, 700, 700])] * 2
    assert [mark["label"] for mark in viewer.layers[0]["marks"]] == ["tumour", "stroma"]
    label = viewer._labels[0]
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[:, 100:800] = numbers[:, 50:400].repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(read_all(label), expected)
    whole = slide.view(xr.DataArray(numbers, dims=("y", "x")))  # no coordinates: the whole slide
    assert whole.layers[0]["place"] == pytest.approx([0, 0, WIDTH, HEIGHT])


def test_what_is_no_label_of_this_slide_is_refused(tmp_path: Path) -> None:
    _catalog, slide = open_slide(tmp_path / "house", make_slide(tmp_path))
    for wrong in ("label", xr.DataArray(np.zeros((3, 90), np.uint8), dims=("y", "x")), xr.DataArray(1)):
        with pytest.raises(InvalidLabel):
            slide.view(wrong)
    with pytest.raises(InvalidRequest, match="opacity"):
        slide.view(opacity=2)
    numbers = xr.DataArray(make_numbers(), dims=("y", "x"))
    label = slide.view(numbers)._labels[0]
    with pytest.raises(NotFound, match="no such tile"):
        draw_tile(label, 99, 0, 0, {1})
    with pytest.raises(InvalidLabel, match="there are: segment 1, segment 2"):
        label.read_region(0, 0, 10, 10, labels=["tumour"])


def test_a_series_of_labels_is_shown_over_its_slide(tmp_path: Path) -> None:
    levels = make_slide(tmp_path)
    objects = [segment_slide(levels[0], make_numbers(), "BINARY"), make_annotations(levels[0], "2D", GROUPS)]
    catalog, slide = open_slide(tmp_path / "house", [*levels, *objects])
    uid = slide.record.SeriesInstanceUID
    for modality, marks in (("SEG", 2), ("ANN", 4)):
        viewer = find_one(catalog, Modality=modality).view()
        assert viewer._uid == uid
        assert len(viewer.layers[0]["marks"]) == marks
    both = find_one(catalog, Modality="SM").view(list(catalog.search(Modality=["SEG", "ANN"])))
    assert len(both.layers) == 2


def test_labels_of_a_slide_file_lie_on_the_levels_that_viewers_know(tmp_path: Path) -> None:
    settings = CatalogSettings(home=tmp_path / "house", database_url="")
    write_mirax(tmp_path / "m.mrxs")
    store = LocalStore(settings, STEWARD)
    record = store.get_series(add_slide(settings, tmp_path / "m.mrxs"))
    levels = list_level_datasets(store, record)
    height, width = levels[1].TotalPixelMatrixRows, levels[1].TotalPixelMatrixColumns
    numbers = make_numbers(width, height)
    bulk = make_annotations(levels[1], "2D", [("gland", "POLYGON", [[[10, 10], [30, 10], [30, 25]]])])
    catalog = admit_objects(settings.home, [segment_slide(levels[1], numbers, "BINARY"), bulk])
    slide = catalog.series(record.SeriesInstanceUID).slide()
    drawn, outlined = slide.labels()
    whole = (0, 0, *slide.size_um, (width, height))
    np.testing.assert_array_equal(drawn.read_region(*whole), numbers)
    filled = outlined.read_region(*whole).to_numpy()
    assert filled[13, 28] == 1
    assert filled.sum() == pytest.approx(150, abs=15)
