"""The series of a dataset as plain dicts, and the voxels behind each: from a hot copy, or from the catalog."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from aurelius_catalog.datasets.contents import DatasetContents
from aurelius_catalog.datasets.frozen_series import FrozenSeries
from aurelius_catalog.datasets.labels import read_labels
from aurelius_catalog.datasets.zarr_copy import LABEL, copy_dataset, list_volumes, open_image
from aurelius_catalog.errors import InvalidVolume, NotFound


def list_items(dataset: DatasetContents, folder: Path | None, *, only_labelled: bool) -> list[dict[str, str]]:
    """Return one dict per volume; see `FrozenDataset.to_monai`."""
    held = None if folder is None else set(copy_dataset(dataset, folder))
    newest = {item.SeriesInstanceUID: item for item in sorted(dataset.labels, key=lambda item: item.version or 0)}
    items = []
    for series in dataset:
        uid = series.record.SeriesInstanceUID
        about = {"SeriesInstanceUID": uid, "PatientID": series.record.PatientID, "Modality": series.record.Modality}
        if folder is None or held is None:
            drawn = {"label": newest[uid].SOPInstanceUID} if uid in newest else {}
            items.append({"image": uid, **drawn, **about})
        elif uid in held:
            for place in list_volumes(folder / uid):
                path = place / "labels" / LABEL
                items.append({"image": str(place), **({"label": str(path)} if path.is_dir() else {}), **about})
    return [item for item in items if "label" in item or not only_labelled]


def open_item(place: str, dataset: DatasetContents | None) -> xr.DataArray:
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
    InvalidVolume
        If it is a series of several volumes.
    """
    if dataset is None:
        return open_image(Path(place))
    for series in dataset:
        if series.record.SeriesInstanceUID == place:
            return _open_one(series)
    for item in dataset.labels:
        if item.SOPInstanceUID == place:
            series = next(each for each in dataset if each.record.SeriesInstanceUID == item.SeriesInstanceUID)
            [label] = read_labels(series, dataset.segments, [_open_one(series)])
            if label is not None:
                return label
    raise NotFound(f"{place} is neither a series nor a label of dataset {dataset.name}.")


def _open_one(series: FrozenSeries) -> xr.DataArray:
    images = series.open_arrays()
    if len(images) > 1:
        raise InvalidVolume(f"{images[0].attrs['apart'].capitalize()}: a copy (`to_monai(folder)`) has each by itself.")
    return images[0]
