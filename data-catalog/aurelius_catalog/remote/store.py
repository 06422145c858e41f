"""The catalog through its service: what a notebook holds, with the rights of the person it belongs to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import TypeAdapter

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.records import (
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
    SlideRecord,
    WorklistRow,
)
from aurelius_catalog.remote import frames as remote_frames
from aurelius_catalog.remote.connection import Connection, TokenSource
from aurelius_catalog.remote.keyword_encoding import pack_keywords
from aurelius_catalog.remote.labelmap_encoding import pack_labelmap
from aurelius_catalog.remote.shared_files import SharedFiles
from aurelius_catalog.settings import CatalogSettings
from aurelius_catalog.store import LabelMap

R = TypeVar("R", bound=Record)


class HttpStore:
    """The `Store` protocol over HTTP; connections are kept and shared between threads.

    Reading is repeated for some seconds while the house starts anew. A pickle holds no token: the process that
    opens it finds its own in ``JUPYTERHUB_API_TOKEN``.

    Parameters
    ----------
    url
        Address of the catalog service, such as ``http://127.0.0.1:8000/services/catalog``.
    token
        A hub token of the person, or what returns the one of the moment: it is called again when the hub no longer
        knows the last. By default the token is that in ``JUPYTERHUB_API_TOKEN``, where a notebook finds its own.
    """

    def __init__(self, url: str, token: str | Callable[[], str] | None = None) -> None:
        self.url = url.rstrip("/")
        find = _read_token if token is None else (lambda: token) if isinstance(token, str) else token
        self._tokens = TokenSource(find)
        self._transport = Connection(self.url, self._tokens)
        settings = CatalogSettings()
        # The socket is that of the environment's house: the token of another has no business there.
        at_home = self.url == settings.catalog_url.rstrip("/")
        self._shared_files = SharedFiles(settings.handover if at_home else None, lambda: self._tokens.token)

    def __repr__(self) -> str:
        return f"HttpStore({self.url!r})"  # never the token

    def __reduce__(self) -> tuple[type[HttpStore], tuple[str]]:
        if self._tokens.token != _read_token():
            raise InvalidRequest(
                "A catalog that was opened with a token of its own cannot be sent to another process. Put the token "
                "into the environment variable JUPYTERHUB_API_TOKEN and open the catalog without one."
            )
        return HttpStore, (self.url,)

    def close(self) -> None:
        """Close the kept connections."""
        self._transport.close()

    # -- looking ---------------------------------------------------------------------------------

    @cached_property
    def person(self) -> Person:
        """Whose token this is, as the hub says."""
        who = self._get("whoami").json()
        return Person.of(who["name"], who["groups"])

    def find_series(self, **keywords: object) -> list[SeriesRecord]:
        """Return the visible series that match; see `Store.find_series`."""
        return _read_list(SeriesRecord, self._ask("search", keywords))

    def find_page(self, keywords: Mapping[str, object], limit: int, offset: int = 0) -> list[SeriesRecord]:
        """Return a page of the visible series that match; see `Store.find_page`."""
        page = {"limit": str(limit), "offset": str(offset)}
        return _read_list(SeriesRecord, self._ask("search", keywords, page))

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
        return _read(SeriesRecord, self._get(f"series/{_quote(SeriesInstanceUID)}"))

    def list_instances(self, SeriesInstanceUID: str) -> list[InstanceRecord]:
        """Return the instances of a series in slice order; see `Store.list_instances`."""
        return _read_list(InstanceRecord, self._get(f"series/{_quote(SeriesInstanceUID)}/instances"))

    def read_frame(self, instance: InstanceRecord, index: int) -> bytes:
        """Return one frame as stored; see `Store.read_frame`.

        Raises
        ------
        IndexError
            If the instance has no such frame.
        """
        return self.read_frames([(instance, index)])[0]

    def read_frames(self, frames: Sequence[tuple[InstanceRecord, int]]) -> list[bytes]:
        """Return many frames as stored; see `Store.read_frames`."""
        found = self._shared_files.read_frames(frames)
        return remote_frames.read_frames(self._transport, frames) if found is None else found

    def fill_frames(self, frames: Sequence[tuple[InstanceRecord, int]], out: NDArray[np.uint8]) -> None:
        """Read native frames straight into an array; see `Store.fill_frames`."""
        if not self._shared_files.fill_frames(frames, out):
            remote_frames.fill_frames(self._transport, frames, out)

    def read_file(self, SOPInstanceUID: str) -> bytes:
        """Return a whole file; see `Store.read_file`."""
        return self._get(f"instances/{_quote(SOPInstanceUID)}/file", accept="*/*").content

    # -- slides ----------------------------------------------------------------------------------

    def describe_slide(self, SeriesInstanceUID: str) -> SlideRecord:
        """Return the levels of a slide; see `Store.describe_slide`."""
        return _read(SlideRecord, self._get(f"slides/{_quote(SeriesInstanceUID)}"))

    def read_slide_region(
        self, SeriesInstanceUID: str, level: int, x: int, y: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Return a region of a slide; see `Store.read_slide_region`."""
        place = {"x": str(x), "y": str(y), "width": str(width), "height": str(height)}
        path = f"slides/{_quote(SeriesInstanceUID)}/levels/{level}/region"
        answer = self._get(path, place, accept="application/octet-stream")
        return np.frombuffer(answer.content, np.uint8).reshape(height, width, 3)

    def read_slide_tile(self, SeriesInstanceUID: str, level: int, column: int, row: int) -> bytes:
        """Return a DeepZoom tile of a slide; see `Store.read_slide_tile`."""
        path = f"slides/{_quote(SeriesInstanceUID)}/tiles/{level}/{column}_{row}.jpg"
        return self._get(path, accept="image/jpeg").content

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

    def read_dataset_card(self, dataset_id: str) -> str:
        """Return the data card of a dataset; see `Store.read_dataset_card`."""
        return self._get(f"datasets/{_quote(dataset_id)}/card", accept="text/html").text

    def verify_dataset(self, dataset_id: str) -> Iterator[DatasetCheck]:
        """Let the service read every file of a dataset again; see `Store.verify_dataset`."""
        for line in self._transport.stream_lines(f"datasets/{_quote(dataset_id)}/verification"):
            yield DatasetCheck.model_validate_json(line)

    # -- inside ----------------------------------------------------------------------------------

    def _ask(
        self, what: str, keywords: Mapping[str, object], params: Mapping[str, str] | None = None
    ) -> httpx.Response:
        body = pack_keywords(keywords)
        return self._transport.send("POST", f"series/{what}", reading=True, json=body, params=params)

    def _get(self, path: str, params: Mapping[str, str] | None = None, accept: str | None = None) -> httpx.Response:
        headers = {"Accept": accept} if accept else None
        return self._transport.send("GET", path, reading=True, params=params, headers=headers)

    def _upload(self, path: str, record: str, labelmap: LabelMap | None) -> httpx.Response:
        files: dict[str, Any] = {"record": (None, record, "application/json")}
        if labelmap is not None:
            files["labelmap"] = ("labelmap.npy.gz", pack_labelmap(labelmap), "application/gzip")
        return self._send("POST", path, files=files)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._transport.send(method, path, reading=False, **options)


def _read(kind: type[R], answer: httpx.Response) -> R:
    return kind.model_validate_json(answer.content)


def _read_list(kind: type[R], answer: httpx.Response) -> list[R]:
    return TypeAdapter(list[kind]).validate_json(answer.content)  # type: ignore[valid-type]


def _of_series(SeriesInstanceUID: str | None) -> dict[str, str] | None:
    return None if SeriesInstanceUID is None else {"SeriesInstanceUID": SeriesInstanceUID}


def _quote(text: str) -> str:
    return quote(text, safe="")


def _read_token() -> str:
    return os.environ.get("JUPYTERHUB_API_TOKEN", "")
