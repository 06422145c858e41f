"""From a DICOM header to the rows of the index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydicom import Dataset

from aurelius_catalog.deidentified import DeidentifiedFile
from aurelius_catalog.schema import instances, series, studies

#: Values longer than this stay in the file; nobody searches by a lookup table.
LONGEST_INLINE_BYTES = 1024

_STUDY_KEYWORDS = [column.name for column in studies.columns if column.name not in ("site", "flags")]
_SERIES_KEYWORDS = [
    column.name
    for column in series.columns
    if column.name not in ("n_instances", "n_frames", "size_bytes", "received_at", "revision")
]
_FOUND_ON_INTAKE = ("path", "sha256", "size_bytes", "TransferSyntaxUID", "frames", "header", "deidentification")
_INSTANCE_KEYWORDS = [
    column.name for column in instances.columns if column.name not in (*_FOUND_ON_INTAKE, "media_type", "revision")
]


def describe_study(dataset: Dataset) -> dict[str, Any]:
    """Return the columns of the study row a header gives."""
    return _take(dataset, _STUDY_KEYWORDS)


def describe_series(files: list[DeidentifiedFile]) -> dict[str, Any]:
    """Return the columns of the series row that its files give, except the moment of arrival."""
    first = files[0].dataset
    return {
        **_take(first, _SERIES_KEYWORDS),
        "n_instances": len(files),
        "n_frames": sum(count_frames(file.dataset) for file in files),
        "size_bytes": sum(file.size_bytes for file in files),
    }


def describe_instance(file: DeidentifiedFile, path: str) -> dict[str, Any]:
    """Return the instance row of a file that lies at ``path`` below the catalog's files."""
    dataset = file.dataset
    return {
        **_take(dataset, _INSTANCE_KEYWORDS),
        "path": path,
        "sha256": file.sha256,
        "size_bytes": file.size_bytes,
        "TransferSyntaxUID": str(dataset.file_meta.TransferSyntaxUID),
        "frames": [list(span) for span in file.frames],
        "header": dataset.to_json_dict(
            bulk_data_threshold=LONGEST_INLINE_BYTES, bulk_data_element_handler=lambda _: "", suppress_invalid_tags=True
        ),
    }


def count_frames(dataset: Dataset) -> int:
    """Return the number of frames of an object; 0 if it has no image."""
    return int(dataset.get("NumberOfFrames") or 1) if "Rows" in dataset else 0


def _take(dataset: Dataset, keywords: Iterable[str]) -> dict[str, Any]:
    return {keyword: _plain(dataset.get(keyword)) for keyword in keywords}


def _plain(value: Any) -> Any:
    """Return a DICOM value as the index stores it: None for empty, plain numbers and strings."""
    if value is None or value == "":
        return None
    if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue":
        return [_plain(item) for item in value] or None
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) or type(value).__name__ == "DSdecimal":
        return float(value)
    return str(value)
