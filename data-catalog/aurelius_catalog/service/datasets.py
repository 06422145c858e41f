"""Frozen datasets over HTTP: their list, their contents, their data cards, their verification."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import StringConstraints
from starlette.convertors import StringConvertor, register_url_convertor

from aurelius_catalog.records import DatasetCheck, DatasetObject, DatasetRecord, Record, SeriesRecord
from aurelius_catalog.service.rest import Text
from aurelius_catalog.service.stores import Opened


class _Sha256(StringConvertor):
    """A dataset's id in a path; anything else there is a name, and names may hold slashes."""

    regex = "[0-9a-f]{64}"


PAGE_POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"}
register_url_convertor("sha256", _Sha256())
router = APIRouter()


class NewDataset(Record):
    """A list of series to freeze."""

    name: Annotated[str, StringConstraints(pattern=r"^[^\x00]+$", max_length=255)]
    SeriesInstanceUIDs: tuple[Text, ...]


@router.get("/datasets")
def list_datasets(store: Opened) -> list[DatasetRecord]:
    """Return the frozen datasets, newest first."""
    return store.list_datasets()


@router.post("/datasets")
def add_dataset(store: Opened, dataset: NewDataset) -> DatasetRecord:
    """Freeze a list of series, and the labels drawn on them, under a name."""
    return store.add_dataset(dataset.name, dataset.SeriesInstanceUIDs)


@router.get("/datasets/{dataset_id:sha256}/series")
def list_series(store: Opened, dataset_id: str) -> list[SeriesRecord]:
    """Return the series of a dataset that are not withdrawn, counted as they were when it was frozen."""
    return store.list_dataset_series(dataset_id)


@router.get("/datasets/{dataset_id:sha256}/objects")
def list_objects(
    store: Opened,
    dataset_id: str,
    SeriesInstanceUID: Text | None = None,
    role: Literal["image", "label"] | None = None,
) -> list[DatasetObject]:
    """Return the files a dataset was frozen with, and their hashes."""
    return store.list_dataset_objects(dataset_id, SeriesInstanceUID, role)


@router.get("/datasets/{dataset_id:sha256}/card", response_class=HTMLResponse)
def read_card(store: Opened, dataset_id: str) -> HTMLResponse:
    """Return the data card of a dataset: a page that runs nothing and fetches nothing."""
    return HTMLResponse(store.read_dataset_card(dataset_id), headers=PAGE_POLICY)


@router.get("/datasets/{dataset_id:sha256}/verification", response_class=StreamingResponse)
def verify_dataset(store: Opened, dataset_id: str) -> StreamingResponse:
    """Read every file of a dataset again; answers with one line of JSON per series, as each is done."""
    checks = store.verify_dataset(dataset_id)
    return StreamingResponse(_write_lines(checks), media_type="application/x-ndjson")


@router.get("/datasets/{id_or_name:path}")
def read_dataset(store: Opened, id_or_name: Text) -> DatasetRecord:
    """Return one frozen dataset, by id or by name."""
    return store.get_dataset(id_or_name)


def _write_lines(checks: Iterator[DatasetCheck]) -> Iterator[str]:
    return (f"{check.model_dump_json()}\n" for check in checks)
