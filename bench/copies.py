"""Many studies out of a few files: copies that differ by their UIDs and their patient, as an intake needs them."""

from __future__ import annotations

import warnings
from pathlib import Path

from pydicom import dcmread

#: A root nobody was given, under the one for UUIDs, so that no copy is taken for anybody's object.
ROOT = "2.25.7770001"


def make_copies(source: Path, target: Path, count: int, study_size: int = 0) -> list[Path]:
    """Write ``count`` copies of the DICOM files below ``source``, each with UIDs of its own.

    Parameters
    ----------
    source
        A folder of one series, or one file.
    target
        Folder to write to; one folder per study in it.
    count
        How many files.
    study_size
        How many files make a study; 0 means as many as ``source`` holds.

    Returns
    -------
    list of Path
        The files, study by study.
    """
    originals = sorted(source.glob("*.dcm")) if source.is_dir() else [source]
    study_size = study_size or len(originals)
    paths = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        headers = [dcmread(path) for path in originals]
        for number in range(count):
            study, slice_number = divmod(number, study_size)
            dataset = headers[number % len(headers)]
            dataset.PatientID = f"COPY{study:06}"
            dataset.StudyInstanceUID = f"{ROOT}.{study}"
            dataset.SeriesInstanceUID = f"{ROOT}.{study}.1"
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.{study}.1.{slice_number}"
            path = target / f"{study:06}" / f"{slice_number:06}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            dataset.save_as(path)
            paths.append(path)
    return paths
