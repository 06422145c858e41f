"""The label of a frozen series, its voxels numbered alike in the whole dataset."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from aurelius_catalog.datasets.series import FrozenSeries
from aurelius_catalog.objects.laying import choose_target


def read_label(series: FrozenSeries, segments: Mapping[str, int], image: xr.DataArray) -> xr.DataArray | None:
    """Read the newest label version of a frozen series; None if nobody had drawn anything.

    Parameters
    ----------
    series
        The series.
    segments
        Voxel value for the label of each structure: `FrozenDataset.segments`.
    image
        The series as it opens, or the volume of it that the label is to lie on.

    Returns
    -------
    xarray.DataArray
        On the grid of ``image``; uint8, or uint16 if there are more than 255 structures.
    """
    newest = series.label
    if newest is None:
        return None
    stored = series.open_segmentation(newest.annotation.SOPInstanceUID)
    drawn = stored.labelmap(choose_target(stored, series.record, series.instances, image))
    numbers = np.zeros(256, np.uint8 if max(segments.values(), default=0) < 256 else np.uint16)
    for segment in newest.annotation.segments:
        numbers[segment.number] = segments[segment.label]
    return drawn.copy(data=numbers[drawn.to_numpy()])
