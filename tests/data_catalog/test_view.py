"""What the viewer is sent: the right voxels at the right place, small, and colours that show."""

from __future__ import annotations

import gzip
import warnings

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from aurelius_catalog import nifti, view
from aurelius_catalog.errors import InvalidLabel, InvalidVolume
from aurelius_catalog.model import Segment
from aurelius_catalog.overlays import Overlay
from aurelius_catalog.phantoms import make_phantom
from aurelius_catalog.windows import PRESETS, choose_window

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
    sent = decode(view.view_volume(marked_volume(), AFFINE_LPS).volumes[0].data)
    assert sent.get_data_dtype() == np.int16
    index = np.unravel_index(sent.get_fdata().argmax(), sent.shape)
    assert index == (17, 3, 4)
    x, y, z = (AFFINE_LPS @ [17, 3, 4, 1])[:3]
    assert np.allclose((sent.affine @ [*index, 1])[:3], [-x, -y, z], atol=1e-4)
    assert nib.aff2axcodes(sent.affine) == ("L", "P", "S")


def test_hounsfield_units_are_exact_and_fractions_keep_their_steps() -> None:
    image = make_phantom("ct-chest", 1).image
    sent = decode(nifti.encode_nifti(image.astype(np.float32), AFFINE_LPS))
    assert np.array_equal(sent.get_fdata(), image.transpose(2, 1, 0))
    fractions = np.linspace(0, 1, 4000, dtype=np.float32).reshape(10, 20, 20)
    back = decode(nifti.encode_nifti(fractions, AFFINE_LPS)).get_fdata()
    assert np.abs(back - fractions.transpose(2, 1, 0)).max() < 1e-4


def test_overlay_has_the_segments_colours_and_its_voxels() -> None:
    truth = make_phantom("ct-chest", 1).truth
    segments = (Segment(number=1, label="nodule"), Segment(number=2, label="lung"))
    widget = view.view_volume(np.zeros(truth.shape, np.float32), AFFINE_LPS, [Overlay(truth, segments=segments)])
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
    x, y, z = view.view_volume(marked_volume(), AFFINE_LPS, [mark(labels)]).scene.crosshair_pos
    # Columns run to the left and rows to the back; NiiVue counts from the left and from the back.
    assert (x, y, z) == pytest.approx((1 - 17.5 / 24, 1 - 3.5 / 20, 4.5 / 6))


def test_view_opens_at_the_finding_whatever_the_orientation() -> None:
    finding = np.zeros((10, 20, 40), np.uint8)
    finding[2, 5, 30] = 1
    finding[7, 4:7, 29:32] = 1
    axial = np.diag([1.0, 1.0, 2.0, 1.0])  # +column to the left, +row to the back, +slice to the head
    found = view.locate_finding(mark(finding), finding.shape, axial)
    assert found == pytest.approx([1 - 30.5 / 40, 1 - 5.5 / 20, 7.5 / 10])
    sagittal = np.array([[0, 0, 2.0, 0], [1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1]])
    found = view.locate_finding(mark(finding), finding.shape, sagittal)
    assert found == pytest.approx([1 - 7.5 / 10, 1 - 30.5 / 40, 1 - 5.5 / 20])


def test_large_volume_is_reduced_in_place_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nifti, "MOST_VOXELS", 1500)
    truth = np.zeros((6, 20, 24), np.uint8)
    truth[4, 3, 17] = 1
    with pytest.warns(UserWarning, match=r"Shown reduced: .* 1 × \d × \d"):
        widget = view.view_volume(marked_volume(), AFFINE_LPS, [mark(truth)])
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
        widget = view.view_volume(marked_volume(), AFFINE_LPS)
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
        view.view_volume(np.zeros((2, 4, 4, 3), np.float32), AFFINE_LPS)
    with pytest.raises(InvalidLabel, match="not the same grid"):
        view.view_volume(marked_volume(), AFFINE_LPS, [mark(np.zeros((6, 20, 20), np.uint8))])
