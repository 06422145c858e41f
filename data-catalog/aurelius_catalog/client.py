"""The catalog through its service: what a notebook holds, with the rights of the person it belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import pyarrow as pa
from pydantic import TypeAdapter

from aurelius_catalog.errors import Unreachable
from aurelius_catalog.model import (
    AnnotationRecord,
    DatasetCheck,
    DatasetObject,
    DatasetRecord,
    DecisionAction,
    DecisionRecord,
    InstanceRecord,
    NewPrediction,
    PredictionRecord,
    Record,
    Segment,
    SeriesRecord,
    WorklistRow,
)
from aurelius_catalog.person import Person
from aurelius_catalog.refusals import read_refusal
from aurelius_catalog.search.wire import pack_keywords
from aurelius_catalog.store import LabelMap
from aurelius_catalog.wire import pack_labelmap

R = TypeVar("R", bound=Record)

TIMEOUT = httpx.Timeout(60, connect=5)


class HttpStore:
    """The `Store` protocol over HTTP; connections are kept and shared between threads.

    Parameters
    ----------
    url
        Address of the catalog service, such as ``http://127.0.0.1:8000/services/catalog``.
    token
        A hub token of the person; a notebook finds its own in ``JUPYTERHUB_API_TOKEN``.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"token {token}", "Accept": "application/json"}
        # Inside the house, always: a proxy set in the environment would carry images out of it.
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT, trust_env=False)
        self._study_of: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"HttpStore({self.url!r})"  # never the token

    def close(self) -> None:
        """Close the kept connections."""
        self._http.close()

    # -- looking ---------------------------------------------------------------------------------

    @cached_property
    def person(self) -> Person:
        """Whose token this is, as the hub says."""
        who = self._get("whoami").json()
        return Person.of(who["name"], who["groups"])

    def find_series(self, **keywords: object) -> list[SeriesRecord]:
        """Return the visible series that match; see `Store.find_series`."""
        return self._remember(_read_list(SeriesRecord, self._ask("search", keywords)))

    def find_page(self, keywords: Mapping[str, object], limit: int, offset: int = 0) -> list[SeriesRecord]:
        """Return a page of the visible series that match; see `Store.find_page`."""
        page = {"limit": str(limit), "offset": str(offset)}
        return self._remember(_read_list(SeriesRecord, self._ask("search", keywords, page)))

    def count_series(self, keywords: Mapping[str, object]) -> int:
        """Return how many visible series match; see `Store.count_series`."""
        return int(self._ask("count", keywords).json())

    def count_values(self, keywords: Mapping[str, object], keyword: str) -> dict[Any, int]:
        """Return how many visible series have which value; see `Store.count_values`."""
        counted = self._ask("facets", keywords, {"keyword": keyword}).json()
        return {each["value"]: each["count"] for each in counted}

    def read_table(self, keywords: Mapping[str, object]) -> pa.Table:
        """Return everything that matches as one table, sent as an Arrow stream; see `Store.read_table`."""
        return pa.ipc.open_stream(self._ask("table", keywords).content).read_all()

    def get_series(self, SeriesInstanceUID: str) -> SeriesRecord:
        """Return one series; see `Store.get_series`."""
        record = _read(SeriesRecord, self._get(f"series/{_quote(SeriesInstanceUID)}"))
        self._study_of[record.SeriesInstanceUID] = record.StudyInstanceUID
        return record

    def list_instances(self, SeriesInstanceUID: str) -> list[InstanceRecord]:
        """Return the instances of a series in slice order; see `Store.list_instances`."""
        return _read_list(InstanceRecord, self._get(f"series/{_quote(SeriesInstanceUID)}/instances"))

    def read_frame(self, instance: InstanceRecord, index: int) -> bytes:
        """Return one frame as stored, by WADO-RS (PS3.18 section 10.4); see `Store.read_frame`.

        Raises
        ------
        IndexError
            If the instance has no such frame.
        """
        number = range(len(instance.frames))[index] + 1
        series = instance.SeriesInstanceUID
        if series not in self._study_of:
            self.get_series(series)
        path = f"studies/{self._study_of[series]}/series/{series}/instances/{instance.SOPInstanceUID}/frames/{number}"
        return self._get(f"dicomweb/{path}", accept="application/octet-stream").content

    def read_file(self, SOPInstanceUID: str) -> bytes:
        """Return a whole file; see `Store.read_file`."""
        return self._get(f"instances/{_quote(SOPInstanceUID)}/file", accept="*/*").content

    # -- labels ----------------------------------------------------------------------------------

    def list_annotations(self, SeriesInstanceUID: str | None = None) -> list[AnnotationRecord]:
        """Return label versions; see `Store.list_annotations`."""
        return _read_list(AnnotationRecord, self._get("annotations", _of_series(SeriesInstanceUID)))

    def add_annotation(
        self,
        SeriesInstanceUID: str,
        labelmap: LabelMap,
        segments: Sequence[Segment],
        *,
        origin: str,
        comment: str = "",
    ) -> AnnotationRecord:
        """Store a label as a new version of this person; see `Store.add_annotation`."""
        listed = [segment.model_dump() for segment in segments]
        record = json.dumps({"segments": listed, "origin": origin, "comment": comment})
        path = f"series/{_quote(SeriesInstanceUID)}/annotations"
        return _read(AnnotationRecord, self._upload(path, record, labelmap))

    # -- predictions and decisions ---------------------------------------------------------------

    def list_predictions(self, SeriesInstanceUID: str | None = None) -> list[PredictionRecord]:
        """Return what models found; see `Store.list_predictions`."""
        return _read_list(PredictionRecord, self._get("predictions", _of_series(SeriesInstanceUID)))

    def add_prediction(
        self, SeriesInstanceUID: str, prediction: NewPrediction, labelmap: LabelMap | None
    ) -> PredictionRecord:
        """Store a model's result; see `Store.add_prediction`."""
        path = f"series/{_quote(SeriesInstanceUID)}/predictions"
        return _read(PredictionRecord, self._upload(path, prediction.model_dump_json(), labelmap))

    def list_worklist(self) -> list[WorklistRow]:
        """Return the visible predictions in the order they want attention; see `Store.list_worklist`."""
        return _read_list(WorklistRow, self._get("worklist"))

    def add_decision(self, prediction_id: int, action: DecisionAction, comment: str) -> DecisionRecord:
        """Store this person's word on a prediction; see `Store.add_decision`."""
        body = {"action": DecisionAction(action), "comment": comment}
        return _read(DecisionRecord, self._send("POST", f"predictions/{prediction_id}/decisions", json=body))

    # -- frozen datasets -------------------------------------------------------------------------

    def list_datasets(self) -> list[DatasetRecord]:
        """Return the datasets whose every series the person may see; see `Store.list_datasets`."""
        return _read_list(DatasetRecord, self._get("datasets"))

    def get_dataset(self, id_or_name: str) -> DatasetRecord:
        """Return one dataset; see `Store.get_dataset`."""
        return _read(DatasetRecord, self._get(f"datasets/{_quote(id_or_name)}"))

    def add_dataset(self, name: str, SeriesInstanceUIDs: Sequence[str]) -> DatasetRecord:
        """Freeze series under a name; see `Store.add_dataset`."""
        body = {"name": name, "SeriesInstanceUIDs": list(SeriesInstanceUIDs)}
        return _read(DatasetRecord, self._send("POST", "datasets", json=body))

    def list_dataset_series(self, dataset_id: str) -> list[SeriesRecord]:
        """Return the series of a dataset; see `Store.list_dataset_series`."""
        return _read_list(SeriesRecord, self._get(f"datasets/{_quote(dataset_id)}/series"))

    def list_dataset_objects(
        self, dataset_id: str, SeriesInstanceUID: str | None = None, role: str | None = None
    ) -> list[DatasetObject]:
        """Return what a dataset holds; see `Store.list_dataset_objects`."""
        wanted = {"SeriesInstanceUID": SeriesInstanceUID, "role": role}
        given = {key: value for key, value in wanted.items() if value is not None}
        return _read_list(DatasetObject, self._get(f"datasets/{_quote(dataset_id)}/objects", given))

    def verify_dataset(self, dataset_id: str) -> Iterator[DatasetCheck]:
        """Let the service read every file of a dataset again; see `Store.verify_dataset`."""
        with self._http.stream("GET", f"datasets/{_quote(dataset_id)}/verification", timeout=None) as answer:
            if not answer.is_success:
                answer.read()
                raise read_refusal(answer)
            for line in answer.iter_lines():
                yield DatasetCheck.model_validate_json(line)

    # -- inside ----------------------------------------------------------------------------------

    def _ask(
        self, what: str, keywords: Mapping[str, object], params: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return self._send("POST", f"series/{what}", json=pack_keywords(keywords), params=params)

    def _remember(self, found: list[SeriesRecord]) -> list[SeriesRecord]:
        self._study_of |= {record.SeriesInstanceUID: record.StudyInstanceUID for record in found}
        return found

    def _get(self, path: str, params: Mapping[str, str] | None = None, accept: str | None = None) -> httpx.Response:
        return self._send("GET", path, params=params, headers={"Accept": accept} if accept else None)

    def _upload(self, path: str, record: str, labelmap: LabelMap | None) -> httpx.Response:
        files: dict[str, Any] = {"record": (None, record, "application/json")}
        if labelmap is not None:
            files["labelmap"] = ("labelmap.npy.gz", pack_labelmap(labelmap), "application/gzip")
        return self._send("POST", path, files=files)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            try:
                answer = self._http.request(method, path, **options)
            except (httpx.RemoteProtocolError, httpx.ReadError):
                # The proxy may close an idle connection just as it is used again: reading is safe to repeat.
                if method != "GET":
                    raise
                answer = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise Unreachable(
                f"The catalog at {self.url} does not answer ({type(error).__name__}). Try again in a moment."
            ) from error
        if answer.is_success:
            return answer
        raise read_refusal(answer)


def _read(kind: type[R], answer: httpx.Response) -> R:
    return kind.model_validate_json(answer.content)


def _read_list(kind: type[R], answer: httpx.Response) -> list[R]:
    return TypeAdapter(list[kind]).validate_json(answer.content)  # type: ignore[valid-type]


def _of_series(SeriesInstanceUID: str | None) -> dict[str, str] | None:
    return None if SeriesInstanceUID is None else {"SeriesInstanceUID": SeriesInstanceUID}


def _quote(text: str) -> str:
    return quote(text, safe="")
