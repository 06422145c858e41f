from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from aurelius_annotation.server.label_grid import fit_to_grid, name_segments
from aurelius_annotation.server.uploaded_label import UploadedLabel
from aurelius_catalog.errors import InvalidLabel

SHAPE = (6, 5, 4)
COS, SIN = np.cos(0.3), np.sin(0.3)
#: An oblique image: turned about z, anisotropic.
AFFINE = np.array([[2 * COS, -3 * SIN, 0, -11], [2 * SIN, 3 * COS, 0, 7], [0, 0, 4, 5], [0, 0, 0, 1]])
VALUES = np.random.default_rng(3).integers(0, 4, SHAPE).astype(np.uint8)


def rearrange(axes: tuple[int, ...], flips: tuple[bool, ...]) -> UploadedLabel:
    """Return the same label in the same place, its voxels stored in another order."""
    index = np.eye(4)  # new index to old index
    index[:3, :3] = np.eye(3)[:, list(axes)]
    values = VALUES.transpose(axes)
    for axis, flip in enumerate(flips):
        if flip:
            values = np.flip(values, axis)
            turn = np.eye(4)
            turn[axis, axis], turn[axis, 3] = -1, values.shape[axis] - 1
            index = index @ turn
    return UploadedLabel(values, AFFINE @ index, {})


@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product((False, True), repeat=3)))
def test_any_order_of_the_voxels_lands_in_the_same_place(axes: tuple[int, ...], flips: tuple[bool, ...]) -> None:
    fitted = fit_to_grid(rearrange(axes, flips), SHAPE, AFFINE)
    np.testing.assert_array_equal(fitted, VALUES.transpose(2, 1, 0))


def shift(mm: float) -> np.ndarray:
    moved = AFFINE.copy()
    moved[0, 3] += mm
    return moved


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (UploadedLabel(VALUES, shift(1.0), {}), "beside the image"),
        (UploadedLabel(VALUES[1:], AFFINE, {}), "5 × 5 × 4 voxels, the image 6 × 5 × 4"),
        (UploadedLabel(VALUES, AFFINE @ np.diag([2, 1, 1, 1]), {}), "another size or direction"),
        (UploadedLabel(VALUES, np.diag([2.0, 3, 4, 1]), {}), "another size or direction|beside"),
        (UploadedLabel(VALUES, np.zeros((4, 4)), {}), "another size or direction"),
        (UploadedLabel(VALUES, np.full((4, 4), np.nan), {}), "where it lies"),
    ],
)
def test_a_label_of_another_grid_is_refused_with_the_reason(label: UploadedLabel, reason: str) -> None:
    with pytest.raises(InvalidLabel, match=reason):
        fit_to_grid(label, SHAPE, AFFINE)


def name(values: list[int], info: list[dict[str, object]]) -> dict[int, str]:
    return {value: segment.label for value, segment in name_segments(values, info, {}, ["nodule"]).items()}


def test_positions_count_where_a_background_segment_shifted_the_index() -> None:
    # Slicer with a "background" segment first: idx is one too high, voxel values are not.
    assert name([1, 2], [{"name": "liver", "idx": 2}, {"name": "tumor", "idx": 3}]) == {1: "liver", 2: "tumor"}


def test_the_index_counts_where_it_fits() -> None:
    assert name([1, 2], [{"name": "b", "idx": 2}, {"name": "a", "idx": 1}]) == {1: "a", 2: "b"}
    assert name([3, 5], [{"name": "a", "idx": 3}, {"name": "b", "idx": 5}]) == {3: "a", 5: "b"}


def test_a_segment_without_voxels_keeps_its_name() -> None:
    assert name([], [{"name": "nodule", "idx": 1}]) == {1: "nodule"}


def test_segments_are_numbered_without_gaps() -> None:
    segments = name_segments([3, 5], [{"name": "a", "idx": 3}, {"name": "b", "idx": 5}], {}, [])
    assert [segment.number for segment in segments.values()] == [1, 2]


def test_values_without_a_name_are_refused() -> None:
    with pytest.raises(InvalidLabel, match=r"\[7\]"):
        name([7], [{"name": "a", "idx": 1}])


def test_the_names_in_the_file_win() -> None:
    assert name_segments([2], [{"name": "x", "idx": 2}], {2: "cyst"}, [])[2].label == "cyst"
