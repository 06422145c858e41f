"""QIDO-RS: every level, what can be asked, what comes back, page by page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from pydicom.datadict import keyword_for_tag

from aurelius_catalog.access.person import Person
from aurelius_catalog.hosting.host import create_service, mount_router
from aurelius_catalog.service import address, dicomweb
from aurelius_catalog.service.stores import read_settings
from aurelius_catalog.settings import CatalogSettings
from support.cohort import admit
from support.houses import DATABASES, find_server, make_settings
from support.servers_dicomweb import UNICODE, make_image
from support.service_client import serve_as


@pytest.fixture(scope="module", params=DATABASES)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    server = find_server(request.param)
    settings = make_settings(tmp_path_factory.mktemp("house"), server)
    yield from serve_three_studies(settings)


def serve_three_studies(settings: CatalogSettings) -> Iterator[TestClient]:
    """Fill a catalog with three studies of two images each, and serve it to somebody of the site."""
    objects = []
    for name, modality, day in (("alpha", "CT", "20200101"), ("beta", "MR", "20200215"), ("gamma", "MR", "20210301")):
        for number in (1, 2):
            dataset = make_image(name, number=number)
            dataset.Modality, dataset.StudyDate, dataset.StudyDescription = modality, day, UNICODE
            dataset.SpecificCharacterSet = "ISO_IR 192"
            objects.append(dataset)
    admit(objects, settings.home, settings.database_url)
    app = create_service("catalog")
    mount_router(app, dicomweb.router)
    nora = Person.of("nora", ["role-clinician", "site-north"])
    with serve_as(app, lambda: nora, home=settings.home, database_url=settings.database_url):
        yield TestClient(app, raise_server_exceptions=False)


def read_names(answer: Response, keyword: str = "PatientID") -> list[str]:
    """Return what each result says of an attribute."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/dicom+json"
    listed = [{keyword_for_tag(int(tag, 16)): entry for tag, entry in each.items()} for each in answer.json()]
    return sorted(str(each[keyword]["Value"][0]) for each in listed)


ALL = ["AUR-ALPHA", "AUR-BETA", "AUR-GAMMA"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", ALL),
        ("PatientID=AUR-BETA", ALL[1:2]),
        ("00100020=AUR-BETA", ALL[1:2]),
        ("PatientName=AUR-B*", ALL[1:2]),
        ("PatientName=beta&fuzzymatching=true", ALL[1:2]),
        ("PatientName=beta", []),
        ("PatientName=*&StudyDate=*&AccessionNumber=", ALL),
        ("ModalitiesInStudy=MR", ALL[1:]),
        ("ModalitiesInStudy=MR,CT", ALL),
        ("ModalitiesInStudy=MR\\CT", ALL),
        ("StudyDate=20200101-20201231", ALL[:2]),
        ("StudyDate=20200601-", ALL[2:]),
        ("StudyDate=20200215", ALL[1:2]),
        ("StudyDescription=*Łódź*", ALL),
        ("SeriesDescription=g?mma", ALL[2:]),
        ("SeriesDescription=*GAM*", []),
        ("SeriesDescription=*GAM*&fuzzymatching=true", ALL[2:]),
        ("Rows=6&Columns=10", ALL),
        ("Rows=7", []),
        ("site=north&has_segmentation=false", ALL),
        ("has_segmentation=true", []),
        ("AccessionNumber=12345", []),  # de-identification leaves none
        ("ReferringPhysicianName=Lancaster*", []),
    ],
)
def test_studies_are_found(client: TestClient, asked: str, found: list[str]) -> None:
    assert read_names(client.get(f"/dicomweb/studies?{asked}")) == found


def test_what_nobody_knows_is_said(client: TestClient) -> None:
    for asked, hint in (("Modalty=CT", "did you mean Modality"), ("StudyDat=2020", "StudyDate"), ("Rows=x", "Rows")):
        answer = client.get(f"/dicomweb/studies?{asked}")
        assert (answer.status_code, hint in answer.json()["detail"]) == (400, True), answer.text
    assert client.get("/dicomweb/studies?limit=-1").status_code == 422
    assert client.get("/dicomweb/studies", headers={"Accept": "application/dicom+xml"}).status_code == 406
    plain = client.get("/dicomweb/studies", headers={"Accept": "application/json"})
    assert plain.headers["content-type"] == "application/json"


def test_pages_follow_one_another_and_say_that_there_is_more(client: TestClient) -> None:
    for path, size in (("studies", 3), ("series", 3), ("instances", 6)):
        whole = client.get(f"/dicomweb/{path}").json()
        assert len(whole) == size
        pages = [client.get(f"/dicomweb/{path}?limit=1&offset={offset}") for offset in range(size)]
        assert [page.json()[0] for page in pages] == whole
        assert [("warning" in page.headers) for page in pages] == [True] * (size - 1) + [False]
        assert client.get(f"/dicomweb/{path}?offset={size}").json() == []


def test_answers_contain_what_is_asked_for(client: TestClient) -> None:
    always = client.get("/dicomweb/series?PatientID=AUR-BETA").json()[0]
    assert "00280010" not in always
    for field in ("Rows", "00280010", "all", "StudyDate,Rows", "Nonsense,Rows"):
        found = client.get(f"/dicomweb/series?PatientID=AUR-BETA&includefield={field}").json()[0]
        assert found["00280010"]["Value"] == [6]
    (study,) = client.get("/dicomweb/studies?PatientID=AUR-BETA").json()
    assert study["00080050"] == {"vr": "SH"}  # required, and empty
    assert study["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "AUR-BETA"}]}
    assert study["00081030"]["Value"] == [UNICODE]
    assert study["00081190"]["Value"] == [f"http://testserver/dicomweb/studies/{study['0020000D']['Value'][0]}"]


def test_instances_are_found_at_every_level(client: TestClient) -> None:
    (series,) = client.get("/dicomweb/series?PatientID=AUR-GAMMA").json()
    study, uid = series["0020000D"]["Value"][0], series["0020000E"]["Value"][0]
    for path in (
        f"instances?SeriesInstanceUID={uid}",
        f"instances?StudyInstanceUID={study},1.2.3",
        f"studies/{study}/instances",
        f"studies/{study}/series/{uid}/instances",
    ):
        assert read_names(client.get(f"/dicomweb/{path}"), "InstanceNumber") == ["1", "2"], path
    one = client.get(
        f"/dicomweb/studies/{study}/instances?InstanceNumber=2&includefield=PhotometricInterpretation"
    ).json()
    assert [each["00280004"]["Value"] for each in one] == [["MONOCHROME2"]]
    assert client.get(f"/dicomweb/studies/1.2.3/series/{uid}/instances").status_code == 404


def test_headers_are_told_as_the_objects_say_them(client: TestClient) -> None:
    (series,) = client.get("/dicomweb/series?PatientID=AUR-GAMMA").json()
    study, uid = series["0020000D"]["Value"][0], series["0020000E"]["Value"][0]
    for header in client.get(f"/dicomweb/studies/{study}/series/{uid}/metadata").json():
        assert header["00081030"]["Value"] == [UNICODE]
        assert header["00080005"]["Value"] == ["ISO_IR 192"]
        assert header["7FE00010"]["BulkDataURI"].endswith(f"{header['00080018']['Value'][0]}/bulkdata/7FE00010")


FORWARDED = {"X-Forwarded-For": "10.0.0.1"}


@pytest.mark.parametrize(
    ("house", "headers", "expected"),
    [
        ({}, {"Host": "a.example:8443", "X-Forwarded-Proto": "https,http", **FORWARDED}, "https://a.example:8443"),
        ({}, {"Host": "a.example", **FORWARDED}, "http://a.example"),
        # dicomweb-client leaves out the port: that of the house's proxy, if nothing else is on the way.
        ({"port": 8000}, {"Host": "a.example", **FORWARDED}, "http://a.example:8000"),
        ({"port": 8000}, {"Host": "a.example:9000", **FORWARDED}, "http://a.example:9000"),
        ({"port": 80}, {"Host": "a.example", **FORWARDED}, "http://a.example"),
        ({"port": 8000}, {"Host": "a.example", "X-Forwarded-For": "10.0.0.1, 10.0.0.2"}, "http://a.example"),
        # A house that knows its address says no other one.
        ({"public_url": "https://house.example/", "port": 8000}, {"Host": "evil.example:1"}, "https://house.example"),
        ({"public_url": "https://house.example"}, {"Host": "a", "X-Forwarded-Proto": "http"}, "https://house.example"),
    ],
)
def test_addresses_are_those_the_client_can_use(
    client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    house: dict[str, object],
    headers: dict[str, str],
    expected: str,
) -> None:
    changed = read_settings().model_copy(update=house)
    monkeypatch.setattr(address, "read_settings", lambda: changed)
    (study,) = client.get("/dicomweb/studies?PatientID=AUR-BETA", headers=headers).json()
    found = study["00081190"]["Value"][0]
    assert found.startswith(f"{expected}/dicomweb/studies/")
    (header, *_) = client.get(f"{found.removeprefix(expected)}/metadata", headers=headers).json()
    assert header["7FE00010"]["BulkDataURI"].startswith(f"{found}/series/")
