"""A frozen dataset as PyTorch takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch.utils.data import Dataset

from aurelius_catalog.datasets.contents import DatasetContents
from aurelius_catalog.datasets.items import open_item
from aurelius_catalog.datasets.ome_zarr import SPACE


class TorchDataset(Dataset[Any]):
    """One item per series; see `FrozenDataset.to_torch`.

    Parameters
    ----------
    items
        What `FrozenDataset.to_monai` lists.
    dataset
        The dataset, where items are read from the catalog; None for those of a hot copy.
    transform
        Applied to each item.
    """

    def __init__(
        self,
        items: Sequence[Mapping[str, str]],
        dataset: DatasetContents | None,
        transform: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        self.items = list(items)
        self.dataset = dataset
        self.transform = transform

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        item = self.items[index]
        image = open_item(item["image"], self.dataset)
        read: dict[str, Any] = {
            "image": torch.from_numpy(_stack_channels(image).astype(np.float32, copy=False)),
            "spacing_mm": torch.tensor(image.attrs.get("spacing_mm") or [1.0] * 3),
            "SeriesInstanceUID": item["SeriesInstanceUID"],
            "PatientID": item["PatientID"],
        }
        if "label" in item:
            label = open_item(item["label"], self.dataset).to_numpy()
            read["label"] = torch.from_numpy(label.astype(np.int64))[None]
        return read if self.transform is None else self.transform(read)


def _stack_channels(image: xr.DataArray) -> NDArray[Any]:
    """Return ``(channels, z, y, x)``: what there is beside space, such as time, comes first, as one axis."""
    space = [dim for dim in image.dims if dim in SPACE]
    values = image.transpose(..., *space).to_numpy()
    return values.reshape(-1, *values.shape[values.ndim - len(space) :])
