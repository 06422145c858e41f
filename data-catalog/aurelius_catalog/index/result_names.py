"""The names of labels and findings, kept in the row of their series: a search need not look further."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, func, select, update

from aurelius_catalog.dicom.json_header import write_json
from aurelius_catalog.index.schema import annotation_versions, predictions, series


def is_named(names: ColumnElement[str], name: str, dialect: str) -> ColumnElement[bool]:
    """Return the condition that a name is among those in ``series.labelled`` or ``series.predicted``."""
    find = func.instr if dialect == "sqlite" else func.strpos
    return find(names, write_json(name)) > 0


def write_result_names(connection: Connection, SeriesInstanceUIDs: Iterable[str]) -> None:
    """Write into the rows of series what is said of them now; due in every transaction that changes that.

    Parameters
    ----------
    connection
        A transaction in which labels or predictions were added or removed.
    SeriesInstanceUIDs
        Of the series that they are about.
    """
    for uid in SeriesInstanceUIDs:
        drawn = select(annotation_versions.c.segments).where(annotation_versions.c.SeriesInstanceUID == uid)
        found = select(predictions.c.model, predictions.c.finding).where(predictions.c.SeriesInstanceUID == uid)
        labels = [[segment["label"].casefold() for segment in row.segments] for row in connection.execute(drawn)]
        names = {"labelled": _spell(labels), "predicted": _spell(connection.execute(found).all())}
        connection.execute(update(series).where(series.c.SeriesInstanceUID == uid).values(names))


def _spell(remarks: Iterable[Iterable[str]]) -> str | None:
    """Return the names as one text; a remark that names nothing is one all the same."""
    listed = list(remarks)
    return write_json(sorted({name for remark in listed for name in remark})) if listed else None
