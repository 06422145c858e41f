"""All results of a search as an Arrow table, without a record for each row."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from aurelius_catalog.index import reads
from aurelius_catalog.index.schema import series
from aurelius_catalog.index.visibility import list_scopes
from aurelius_catalog.records import SeriesRecord
from aurelius_catalog.search.search_filter import SearchFilter

_ROWS_AT_ONCE = 20_000
_TYPES = {
    "int": pa.int64(),
    "str": pa.string(),
    "float": pa.float64(),
    "datetime": pa.timestamp("us", tz="UTC"),
    "tuple[str, ...]": pa.list_(pa.string()),
}


def read_everything(connection: Connection, search_filter: SearchFilter) -> pa.Table:
    """Return all series that meet the conditions, one column per field of a `SeriesRecord`."""
    statement = reads.select_series().where(*search_filter.expressions).order_by(series.c.id)
    result = connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(statement)
    known = list_scopes(connection)
    names = list(result.keys())
    batches = []
    for rows in result.partitions():
        columns: dict[str, Any] = dict(zip(names, zip(*rows, strict=True), strict=True))
        found = [known[number] for number in columns["site"]]
        columns["site"] = [scope.site for scope in found]
        columns["projects"] = [scope.projects for scope in found]
        arrays = [pa.array(columns[field.name], field.type) for field in SCHEMA]
        batches.append(pa.record_batch(arrays, schema=SCHEMA))
    return pa.Table.from_batches(batches, schema=SCHEMA)


def _make_field(name: str, annotation: object) -> pa.Field:
    kind = annotation.__name__ if isinstance(annotation, type) and annotation in (int, str, float) else str(annotation)
    kind = "datetime" if "datetime" in str(annotation) else kind.removesuffix(" | None")
    return pa.field(name, _TYPES[kind])


#: The columns of a table of series.
SCHEMA = pa.schema([_make_field(name, field.annotation) for name, field in SeriesRecord.model_fields.items()])
