"""What the viewer is sent: the right voxels at the right place, small, and colours that show."""

from __future__ import annotations

import gzip
import warnings
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread

from aurelius_catalog import Catalog, Person, Series
from aurelius_catalog.dicom.segments import COLOURS
from aurelius_catalog.errors import InvalidLabel, InvalidRequest, InvalidVolume
from aurelius_catalog.phantoms.bodies import make_phantom
from aurelius_catalog.records import Segment
from aurelius_catalog.viewing import nifti_encoding, volume_viewer
from aurelius_catalog.viewing.display import show_image
from aurelius_catalog.viewing.overlays import Overlay
from aurelius_catalog.viewing.picture_viewer import PictureViewer
from aurelius_catalog.viewing.windows import PRESETS, choose_window
from support.cohort import Cohort, make_cohort
from support.objects_house import admit_objects, find_one

#: An oblique grid: 0.7 x 0.9 mm pixels, 3 mm slices, turned about the head's axis.
TURN = np.deg2rad(20)
AFFINE_LPS = np.array(
    [
        [0.7 * np.cos(TURN), -0.9 * np.sin(TURN), 0, -80],
        [0.7 * np.sin(TURN), 0.9 * np.cos(TURN), 0, -95],
        [0, 0, 3, 40],
        [0, 0, 0, 1],
    ]
)


def decode(data: bytes) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(data))


def mark(labels: NDArray[np.uint8]) -> Overlay:
    return Overlay(labels, segments=(Segment(number=1, label="finding"),))


def marked_volume() -> NDArray[np.float32]:
    volume = np.full((6, 20, 24), -1000, np.float32)
    volume[4, 3, 17] = 1234
    return volume


def test_each_voxel_lies_where_dicom_says() -> None:
    sent = decode(volume_viewer.view_volume(marked_volume(), AFFINE_LPS).volumes[0].data)
    assert sent.get_data_dtype() == np.int16
    index = np.unravel_index(sent.get_fdata().argmax(), sent.shape)
    assert index == (17, 3, 4)
    x, y, z = (AFFINE_LPS @ [17, 3, 4, 1])[:3]
    assert np.allclose((sent.affine @ [*index, 1])[:3], [-x, -y, z], atol=1e-4)
    assert nib.aff2axcodes(sent.affine) == ("L", "P", "S")


def test_hounsfield_units_are_exact_and_fractions_keep_their_steps() -> None:
    image = make_phantom("ct-chest", 1).image
    sent = decode(nifti_encoding.encode_nifti(image.astype(np.float32), AFFINE_LPS))
    assert np.array_equal(sent.get_fdata(), image.transpose(2, 1, 0))
    fractions = np.linspace(0, 1, 4000, dtype=np.float32).reshape(10, 20, 20)
    back = decode(nifti_encoding.encode_nifti(fractions, AFFINE_LPS)).get_fdata()
    assert np.abs(back - fractions.transpose(2, 1, 0)).max() < 1e-4


def test_overlay_has_the_segments_colours_and_its_voxels() -> None:
    truth = make_phantom("ct-chest", 1).truth
    segments = (Segment(number=1, label="nodule"), Segment(number=2, label="lung"))
    widget = volume_viewer.view_volume(
        np.zeros(truth.shape, np.float32), AFFINE_LPS, [Overlay(truth, segments=segments)]
    )
    overlay = widget.volumes[1]
    assert np.array_equal(decode(overlay.data).get_fdata(), truth.transpose(2, 1, 0))
    assert 0 < overlay.opacity < 1
    table = np.array(overlay.colormap_label.lut).reshape(-1, 4)
    assert table[0, 3] == 0
    assert (table[1:3, 3] == 255).all()
    assert tuple(table[1, :3]) != tuple(table[2, :3])
    assert overlay.colormap_label.labels[1] == "nodule"


def test_view_opens_at_the_finding() -> None:
    labels = np.zeros((6, 20, 24), np.uint8)
    labels[4, 2:5, 16:19] = 1
    labels[1, 10, 10] = 1
    x, y, z = volume_viewer.view_volume(marked_volume(), AFFINE_LPS, [mark(labels)]).scene.crosshair_pos
    # Columns run to the left and rows to the back; NiiVue counts from the left and from the back.
    assert (x, y, z) == pytest.approx((1 - 17.5 / 24, 1 - 3.5 / 20, 4.5 / 6))


def test_view_opens_at_the_finding_whatever_the_orientation() -> None:
    finding = np.zeros((10, 20, 40), np.uint8)
    finding[2, 5, 30] = 1
    finding[7, 4:7, 29:32] = 1
    axial = np.diag([1.0, 1.0, 2.0, 1.0])  # +column to the left, +row to the back, +slice to the head
    found = volume_viewer.locate_finding(mark(finding), finding.shape, axial)
    assert found == pytest.approx([1 - 30.5 / 40, 1 - 5.5 / 20, 7.5 / 10])
    sagittal = np.array([[0, 0, 2.0, 0], [1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1]])
    found = volume_viewer.locate_finding(mark(finding), finding.shape, sagittal)
    assert found == pytest.approx([1 - 7.5 / 10, 1 - 30.5 / 40, 1 - 5.5 / 20])


def test_large_volume_is_reduced_in_place_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nifti_encoding, "MOST_VOXELS", 1500)
    truth = np.zeros((6, 20, 24), np.uint8)
    truth[4, 3, 17] = 1
    with pytest.warns(UserWarning, match=r"Shown reduced: .* 1 × \d × \d"):
        widget = volume_viewer.view_volume(marked_volume(), AFFINE_LPS, [mark(truth)])
    sent, label = (decode(volume.data) for volume in widget.volumes)
    assert sent.shape == label.shape
    assert np.prod(sent.shape) <= 1500
    assert label.get_fdata().sum() == 1
    index = np.unravel_index(label.get_fdata().argmax(), label.shape)
    x, y, z = (AFFINE_LPS @ [17, 3, 4, 1])[:3]
    block_mm = np.linalg.norm(label.affine[:3, :3], axis=0)
    assert np.abs((label.affine @ [*index, 1])[:3] - [-x, -y, z]).max() <= block_mm.max()


def test_small_volume_is_sent_whole_and_silently() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        widget = volume_viewer.view_volume(marked_volume(), AFFINE_LPS)
    assert decode(widget.volumes[0].data).shape == (24, 20, 6)


def test_windows_fit_the_modality() -> None:
    assert choose_window(make_phantom("ct-chest", 1).image.astype(np.float32)) == PRESETS["lung"]
    abdomen = np.full((10, 40, 40), -1000, np.float32)
    abdomen[:, 10:30, 10:30] = 50
    assert choose_window(abdomen) == PRESETS["soft tissue"]
    brain = make_phantom("mr-brain", 1).image.astype(np.float32)
    low, high = choose_window(brain)
    assert 0 <= low < np.median(brain[brain > 0]) < high <= brain.max()
    assert choose_window(np.zeros((2, 2, 2), np.float32)) == (0, 1)


def test_what_cannot_be_shown_is_refused() -> None:
    with pytest.raises(InvalidVolume, match="shape"):
        volume_viewer.view_volume(np.zeros((2, 4, 4, 3), np.float32), AFFINE_LPS)
    with pytest.raises(InvalidLabel, match="not the same grid"):
        volume_viewer.view_volume(marked_volume(), AFFINE_LPS, [mark(np.zeros((6, 20, 20), np.uint8))])


# -- what a series is shown as ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_cohort(tmp_path_factory.mktemp("house"))


@pytest.fixture
def chest(cohort: Cohort) -> Series:
    return Catalog(cohort.open_as(Person.of("anton", ["role-annotator", "project-lung"]))).series(cohort.north_chest)


def open_picture(film: PictureViewer) -> NDArray[np.uint8]:
    return np.array(Image.open(BytesIO(film.picture.value)))


def test_windows_go_by_name_or_by_range(chest: Series) -> None:
    volume = chest.view(window="bone").volumes[0]
    assert (volume.cal_min, volume.cal_max) == PRESETS["bone"]
    volume = chest.view(window=(-5, 7)).volumes[0]
    assert (volume.cal_min, volume.cal_max) == (-5, 7)
    with pytest.raises(InvalidRequest, match="there are bone, brain"):
        chest.view(window="bones")
    with pytest.raises(InvalidRequest, match="shows nothing"):
        chest.view(window=(3, 3))


def test_windows_in_hounsfield_units_are_for_ct_only(cohort: Cohort) -> None:
    store = cohort.open_as(Person.of("stella", ["role-steward"]))
    with pytest.raises(InvalidRequest, match="in Hounsfield units"):
        Catalog(store).series(cohort.north_brain).view(window="brain")


def test_several_overlays_lie_over_the_images_in_their_colours(chest: Series) -> None:
    image = chest.to_xarray()
    drawn = np.zeros(image.shape, np.uint8)
    drawn[4:6, 40:60, 40:60] = 1
    drawn[4:6, 70:80, 40:60] = 2
    chest.add_annotation(drawn, ["nodule", "lung"])
    heat = xr.DataArray(drawn.astype(np.float32) * 0.5, name="risk", attrs={})
    masks = xr.DataArray(
        np.stack([drawn == 1, drawn > 0]), {"label": ("segment", ["a", "b"]), "segment": [1, 2]}, ("segment", *"zyx")
    )
    widget = chest.view([chest.segmentations[-1], heat, masks], opacity=0.3)
    assert [volume.name for volume in widget.volumes] == [
        "volume.nii.gz",
        "label.nii.gz",
        "risk.nii.gz",
        "label.nii.gz",
        "label.nii.gz",  # the second mask covers the first, so each has a layer
    ]
    assert {volume.opacity for volume in widget.volumes[1:]} == {0.3}
    table = np.array(widget.volumes[1].colormap_label.lut).reshape(-1, 4)
    assert np.abs(table[1:3, :3].astype(int) - np.array([COLOURS[0], COLOURS[1]])).max() <= 2
    np.testing.assert_array_equal(decode(widget.volumes[1].data).get_fdata(), drawn.transpose(2, 1, 0))
    with pytest.raises(InvalidRequest, match="between 0 and 1"):
        chest.view(opacity=2)
    with pytest.raises(InvalidLabel, match="str cannot be laid"):
        chest.view("nodule")


def test_overlays_keep_their_own_grid(chest: Series) -> None:
    affine = np.array(chest.to_xarray().attrs["affine_lps"]) @ np.diag([4, 4, 2, 1])
    dose = xr.DataArray(np.ones((3, 16, 16), np.float32), dims=("z", "y", "x"), attrs={"affine_lps": affine.tolist()})
    sent = decode(chest.view(dose).volumes[1].data)
    np.testing.assert_allclose(sent.affine, np.diag([-1, -1, 1, 1]) @ affine, atol=1e-4)


def test_of_several_volumes_the_first_is_shown_and_said(chest: Series) -> None:
    image = chest.to_xarray()
    film = xr.concat([image, image + 1], dim="t").assign_attrs(image.attrs)
    with pytest.warns(UserWarning, match=r"the first volume along t \(there are 2\)"):
        widget = show_image(film)
    np.testing.assert_array_equal(decode(widget.volumes[0].data).get_fdata(), image.to_numpy().transpose(2, 1, 0))


def test_a_film_runs_at_its_own_speed_and_reads_what_it_shows() -> None:
    frames = np.zeros((5, 20, 30), np.uint8)
    frames[3, 4, 6] = 200
    image = xr.DataArray(frames, {"t": np.arange(5) * 0.1}, ("t", "y", "x"))
    film = show_image(image, window=(0, 200))
    assert film.children[1].children[0].interval == 100  # milliseconds
    assert open_picture(film).max() == 0
    film.slider.value = 3
    assert tuple(open_picture(film)[4, 6]) == (255, 255, 255)
    assert film.caption.value == "4 of 5 · t = 0.30 s"


def test_colour_and_inverted_grey_are_shown_as_they_are() -> None:
    colour = np.zeros((2, 20, 30, 3), np.uint8)
    colour[1, 4, 6] = (255, 128, 0)
    film = show_image(xr.DataArray(colour, dims=("frame", "y", "x", "c")))
    film.slider.value = 1
    assert tuple(open_picture(film)[4, 6]) == (255, 128, 0)
    grey = xr.DataArray(
        np.arange(6.0).reshape(2, 3), dims=("y", "x"), attrs={"PhotometricInterpretation": "MONOCHROME1"}
    )
    shown = open_picture(show_image(grey, window=(0, 5)))
    assert (shown[0, 0] == 255).all()
    assert (shown[1, 2] == 0).all()


def test_pixels_that_are_not_square_and_pictures_that_are_large() -> None:
    image = xr.DataArray(np.zeros((100, 100)), {"y": np.arange(100) * 2.0, "x": np.arange(100) * 1.0}, ("y", "x"))
    assert open_picture(show_image(image)).shape == (200, 100, 3)
    with pytest.warns(UserWarning, match="reduced to 50%"):
        assert open_picture(show_image(xr.DataArray(np.zeros((2048, 1024)), dims=("y", "x")))).shape == (1024, 512, 3)


def test_labels_lie_over_pictures_too() -> None:
    image = xr.DataArray(np.zeros((2, 4, 4), np.float32), dims=("frame", "y", "x"))
    labels = np.zeros((2, 4, 4), np.uint8)
    labels[0, 1, 2] = 1
    film = show_image(image, [mark(labels)], window=(0, 1), opacity=0.5)
    assert tuple(open_picture(film)[1, 2]) == tuple(value // 2 for value in COLOURS[0])
    with pytest.raises(InvalidLabel, match="shape"):
        show_image(image, [mark(labels[:, :2])])


def test_a_segmentation_is_shown_over_its_images(data: Path, tmp_path: Path) -> None:
    folder = data / "seg-sr"
    sources = [dcmread(path) for path in sorted(folder.glob("segmentations_24x38x3_image_*"))]
    for source in sources:
        source.PixelData = bytes([7, 0]) * (len(source.PixelData) // 2)  # black as they come
    catalog = admit_objects(tmp_path / "with", [*sources, dcmread(folder / "segmentations_24x38x3_seg_label.seg")])
    widget = find_one(catalog, Modality="SEG").view()
    assert [volume.name for volume in widget.volumes] == ["volume.nii.gz", "label.nii.gz"]
    assert decode(widget.volumes[0].data).get_fdata().min() > 0
    alone = admit_objects(tmp_path / "alone", [dcmread(folder / "segmentations_24x38x3_seg_label.seg")])
    widget = find_one(alone).view()
    assert decode(widget.volumes[0].data).get_fdata().max() == 0
    assert decode(widget.volumes[1].data).get_fdata().sum() == 315
