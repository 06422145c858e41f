"""Automatic segmentation of lung nodules: the task MONAI Label runs, with its measure of certainty."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.inferers import Inferer, SlidingWindowInferer
from monai.transforms import Activationsd, EnsureChannelFirstd, LoadImaged, Orientationd, ScaleIntensityRanged, Spacingd
from monailabel.interfaces.tasks.infer_v2 import InferType
from monailabel.tasks.infer.basic_infer import BasicInferTask
from numpy.typing import NDArray
from scipy import ndimage

from aurelius_annotation.tasks.image_grid import ToImageGridd
from aurelius_annotation.tasks.nodule.network import (
    FIELD,
    SPACING_MM,
    STRIDE,
    WINDOW_HU,
    ModelCard,
    build_network,
    read_card,
)

#: Smaller findings are noise: the smallest nodule the network was shown has 8 mm, about 200 mm³.
SMALLEST_MM3 = 100.0


class NoduleTask(BasicInferTask):
    """Segment nodules in a chest CT with the network trained by ``radiology/train.py``.

    Parameters
    ----------
    weights
        The file that ``train.py`` wrote.

    Raises
    ------
    ValueError
        If the file holds other weights than its card says.
    """

    def __init__(self, weights: Path) -> None:
        self.card: ModelCard = read_card(weights)
        super().__init__(
            path=str(weights),
            network=build_network(),
            type=InferType.SEGMENTATION,
            labels=self.card.labels,
            dimension=3,
            description=f"Lung nodules in chest CT (Dice {self.card.dice:.2f} on generated chests)",
            preload=True,  # the first person to ask must not wait for the weights
        )

    def pre_transforms(self, data: Mapping[str, Any] | None = None) -> Sequence[Callable[..., Any]]:
        """Bring the image to the grid and the range the network was trained on."""
        low, high = WINDOW_HU
        return [
            LoadImaged(keys="image", reader="ITKReader"),
            EnsureChannelFirstd(keys="image"),
            Orientationd(keys="image", axcodes="LPS", labels=None),
            Spacingd(keys="image", pixdim=SPACING_MM, mode="bilinear", padding_mode="border", align_corners=True),
            ScaleIntensityRanged(keys="image", a_min=low, a_max=high, b_min=0.0, b_max=1.0, clip=True),
        ]

    def inferer(self, data: Mapping[str, Any] | None = None) -> Inferer:
        """See the volume in fields of the size known from training, thin stacks with as little fill as can be."""
        shape = FIELD if data is None else data["image"].shape[1:]
        field = [min(whole, -(-size // STRIDE) * STRIDE) for whole, size in zip(FIELD, shape, strict=True)]
        return SlidingWindowInferer(roi_size=field, overlap=0.25, mode="gaussian", padding_mode="replicate")

    def post_transforms(self, data: Mapping[str, Any] | None = None) -> Sequence[Callable[..., Any]]:
        """Return to the image's grid as probabilities, and only there decide voxel by voxel."""
        return [Activationsd(keys="pred", softmax=True), ToImageGridd(keys="pred", mode="bilinear"), self._decide]

    def _decide(self, data: dict[str, Any]) -> dict[str, Any]:
        probability = data["pred"].numpy()[1]
        affine = data["pred"].affine.numpy()
        spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
        labels, finding = describe_findings(probability, float(np.prod(spacing_mm)))
        data["pred"] = data["pred"][0]
        data["pred"].copy_(data["pred"].new_tensor(labels))
        finding["model"] = self.card.name
        finding["model_hash"] = self.card.hash
        data["result"] = {"finding": finding}
        return data


def describe_findings(probability: NDArray[np.float32], voxel_mm3: float) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Turn probabilities into a label map, and measure the findings and their certainty.

    Parameters
    ----------
    probability
        (x, y, z) float32, probability that a voxel is nodule.
    voxel_mm3
        Volume of a voxel in mm³.

    Returns
    -------
    tuple
        The label map (x, y, z) uint8 (1 = nodule), and ``count``, ``largest_mm`` (diameter of the sphere of the
        same volume), ``volume_mm3``, ``confidence`` (mean probability over the finding; without one, of there being
        none at the most suspicious voxel) and ``uncertainty`` (binary entropy, 0..1, averaged over the finding and
        the two voxels around it).
    """
    parts, count = ndimage.label(probability > 0.5)
    sizes_mm3 = np.bincount(parts.ravel(), minlength=count + 1) * voxel_mm3
    kept = [number for number in range(1, count + 1) if sizes_mm3[number] >= SMALLEST_MM3]
    labels = np.isin(parts, kept).astype(np.uint8)
    p = np.clip(probability.astype(np.float64), 1e-6, 1 - 1e-6)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    if kept:
        around = ndimage.binary_dilation(labels, iterations=2)
        confidence, uncertainty = p[labels == 1].mean(), entropy[around].mean()
    else:
        confidence, uncertainty = 1 - p.max(), entropy.flat[int(p.argmax())]
    largest_mm3 = max((float(sizes_mm3[number]) for number in kept), default=0.0)
    return labels, {
        "count": len(kept),
        "largest_mm": round(float((6 * largest_mm3 / np.pi) ** (1 / 3)), 1),
        "volume_mm3": round(float(sum(sizes_mm3[number] for number in kept)), 1),
        "confidence": round(float(confidence), 4),
        "uncertainty": round(float(min(uncertainty, 1.0)), 4),
    }
