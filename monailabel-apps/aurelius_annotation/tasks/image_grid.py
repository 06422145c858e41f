"""The way back from the network's grid to the image's own, by the affine matrices alone."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, SpatialResample


class ToImageGridd(MapTransform):
    """Resample results onto the grid the image had when it was loaded.

    MONAI Label's ``Restored`` stretches the array to the old shape instead, which moves labels by up to two voxels
    (https://github.com/Project-MONAI/MONAILabel/issues/649).

    Parameters
    ----------
    keys
        Results (channel, x, y, z) float32 on the grid of the preprocessed image.
    mode
        ``"bilinear"`` for probabilities, ``"nearest"`` for labels.
    """

    def __init__(self, keys: KeysCollection, mode: str) -> None:
        super().__init__(keys)
        self.mode = mode

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with the results as tensors on the image's own grid."""
        d = dict(data)
        image = d["image"]
        resample = SpatialResample(mode=self.mode, padding_mode="border", align_corners=True)
        for key in self.keys:
            result = MetaTensor(torch.as_tensor(d[key], dtype=torch.float32).detach().cpu(), affine=image.affine)
            affine = torch.as_tensor(image.meta["original_affine"])
            d[key] = resample(result, dst_affine=affine, spatial_size=[int(n) for n in image.meta["spatial_shape"]])
        return d
