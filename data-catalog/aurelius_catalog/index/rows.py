"""Rows of the index, made of DICOM headers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import JSON, Column, Float, Integer, String

from aurelius_catalog.dicom.frame_attributes import read_per_frame
from aurelius_catalog.dicom.json_header import Header, read_number, read_numbers, read_text, spell_tag, write_header
from aurelius_catalog.index.deidentified import DeidentifiedFile
from aurelius_catalog.index.schema import instances, studies
from aurelius_catalog.index.series_attributes import read_series_attributes

Reader = Callable[[Header], Any]
#: How many numbers an attribute of geometry has; with others it is of no use to a reader.
LENGTHS = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
#: Columns that no header fills.
_STUDY_FACTS = {"site", "scope", "flags"}
_INSTANCE_FACTS = {
    "path",
    "sha256",
    "size_bytes",
    "TransferSyntaxUID",
    "frames",
    "per_frame",
    "header",
    "media_type",
    "revision",
    "deidentification",
}


def describe_study(file: DeidentifiedFile) -> dict[str, Any]:
    """Return the columns of the study row that a header gives."""
    return {name: read(file.header) for name, read in _STUDY_READERS}


def describe_series(files: list[DeidentifiedFile]) -> dict[str, Any]:
    """Return the columns of the series row that its files give, except the moment of arrival."""
    return {
        **read_series_attributes(files[0].header),
        "TransferSyntaxUID": files[0].TransferSyntaxUID,
        "n_instances": len(files),
        "n_frames": sum(count_frames(file.header) for file in files),
        "size_bytes": sum(file.size_bytes for file in files),
    }


class TextCache:
    """What elements came to: most elements of a study's headers are the same objects. Lives no longer than they do."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.values: dict[tuple[str, int], Any] = {}


def describe_instance(file: DeidentifiedFile, path: str, memory: TextCache) -> dict[str, Any]:
    """Return the instance row of a file that lies at ``path`` below the catalog's files.

    ``memory`` is one for all files of a study.
    """
    return {
        **_read_columns(file.header, memory.values),
        "path": path,
        "sha256": file.sha256,
        "size_bytes": file.size_bytes,
        "TransferSyntaxUID": file.TransferSyntaxUID,
        "frames": file.frames,
        "per_frame": read_per_frame(file.header),
        "header": write_header(file.header, memory.texts),
        "media_type": file.media_type,
        "deidentification": file.deidentification,
    }


def _read_columns(header: Header, known: dict[tuple[str, int], Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, tag, read in _INSTANCE_COLUMNS:
        element = header.get(tag)
        if element is None:
            row[name] = None
            continue
        key = name, id(element)
        if key not in known:
            known[key] = read(header)
        row[name] = known[key]
    return row


def count_frames(header: Header) -> int:
    """Return the number of frames of an object; 0 if it has no image."""
    if read_number(header, "Rows") is None:
        return 0
    return int(read_number(header, "NumberOfFrames") or 1)


def _make_readers(columns: Iterable[Column[Any]], facts: set[str]) -> list[tuple[str, Reader]]:
    return [(column.name, _make_reader(column)) for column in columns if column.name not in facts]


def _make_reader(column: Column[Any]) -> Reader:
    """Return a function that reads one column's value from a header, always of the column's kind."""
    name = str(column.name)
    if isinstance(column.type, String):
        longest = column.type.length
        return lambda header: (read_text(header, name) or "")[:longest] or None
    if isinstance(column.type, Integer):
        return lambda header: None if (number := read_number(header, name)) is None else int(number)
    if isinstance(column.type, Float):
        return lambda header: read_number(header, name)
    if isinstance(column.type, JSON):
        return lambda header: numbers if len(numbers := read_numbers(header, name)) == LENGTHS[name] else None
    raise TypeError(f"No header fills a column like {name}.")


_STUDY_READERS = _make_readers(studies.columns, _STUDY_FACTS)
_INSTANCE_COLUMNS = [(name, spell_tag(name), read) for name, read in _make_readers(instances.columns, _INSTANCE_FACTS)]
