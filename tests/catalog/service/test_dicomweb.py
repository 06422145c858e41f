"""What DICOMweb answers, byte for byte, and what the service says to labels that do not fit; login replaced."""

from __future__ import annotations

import email.parser
import email.policy
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydicom import Dataset, dcmread

from aurelius_catalog.access.person import Person
from aurelius_catalog.hosting.host import create_service, mount_router
from aurelius_catalog.phantoms.bodies import make_phantom
from aurelius_catalog.remote.labelmap_encoding import pack_labelmap
from aurelius_catalog.service import dicomweb, rest
from support.cohort import SLICES, Cohort, make_cohort
from support.servers_catalog import PEOPLE
from support.service_client import serve_as


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_cohort(tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def client(cohort: Cohort) -> Iterator[TestClient]:
    app = create_service("catalog")
    mount_router(app, dicomweb.router)
    mount_router(app, rest.router)
    with serve_as(app, lambda: Person.of("rhea", PEOPLE["rhea"]), home=cohort.settings.home):
        yield TestClient(app, raise_server_exceptions=False)


def study_of(cohort: Cohort, series: str) -> str:
    return cohort.open_as(Person.service("test")).get_series(series).StudyInstanceUID


def split_parts(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    """Split a multipart answer as the standard library does."""
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    message = parser.parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    return [(str(part["Content-Type"]).replace('"', ""), part.get_content()) for part in message.iter_parts()]


def test_search_answers_dicom_json_of_what_the_person_may_see(client: TestClient, cohort: Cohort) -> None:
    answer = client.get("/dicomweb/studies", params={"ModalitiesInStudy": "CT", "includefield": "all", "limit": 100})
    assert answer.headers["content-type"] == "application/dicom+json"
    found = [Dataset.from_json(each) for each in answer.json()]
    assert {each.StudyInstanceUID for each in found} == {
        study_of(cohort, cohort.north_chest),
        study_of(cohort, cohort.south_chest),
    }
    assert {(each.NumberOfStudyRelatedSeries, each.NumberOfStudyRelatedInstances) for each in found} == {(1, 12)}
    assert len(client.get("/dicomweb/studies", params={"limit": 1, "offset": 1}).json()) == 1
    assert client.get("/dicomweb/studies", params={"00080060": "MR"}).json() == []
    assert len(client.get("/dicomweb/series", params={"0020000E": cohort.south_chest}).json()) == 1


def test_search_goes_down_to_series_and_instances(client: TestClient, cohort: Cohort) -> None:
    study = study_of(cohort, cohort.north_chest)
    series = Dataset.from_json(client.get(f"/dicomweb/studies/{study}/series").json()[0])
    assert (series.SeriesInstanceUID, series.Modality) == (cohort.north_chest, "CT")
    listed = client.get(f"/dicomweb/studies/{study}/series/{cohort.north_chest}/instances").json()
    assert len({Dataset.from_json(each).SOPInstanceUID for each in listed}) == 12


def test_unknown_attribute_is_400_with_the_nearest(client: TestClient) -> None:
    answer = client.get("/dicomweb/series", params={"Modalty": "CT"})
    assert answer.status_code == 400
    assert "Modality" in answer.json()["detail"]


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_retrieve_gives_the_files_as_stored(client: TestClient, cohort: Cohort, level: str) -> None:
    study, series = study_of(cohort, cohort.north_chest), cohort.north_chest
    instance = cohort.open_as(Person.service("test")).list_instances(series)[4].SOPInstanceUID
    path = (
        f"/dicomweb/studies/{study}"
        + {
            "study": "",
            "series": f"/series/{series}",
            "instance": f"/series/{series}/instances/{instance}",
        }[level]
    )
    answer = client.get(path, headers={"Accept": 'multipart/related; type="application/dicom"'})
    assert answer.headers["content-type"].startswith('multipart/related; type="application/dicom"')
    parts = split_parts(answer.headers["content-type"], answer.content)
    assert len(parts) == (1 if level == "instance" else 12)
    assert all(kind == "application/dicom; transfer-syntax=1.2.840.10008.1.2.1" for kind, _ in parts)
    image = make_phantom("ct-chest", 1).image[SLICES]
    for _, data in parts:
        dataset = dcmread(BytesIO(data))
        assert np.array_equal(dataset.pixel_array, image[dataset.InstanceNumber - 1])


def test_single_instance_as_plain_dicom(client: TestClient, cohort: Cohort) -> None:
    study, series = study_of(cohort, cohort.north_chest), cohort.north_chest
    instance = cohort.open_as(Person.service("test")).list_instances(series)[0].SOPInstanceUID
    path = f"/dicomweb/studies/{study}/series/{series}/instances/{instance}"
    answer = client.get(path, headers={"Accept": "application/dicom"})
    assert dcmread(BytesIO(answer.content)).SOPInstanceUID == instance


def test_metadata_has_headers_without_pixels(client: TestClient, cohort: Cohort) -> None:
    study = study_of(cohort, cohort.north_chest)
    headers = client.get(f"/dicomweb/studies/{study}/series/{cohort.north_chest}/metadata").json()
    assert len(headers) == 12
    place = f"http://testserver/dicomweb/studies/{study}/series/{cohort.north_chest}/instances/"
    assert all(
        header["7FE00010"]["BulkDataURI"].startswith(place) and "Value" not in header["7FE00010"] for header in headers
    )
    assert Dataset.from_json(headers[0], lambda _: b"").RescaleType == "HU"
    instance = headers[0]["00080018"]["Value"][0]
    one = client.get(f"/dicomweb/studies/{study}/series/{cohort.north_chest}/instances/{instance}/metadata").json()
    assert one == headers[:1]


def test_frames_single_and_multipart(client: TestClient, cohort: Cohort) -> None:
    study, series = study_of(cohort, cohort.north_chest), cohort.north_chest
    listed = cohort.open_as(Person.service("test")).list_instances(series)
    image = make_phantom("ct-chest", 1).image[SLICES]
    for index in (0, 7):
        path = f"/dicomweb/studies/{study}/series/{series}/instances/{listed[index].SOPInstanceUID}/frames"
        single = client.get(f"{path}/1", headers={"Accept": "application/octet-stream"})
        assert single.content == image[index].astype("<i2").tobytes()
        several = client.get(f"{path}/1,1")
        parts = split_parts(several.headers["content-type"], several.content)
        assert [data for _, data in parts] == [single.content] * 2
        assert client.get(f"{path}/2").status_code == 404
        assert client.get(f"{path}/0").status_code == 404
        assert client.get(f"{path}/first").status_code == 400


def test_foreign_and_mismatched_paths_are_refused(client: TestClient, cohort: Cohort) -> None:
    own, foreign = study_of(cohort, cohort.north_chest), study_of(cohort, cohort.north_brain)
    instance = cohort.open_as(Person.service("test")).list_instances(cohort.north_brain)[0].SOPInstanceUID
    brain = f"/dicomweb/studies/{foreign}/series/{cohort.north_brain}"
    for path in (brain, f"{brain}/metadata", f"{brain}/instances", f"{brain}/instances/{instance}"):
        assert client.get(path).status_code == 403, path
    assert client.get(f"{brain}/instances/{instance}/frames/1").status_code == 403
    assert client.get(f"/dicomweb/studies/{foreign}").status_code == 404
    mixed = f"/dicomweb/studies/{own}/series/{cohort.south_chest}"
    assert client.get(mixed).status_code == 404
    assert client.get(f"/dicomweb/studies/{own}/series/{cohort.north_chest}/instances/{instance}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not gzip",
        pack_labelmap(np.zeros((12, 96, 96), np.float32)),
        pack_labelmap(np.zeros((99, 512, 512), np.uint8)),
    ],  # type: ignore[arg-type]
    ids=["empty", "garbage", "floats", "too large"],
)
def test_bad_label_uploads_are_refused(client: TestClient, cohort: Cohort, body: bytes) -> None:
    record = '{"segments": [{"number": 1, "label": "nodule"}], "origin": "notebook"}'
    files = {"record": (None, record), "labelmap": ("labelmap", body)}
    answer = client.post(f"/series/{cohort.north_chest}/annotations", files=files)
    assert answer.status_code == 422
    assert answer.json()["error"] == "InvalidLabel"


def test_bad_label_record_is_refused(client: TestClient, cohort: Cohort) -> None:
    labelmap = pack_labelmap(np.zeros((12, 96, 96), np.uint8))
    for record in ("", "{", "[]", '{"segments": 1, "origin": "notebook"}', '{"segments": [], "origin": "x y"}'):
        files = {"record": (None, record), "labelmap": ("labelmap", labelmap)}
        assert client.post(f"/series/{cohort.north_chest}/annotations", files=files).status_code == 422, record
