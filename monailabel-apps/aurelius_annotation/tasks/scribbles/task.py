"""Segmentation from a few strokes by graph cut: no weights needed, works on any organ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monai.transforms import (
    EnsureChannelFirstd,
    LoadImaged,
    ScaleIntensityRanged,
    ScaleIntensityRangePercentilesd,
    Spacingd,
)
from monailabel.scribbles.infer import HistogramBasedGraphCut
from monailabel.scribbles.transforms import AddBackgroundScribblesFromROId, ApplyGraphCutOptimisationd, MakeISegUnaryd
from monailabel.transform.post import BoundingBoxd

from aurelius_annotation.tasks.image_grid import ToImageGridd

SPACING_MM = (2.5, 2.5, 2.5)
WINDOW_HU = (-300.0, 200.0)


class ScribblesTask(HistogramBasedGraphCut):
    """MONAI Label's histogram and graph cut, with three repairs.

    The region of interest comes unsorted from Slicer for images stored in LPS, where MONAI Label then marks
    everything as background; the fixed CT window says nothing about an MR image; and the result goes back to the
    image's grid by its affine.
    """

    def pre_transforms(self, data: dict[str, Any]) -> Sequence[Callable[..., Any]]:
        """Load image and strokes, sort the region of interest, and scale by modality."""
        low, high = WINDOW_HU
        window = ScaleIntensityRanged(keys="image", a_min=low, a_max=high, b_min=0.0, b_max=1.0, clip=True)
        percentiles = ScaleIntensityRangePercentilesd(
            keys="image", lower=0.5, upper=99.5, b_min=0.0, b_max=1.0, clip=True
        )
        return [
            LoadImaged(keys=["image", "label"], reader="ITKReader"),
            EnsureChannelFirstd(keys=["image", "label"]),
            sort_region,
            AddBackgroundScribblesFromROId(scribbles="label"),
            Spacingd(keys=["image", "label"], pixdim=SPACING_MM, mode=["bilinear", "nearest"], padding_mode="border"),
            window if data.get("modality") == "CT" else percentiles,
        ]

    def post_transforms(self, data: Mapping[str, Any]) -> Sequence[Callable[..., Any]]:
        """Cut the graph and return to the image's grid."""
        return [
            MakeISegUnaryd(image="image", logits="prob", scribbles="label", unary="unary"),
            ApplyGraphCutOptimisationd(
                unary="unary", pairwise="image", post_proc_label="pred", lamda=self.lamda, sigma=self.sigma
            ),
            ToImageGridd(keys="pred", mode="nearest"),
            BoundingBoxd(keys="pred", result="result", bbox="bbox"),
            _drop_channel,
        ]


def sort_region(data: dict[str, Any]) -> dict[str, Any]:
    """Order each pair of the region of interest and clip it to the image; voxel indices (i0, i1, j0, j1, k0, k1)."""
    roi = data.get("roi")
    if roi:
        shape = data["image"].shape[1:]
        pairs = [sorted(roi[2 * axis : 2 * axis + 2]) for axis in range(3)]
        clipped = [(min(max(low, 0), n), min(max(high, 0), n)) for (low, high), n in zip(pairs, shape, strict=True)]
        data["roi"] = [int(value) for pair in clipped for value in pair]
    return data


def _drop_channel(data: dict[str, Any]) -> dict[str, Any]:
    data["pred"] = data["pred"][0]
    return data
