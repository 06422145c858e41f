"""Every route in the catalog's own OpenAPI list: closed without a login, mute about foreign projects, never failing.

A new route without an example here makes these tests fail: it is to be tried as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from aurelius_catalog.access.person import Person
from aurelius_catalog.records import NewPrediction, Segment
from aurelius_catalog.remote.labelmap_encoding import pack_labelmap
from aurelius_catalog.service.app import create_app
from support.cohort import Cohort, make_cohort
from support.derived import make_segmentation
from support.servers_catalog import PEOPLE
from support.service_client import believe_header, serve_as
from support.slide_files import write_pyramid
from support.slide_house import add_slide

#: Routes that say nothing about anybody's images and need no login.
OPEN = {"/health", "/metrics"}
METHODS = ("get", "post", "put", "patch", "delete")
ROUTES = [
    (method, path)
    for path, operations in sorted(create_app().openapi()["paths"].items())
    for method in METHODS
    if method in operations
]
NODULE = [Segment(number=1, label="nodule")]


@dataclass(frozen=True)
class House:
    """A catalog with one of everything on the chest of north, and what only its project may learn."""

    cohort: Cohort
    values: dict[str, str]
    secrets: frozenset[str]
    result: dict[str, Any]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    cohort = make_cohort(tmp_path_factory.mktemp("house"))
    rhea = cohort.open_as(Person.of("rhea", PEOPLE["rhea"]))
    record = rhea.get_series(cohort.north_chest)
    labels = np.zeros((12, 96, 96), np.uint8)
    labels[4:6, 40:50, 40:50] = 1
    annotation = rhea.add_annotation(cohort.north_chest, labels, NODULE, origin="notebook")
    found = NewPrediction(
        model="unet", model_hash="ab" * 32, finding="nodule", volume_mm3=9, confidence=0.9, uncertainty=0.1
    )
    prediction = rhea.add_prediction(cohort.north_chest, found, None)
    dataset = rhea.add_dataset("chests", [cohort.north_chest])
    instance = rhea.list_instances(cohort.north_chest)[0]
    scan = tmp_path_factory.mktemp("scan") / "slide.tif"
    write_pyramid(scan)
    slide = add_slide(cohort.settings, scan, project="lung")
    values = {
        "study": record.StudyInstanceUID,
        "series": cohort.north_chest,
        "uid": cohort.north_chest,
        "instance": instance.SOPInstanceUID,
        "numbers": "1",
        "place": "7FE00010",
        "slide": slide,
        "level": "0",
        "column": "0",
        "row": "0",
        "id_or_name": dataset.id,
        "dataset_id": dataset.id,
        "prediction_id": str(prediction.id),
    }
    secrets = {record.PatientID, instance.sha256, annotation.SOPInstanceUID, *values.values()} - {"1", "7FE00010"}
    sources: list[Dataset] = [
        dcmread(BytesIO(rhea.read_file(each.SOPInstanceUID))) for each in rhea.list_instances(values["series"])
    ]
    buffer = BytesIO()
    make_segmentation(sources).save_as(buffer, enforce_file_format=True)
    result = {
        "content": b"--XX\r\n\r\n" + buffer.getvalue() + b"\r\n--XX--\r\n",
        "headers": {"Content-Type": 'multipart/related; type="application/dicom"; boundary=XX'},
    }
    return House(cohort, values, frozenset(each for each in secrets if len(each) > 8), result)


@pytest.fixture(scope="module")
def client(house: House) -> Iterator[TestClient]:
    """Give a client of the whole service; the header ``person`` says who asks."""
    app = create_app()
    with (
        serve_as(app, believe_header(PEOPLE), home=house.cohort.settings.home),
        TestClient(app, raise_server_exceptions=False) as client,
    ):
        yield client


def fill(path: str, values: dict[str, str]) -> str:
    """Put an example into each place of a path."""
    if path.startswith("/slides/"):
        values = {**values, "series": values.get("slide", values["series"])}
    if path.startswith("/instances/"):
        values = {**values, "uid": values.get("instance", values["uid"])}
    return re.sub(r"{(\w+)(?::\w+)?}", lambda place: quote(values[place[1]], safe=""), path)


def make_body(method: str, path: str, house: House) -> dict[str, Any]:
    """Return a request's body, as the route wants it; all about the chest of north."""
    series = house.cohort.north_chest
    labels = {"labelmap": ("labelmap", pack_labelmap(np.zeros((12, 96, 96), np.uint8)))}
    segments = '{"segments": [{"number": 1, "label": "nodule"}], "origin": "notebook"}'
    finding = (
        '{"model": "unet", "model_hash": "ab", "finding": "nodule", "volume_mm3": 1, "confidence": 0.5, '
        '"uncertainty": 0.5}'
    )
    bodies: dict[tuple[str, str], dict[str, Any]] = {
        ("post", "/series/search"): {"json": {"SeriesInstanceUID": series}},
        ("post", "/series/count"): {"json": {"Modality": "CT"}},
        ("post", "/series/facets"): {"json": {"Modality": "CT"}, "params": {"keyword": "SeriesInstanceUID"}},
        ("post", "/series/table"): {"json": {"Modality": "CT"}},
        ("post", "/series/{uid}/frames"): {"json": {"frames": [[house.values["instance"], 0]]}},
        ("post", "/series/{uid}/annotations"): {"files": {"record": (None, segments), **labels}},
        ("post", "/series/{uid}/predictions"): {"files": {"record": (None, finding)}},
        ("post", "/predictions/{prediction_id}/decisions"): {"json": {"action": "accept"}},
        ("post", "/datasets"): {"json": {"name": "mine", "SeriesInstanceUIDs": [series]}},
        **dict.fromkeys((("post", "/dicomweb/studies"), ("post", "/dicomweb/studies/{study}")), house.result),
    }
    return {} if method == "get" else dict(bodies[method, path])


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_route_is_closed_without_a_login(house: House, method: str, path: str) -> None:
    anonymous = TestClient(create_app(), raise_server_exceptions=False)
    answer = anonymous.request(method, fill(path, house.values), **make_body(method, path, house))
    assert answer.status_code == (200 if path in OPEN else 401)
    assert not [secret for secret in house.secrets if secret in answer.text]


@pytest.mark.parametrize(("method", "path"), [each for each in ROUTES if each[1] not in OPEN])
def test_route_tells_a_foreign_project_nothing(client: TestClient, house: House, method: str, path: str) -> None:
    filled, body = fill(path, house.values), make_body(method, path, house)
    answer = client.request(method, filled, **{**body, "headers": {**body.get("headers", {}), "person": "bram"}})
    named = {secret for secret in house.secrets if secret in f"{filled} {body}"}
    assert not [secret for secret in house.secrets - named if secret in answer.text]
    if answer.status_code not in (403, 404):  # a list, without the chest, which the next test finds in it
        assert (answer.status_code, not named or answer.json() == []) == (200, True), answer.text


#: Who may do what a researcher may not.
OWNERS = {("post", "/predictions/{prediction_id}/decisions"): "nora"}


@pytest.mark.parametrize(("method", "path"), [each for each in ROUTES if each[1] not in OPEN])
def test_route_serves_its_own_project(client: TestClient, house: House, method: str, path: str) -> None:
    """The refusals above are for the rights' sake, and not because the examples are wrong."""
    owner = OWNERS.get((method, path), "rhea")
    body = make_body(method, path, house)
    body["headers"] = {**body.get("headers", {}), "person": owner}
    answer = client.request(method, fill(path, house.values), **body)
    assert answer.status_code in (200, 201), answer.text


KEYWORDS = ["Modality", "Rows", "SeriesNumber", "00080060", "StudyDate", "project", "site", "limit", "offset"]
KEYWORDS += ["includefield", "fuzzymatching", "PatientID", "text", "window", "viewport", "quality", "frame"]
VALUES = (
    st.text(max_size=20) | st.integers().map(str) | st.sampled_from(["*", "?", "20200101-", "-", ",", "1,2", "nan"])
)
ASCII = st.characters(min_codepoint=32, max_codepoint=126)
TYPES = ["application/dicom", "application/json", "image/png", "*/*", 'multipart/related; type="application/dicom"']


@pytest.mark.soak
@pytest.mark.parametrize("path", [path for method, path in ROUTES if method == "get"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_question_makes_a_route_fail(client: TestClient, house: House, path: str, data: st.DataObject) -> None:
    places = re.findall(r"{(\w+)", path)
    known = {**house.values, **({"series": house.values["slide"]} if path.startswith("/slides/") else {})}
    known |= {"uid": house.values["instance"]} if path.startswith("/instances/") else {}
    odd = {name: data.draw(st.just(known[name]) | st.text(min_size=1, max_size=70)) for name in places}
    filled = fill(path, {name: text.encode("utf-8", "replace").decode() for name, text in odd.items()})
    query = data.draw(st.dictionaries(st.sampled_from(KEYWORDS) | st.text(max_size=12), VALUES, max_size=3))
    accept = data.draw(st.sampled_from(TYPES) | st.text(ASCII, max_size=30))
    pairs = {name.encode("utf-8", "replace"): text.encode("utf-8", "replace") for name, text in query.items()}
    answer = client.get(filled, params=pairs, headers={"person": "rhea", "Accept": accept})
    assert answer.status_code < 500, (filled, query, accept)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS) | st.text(max_size=8), each),
    max_leaves=6,
)


@pytest.mark.soak
@pytest.mark.parametrize(("method", "path"), [each for each in ROUTES if each[0] != "get"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=JSON)
def test_no_body_makes_a_route_fail(client: TestClient, house: House, method: str, path: str, body: Any) -> None:
    answer = client.request(method, fill(path, house.values), json=body, headers={"person": "rhea"})
    assert answer.status_code < 500, (path, body)
