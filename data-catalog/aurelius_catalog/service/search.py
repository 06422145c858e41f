"""Searches over HTTP: the series that match, a page of them, their number, their values, or all as an Arrow stream."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from aurelius_catalog.records import Record, SeriesRecord
from aurelius_catalog.service.stores import Opened

router = APIRouter(prefix="/series")

#: Text a database can hold: PostgreSQL knows no NUL character.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
Number = Annotated[int, Field(ge=-(2**63), lt=2**63)] | float
Value = Text | bool | Number | None


class ValueInterval(BaseModel):
    """A closed range; an end that is missing is open."""

    model_config = ConfigDict(extra="forbid")

    low: Text | Number | None = Field(None, alias="from")
    high: Text | Number | None = Field(None, alias="to")


Keywords = dict[str, Value | list[Value | ValueInterval] | ValueInterval]
Page = Annotated[int, Query(ge=0, le=10**9)]
ARROW = "application/vnd.apache.arrow.stream"
_ROWS_PER_BATCH = 50_000


class ValueCount(Record):
    """A value of an attribute, and the number of series that have it."""

    value: str | bool | int | float | None
    count: int


@router.post("/search")
def search_series(
    store: Opened, keywords: Keywords, limit: Annotated[int | None, Query(ge=0, le=10**9)] = None, offset: Page = 0
) -> list[SeriesRecord]:
    """Find series; the body maps keywords to a value, a list of values, or a range ``{"from": a, "to": b}``."""
    wanted = _unpack(keywords)
    return store.find_series(**wanted) if limit is None else store.find_page(wanted, limit, offset)


@router.post("/count")
def count_series(store: Opened, keywords: Keywords) -> int:
    """Count the series that match."""
    return store.count_series(_unpack(keywords))


@router.post("/facets")
def count_values(store: Opened, keywords: Keywords, keyword: Text) -> list[ValueCount]:
    """Count the series that match by the value of an attribute, the most frequent first."""
    counted = store.count_values(_unpack(keywords), keyword)
    return [ValueCount(value=value, count=count) for value, count in counted.items()]


@router.post("/table", response_class=StreamingResponse, responses={200: {"content": {ARROW: {}}}})
def read_table(store: Opened, keywords: Keywords) -> StreamingResponse:
    """Return all series that match as one Arrow IPC stream."""
    return StreamingResponse(_stream(store.read_table(_unpack(keywords))), media_type=ARROW)


def _unpack(keywords: Keywords) -> dict[str, object]:
    def unpack(value: object) -> object:
        if isinstance(value, ValueInterval):
            return {"from": value.low, "to": value.high}
        return [unpack(each) for each in value] if isinstance(value, list) else value

    return {keyword: unpack(value) for keyword, value in keywords.items()}


def _stream(table: pa.Table) -> Iterator[bytes]:
    pipe = _Pipe()
    with pa.ipc.new_stream(pipe, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=_ROWS_PER_BATCH):
            writer.write_batch(batch)
            yield pipe.drain()
    yield pipe.drain()


class _Pipe(io.RawIOBase):
    """A file that keeps what was written until it is drained."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def drain(self) -> bytes:
        """Return the bytes written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)
