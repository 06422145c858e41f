"""The targets of DICOMweb paths: study, series, instance, frames, as far as the person may see them."""

from __future__ import annotations

from functools import lru_cache

from aurelius_catalog.errors import InvalidRequest, NotDicom, NotFound
from aurelius_catalog.index import reads
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import InstanceRecord, SeriesRecord
from aurelius_catalog.service import slide_levels
from aurelius_catalog.settings import CatalogSettings
from aurelius_deidentify.media_types import DICOM

#: Frames that one request may name.
MOST_FRAMES = 100_000


def get_series(store: LocalStore, study: str, series: str) -> SeriesRecord:
    """Return a series of a study.

    Raises
    ------
    NotFound
        If there is no such series, or it is not in this study.
    """
    record = store.get_series(series)
    if record.StudyInstanceUID != study:
        raise NotFound(f"Series {series} is not part of study {study}.")
    return record


def list_study(store: LocalStore, study: str) -> list[SeriesRecord]:
    """Return the series of a study.

    Raises
    ------
    NotFound
        If the person may see no series of it.
    """
    found = store.find_series(StudyInstanceUID=study)
    if not found:
        raise NotFound(f"There is no study {study} that {store.person.name} may open.")
    return found


def get_instance(store: LocalStore, study: str, series: str, instance: str) -> InstanceRecord:
    """Return a DICOM instance that is about to be read, and record the reading in the audit log.

    Raises
    ------
    NotFound
        If the series of this study has no such instance.
    NotDicom
        If it is kept as a slide or a NIfTI volume.
    """
    store.note_reading(series)
    return find_instance(store, study, series, instance)


def find_instance(store: LocalStore, study: str, series: str, instance: str) -> InstanceRecord:
    """Return a DICOM instance of a series that the person is known to see; see `get_instance`."""
    known = _list_instances(store.settings, series)
    if instance not in known:  # a series may grow by an instance that arrives later
        _list_instances.cache_clear()
        known = _list_instances(store.settings, series)
    parent, found = known.get(instance, ("", None))
    if found is None or parent != study:
        raise NotFound(f"There is no instance {instance} in series {series} of study {study}.")
    require_dicom([found])
    return found


def get_image(store: LocalStore, study: str, series: str, instance: str) -> InstanceRecord:
    """Return an instance of which frames are about to be read: one of DICOM, or a level of a slide file.

    Raises
    ------
    NotFound, NotDicom
        As `get_instance` does.
    """
    if not slide_levels.is_listed(instance):
        try:
            return get_instance(store, study, series, instance)
        except NotFound:
            store.note_reading(series)  # reveals nothing of a series the person may not see
    levels = slide_levels.list_levels(store, get_series(store, study, series))
    for level in levels:
        if level.SOPInstanceUID == instance:
            return level
    raise NotFound(f"There is no instance {instance} in series {series} of study {study}.")


@lru_cache(maxsize=64)
def _list_instances(settings: CatalogSettings, series: str) -> dict[str, tuple[str, InstanceRecord]]:
    """Return the study and the record of each instance of a series: facts that never change once visible."""
    with open_engine(settings).begin() as connection:
        study = reads.find_study_of(connection, series)
        return {each.SOPInstanceUID: (study, each) for each in reads.list_instances(connection, series)}


def require_dicom(instances: list[InstanceRecord]) -> list[InstanceRecord]:
    """Return the instances if all of them are DICOM.

    Raises
    ------
    NotDicom
        If one is kept as a slide or a NIfTI volume.
    """
    for each in instances:
        if each.media_type != DICOM:
            raise NotDicom(
                f"Instance {each.SOPInstanceUID} is a file of type {each.media_type}, which DICOMweb cannot hand out. "
                "Fetch it from instances/{its UID}/file, or open it in a notebook by its series."
            )
    return instances


def count_frames(instance: InstanceRecord) -> int:
    """Return how many frames an instance has; 0 if it is not an image."""
    return (instance.NumberOfFrames or 1) if instance.Rows and instance.Columns else 0


def read_numbers(text: str, instance: InstanceRecord) -> list[int]:
    """Return the positions of frames, from 0, that a path names by numbers, from 1 (PS3.18 section 8.2).

    Raises
    ------
    InvalidRequest
        If they are not whole numbers from 1.
    NotFound
        If the instance has no such frame.
    """
    numbers = text.split(",")
    if len(numbers) > MOST_FRAMES or not all(each.isascii() and each.isdigit() and len(each) < 10 for each in numbers):
        raise InvalidRequest("Frame numbers are whole numbers from 1, separated by commas.")
    count = count_frames(instance)
    indices = [int(each) - 1 for each in numbers]
    if not all(0 <= each < count for each in indices):
        raise NotFound(f"Instance {instance.SOPInstanceUID} has {count} frames.")
    return indices
