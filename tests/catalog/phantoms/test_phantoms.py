"""Phantoms: the same everywhere, and the findings are where the truth says."""

from __future__ import annotations

import hashlib
from typing import get_args

import numpy as np
import pytest
from scipy import ndimage

from aurelius_catalog.phantoms.bodies import SHAPES, SPACINGS_MM, PhantomKind, make_phantom


@pytest.mark.parametrize("kind", get_args(PhantomKind))
@pytest.mark.parametrize("seed", range(6))
def test_findings_have_the_promised_size_and_signal(kind: PhantomKind, seed: int) -> None:
    phantom = make_phantom(kind, seed)
    assert phantom.image.shape == phantom.truth.shape == SHAPES[kind]
    assert (phantom.image.dtype, phantom.truth.dtype) == (np.int16, np.uint8)
    assert phantom.spacing_mm == SPACINGS_MM[kind]

    labels, count = ndimage.label(phantom.truth)
    assert 1 <= count <= (3 if kind == "ct-chest" else 2)
    for number in range(1, count + 1):
        volume_mm3 = (labels == number).sum() * np.prod(phantom.spacing_mm)
        assert 5 <= (6 * volume_mm3 / np.pi) ** (1 / 3) <= 25
    core = ndimage.binary_erosion(phantom.truth)
    if core.any():
        expected, tolerance = (40, 60) if kind == "ct-chest" else (780, 110)
        assert abs(phantom.image[core].mean() - expected) < tolerance


def test_nodules_lie_in_the_lungs() -> None:
    phantom = make_phantom("ct-chest", 3)
    around = ndimage.binary_dilation(phantom.truth, iterations=3) & ~ndimage.binary_dilation(phantom.truth)
    assert np.median(phantom.image[around]) < -700


def test_the_same_seed_gives_the_same_voxels_and_another_seed_others() -> None:
    # A fixed digest, because the annotation environment has another numpy and must train on the same voxels.
    voxels = make_phantom("ct-chest", 1).image.astype("<i2").tobytes()
    assert hashlib.sha256(voxels).hexdigest()[:16] == "8d43c96917458e9a"
    assert voxels != make_phantom("ct-chest", 2).image.astype("<i2").tobytes()


def test_an_unknown_kind_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match="ct-chest, mr-brain"):
        make_phantom("cat", 1)  # type: ignore[arg-type]
