"""The pixels of a series that a segmentation is laid over."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from aurelius_catalog.errors import InvalidLabel, InvalidVolume
from aurelius_catalog.objects.grid import FrameList, Grid, Target
from aurelius_catalog.objects.segmentation import StoredSegmentation
from aurelius_catalog.records import InstanceRecord, SeriesRecord
from aurelius_catalog.store import PixelStore
from aurelius_catalog.volumes import open_volume


def choose_target(
    stored: StoredSegmentation, record: SeriesRecord, instances: Sequence[InstanceRecord], image: xr.DataArray
) -> Target:
    """Choose how a segmentation finds its place on an opened series.

    Parameters
    ----------
    stored
        The segmentation.
    record, instances
        The series.
    image
        The series as it opens: a volume is matched by position, pictures without a place by the frames that the
        segmentation names.

    Raises
    ------
    InvalidLabel
        If positions in the segmentation and in the series do not compare.
    """
    if "affine_lps" in image.attrs and {"z", "y", "x"} <= set(image.dims):
        theirs, ours = stored.dataset.get("FrameOfReferenceUID"), record.FrameOfReferenceUID
        if theirs and ours and theirs != ours:
            raise InvalidLabel(
                "The segmentation was drawn in another frame of reference than this series: positions do not compare. "
                f"It names the series {', '.join(stored.referenced_series) or '(none)'}."
            )
        return Grid.of_image(image)
    numbers = [
        (instance.SOPInstanceUID, frame + 1)
        for instance in instances
        for frame in range(max(len(instance.frames), instance.NumberOfFrames or 1))
    ]
    rows, columns = image.sizes["y"], image.sizes["x"]
    places = {number: index for index, number in enumerate(numbers)}
    return FrameList((len(numbers), rows, columns), places, image)


def find_grid(store: PixelStore, instances: Sequence[InstanceRecord], n_slices: int) -> Grid | None:
    """Return where a label map with this many slices lies; None where its slices are the instances, one by one.

    The latter holds for series of single images, whatever their places.
    """
    if n_slices == len(instances) and all((item.NumberOfFrames or 1) == 1 for item in instances):
        return None
    try:
        return Grid.of_image(open_volume(store, instances))
    except InvalidVolume:
        return None
