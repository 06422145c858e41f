"""The series of a dataset as plain dicts, and the voxels behind each: from a hot copy, or from the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from aurelius_catalog.datasets.labels import read_label
from aurelius_catalog.datasets.zarr_copy import LABEL, open_image
from aurelius_catalog.errors import NotFound

if TYPE_CHECKING:
    from aurelius_catalog.datasets.frozen import FrozenDataset


def list_items(dataset: FrozenDataset, folder: Path | None, *, only_labelled: bool) -> list[dict[str, str]]:
    """Return one dict per series; see `FrozenDataset.to_monai`."""
    held = None if folder is None else set(dataset.to_zarr(folder))
    newest = {item.SeriesInstanceUID: item for item in sorted(dataset.labels, key=lambda item: item.version or 0)}
    items = []
    for series in dataset:
        uid = series.record.SeriesInstanceUID
        if held is not None and uid not in held:
            continue
        item = {"image": uid if folder is None else str(folder / uid)}
        if uid in newest:
            drawn = newest[uid].SOPInstanceUID
            item["label"] = drawn if folder is None else str(folder / uid / "labels" / LABEL)
        elif only_labelled:
            continue
        about = {"SeriesInstanceUID": uid, "PatientID": series.record.PatientID, "Modality": series.record.Modality}
        items.append({**item, **about})
    return items


def open_item(place: str, dataset: FrozenDataset | None) -> xr.DataArray:
    """Open what ``image`` or ``label`` of an item names.

    Parameters
    ----------
    place
        Path of an image in a copy, or the UID of a series or of a label of ``dataset``.
    dataset
        The dataset, where places are UIDs.

    Raises
    ------
    NotFound
        If it names neither.
    """
    if dataset is None:
        return open_image(Path(place))
    for series in dataset:
        if series.record.SeriesInstanceUID == place:
            return series.open_array()
    for item in dataset.labels:
        if item.SOPInstanceUID == place:
            series = next(each for each in dataset if each.record.SeriesInstanceUID == item.SeriesInstanceUID)
            label = read_label(series, dataset.segments)
            if label is not None:
                return label
    raise NotFound(f"{place} is neither a series nor a label of dataset {dataset.name}.")
