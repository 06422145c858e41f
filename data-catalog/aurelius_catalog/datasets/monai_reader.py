"""Reading a frozen dataset with MONAI's ``LoadImage``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from monai.config import PathLike
from monai.data import ImageReader
from monai.data.image_reader import _copy_compatible_dict, _stack_images
from monai.utils import MetaKeys, SpaceKeys
from numpy.typing import NDArray

from aurelius_catalog.datasets.contents import DatasetContents
from aurelius_catalog.datasets.items import open_item
from aurelius_catalog.volumes.geometry import LPS_TO_RAS


class DatasetReader(ImageReader):
    """Reads what `FrozenDataset.to_monai` lists.

    Arrays come as MONAI's other readers give them: ``(x, y, z)``, with an affine to patient RAS in mm, so that
    ``Orientationd`` and ``Spacingd`` do what they should. What there is beside space, such as time, comes first, as
    channels.

    Parameters
    ----------
    dataset
        The dataset, where its items are read from the catalog; none for those of a hot copy.

    Examples
    --------
    >>> items = dataset.to_monai("hot")  # doctest: +SKIP
    >>> load = LoadImaged(["image", "label"], reader=DatasetReader(), ensure_channel_first=True)  # doctest: +SKIP
    """

    def __init__(self, dataset: DatasetContents | None = None) -> None:
        super().__init__()
        self.dataset = dataset

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Whether this is an image of a hot copy, or may be a UID of the dataset."""
        names = [filename] if isinstance(filename, (str, Path)) else list(filename)  # type: ignore[arg-type]
        return all(self.dataset is not None or (Path(str(name)) / "zarr.json").is_file() for name in names)

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> list[xr.DataArray]:
        """Open images; their voxels are read in `get_data`."""
        names = [data] if isinstance(data, (str, Path)) else list(data)  # type: ignore[arg-type]
        return [open_item(str(name), self.dataset) for name in names]

    def get_data(self, img: Sequence[xr.DataArray]) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return the voxels of the images, and what MONAI wants to know about them."""
        arrays: list[NDArray[Any]] = []
        meta: dict[str, Any] = {}
        for image in img:
            space = [dim for dim in ("x", "y", "z") if dim in image.dims]
            others = [dim for dim in image.dims if dim not in space]
            array = image.transpose(*others, *space).to_numpy()
            array = array.reshape(-1, *array.shape[len(others) :]) if others else array
            affine = LPS_TO_RAS @ np.array(image.attrs.get("affine_lps", np.eye(4)), dtype=np.float64)
            about = {
                MetaKeys.AFFINE: affine,
                MetaKeys.ORIGINAL_AFFINE: affine.copy(),
                MetaKeys.SPATIAL_SHAPE: np.array(array.shape[1:] if others else array.shape),
                MetaKeys.ORIGINAL_CHANNEL_DIM: 0 if others else float("nan"),
                MetaKeys.SPACE: SpaceKeys.RAS,
            }
            arrays.append(array)
            _copy_compatible_dict(about, meta)
        return _stack_images(arrays, meta), meta
