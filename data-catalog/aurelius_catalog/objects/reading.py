"""The whole of an object that is not read frame by frame: a report, a segmentation, a dose."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from aurelius_catalog.errors import InvalidObject, NotFound, PermissionDenied, Withdrawn
from aurelius_catalog.records import SeriesRecord
from aurelius_catalog.store import Store


def read_object(store: Store, SOPInstanceUID: str) -> Dataset:
    """Read one object of the catalog whole.

    Raises
    ------
    InvalidObject
        If it is kept in another format than DICOM, or is damaged.
    """
    try:
        return dcmread(BytesIO(store.read_file(SOPInstanceUID)))
    except (InvalidDicomError, EOFError, ValueError) as error:
        raise InvalidObject(f"Instance {SOPInstanceUID} cannot be read as DICOM.") from error


def list_references(dataset: Dataset) -> tuple[str, ...]:
    """Return the UIDs of the series that an object says it was made from (PS3.3 C.12.4), in their order."""
    found = [str(item.SeriesInstanceUID) for item in dataset.get("ReferencedSeriesSequence") or []]
    return tuple(dict.fromkeys(found))


def find_visible(store: Store, SeriesInstanceUIDs: Sequence[str]) -> SeriesRecord | None:
    """Return the first of several series that this person's catalog holds; None if it holds none."""
    for uid in SeriesInstanceUIDs:
        try:
            return store.get_series(uid)
        except (NotFound, PermissionDenied, Withdrawn):
            continue
    return None
