"""The label of a frozen series, its voxels numbered alike in the whole dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from aurelius_catalog.datasets.frozen_series import FrozenSeries
from aurelius_catalog.errors import InvalidLabel
from aurelius_catalog.objects.alignment import choose_target


def read_labels(
    series: FrozenSeries, segments: Mapping[str, int], images: Sequence[xr.DataArray]
) -> list[xr.DataArray | None]:
    """Read the newest label version of a frozen series.

    Parameters
    ----------
    series
        The series.
    segments
        Voxel value for the label of each structure: `FrozenDataset.segments`.
    images
        The volumes of the series.

    Returns
    -------
    list of xarray.DataArray or None
        On the grid of each volume; uint8, or uint16 if there are more than 255 structures. None where nothing of the
        label lies on a volume, and everywhere if nobody had drawn anything.

    Raises
    ------
    InvalidLabel
        If it can be laid over none of them.
    """
    newest = series.label
    if newest is None:
        return [None] * len(images)
    stored = series.open_segmentation(newest.annotation.SOPInstanceUID)
    numbers = np.zeros(256, np.uint8 if max(segments.values(), default=0) < 256 else np.uint16)
    for segment in newest.annotation.segments:
        numbers[segment.number] = segments[segment.label]
    found: list[xr.DataArray | None] = []
    refusals = []
    for image in images:
        try:
            drawn = stored.labelmap(choose_target(stored, series.record, series.instances, image))
            found.append(drawn.copy(data=numbers[drawn.to_numpy()]))
        except InvalidLabel as error:
            found.append(None)
            refusals.append(error)
    if len(refusals) == len(images):
        raise refusals[0]
    return found
