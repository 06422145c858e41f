"""The frames of a series as a lazy array of xarray."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from aurelius_catalog.volumes.voxels import PixelSource


class FrameArray(BackendArray):
    """Frames as one lazy array, read only as far as it is used.

    Parameters
    ----------
    source
        The source of their voxels.
    lead
        Sizes of the axes before rows and columns: ``(…, slices)``.
    """

    def __init__(self, source: PixelSource, lead: tuple[int, ...]) -> None:
        self.source = source
        self.lead = lead
        self.shape = (*lead, *source.shape)
        self.dtype = source.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        """Read what a key of integers, slices and one-dimensional arrays (one for each axis) asks for."""
        numbers = np.arange(int(np.prod(self.lead))).reshape(self.lead)
        for axis, part in reversed(list(enumerate(key[: len(self.lead)]))):
            numbers = numbers[(slice(None),) * axis + (part,)]
        pixels = self.source.read(numbers.ravel().tolist())
        for axis, part in reversed(list(enumerate(key[len(self.lead) :], start=1))):
            if not (isinstance(part, slice) and part == slice(None)):
                pixels = np.ascontiguousarray(pixels[(slice(None),) * axis + (part,)])  # lets go of the rest
        return pixels.reshape((*numbers.shape, *pixels.shape[1:]))
