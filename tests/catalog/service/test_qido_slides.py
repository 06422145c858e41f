"""QIDO-RS over slides that are no DICOM files: their levels are found as instances are, on every route alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydicom import Dataset
from pydicom.uid import CTImageStorage, VLWholeSlideMicroscopyImageStorage

from aurelius_catalog.access.person import Person
from aurelius_catalog.hosting.host import create_service, mount_router
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.service import dicomweb, level_search
from aurelius_catalog.settings import CatalogSettings
from support.cohort import admit
from support.houses import DATABASES, find_server, make_settings
from support.servers_dicomweb import make_image
from support.service_client import serve_as
from support.slide_files import write_pyramid
from support.slide_house import add_slide

NORA = Person.of("nora", ["role-clinician", "site-north"])
BRAM = Person.of("bram", ["role-researcher", "project-brain"])


class House:
    """A CT of two images and two slide files, seen by a person of their site."""

    def __init__(
        self, settings: CatalogSettings, client: TestClient, chest: Dataset, slides: list[tuple[str, str]]
    ) -> None:
        self.settings, self.client, self.chest, self.slides, self.person = settings, client, chest, slides, NORA

    def ask(self, path: str, **question: Any) -> list[str]:
        """Return the SOPInstanceUIDs found."""
        answer = self.client.get(f"/dicomweb{path}", params=question)
        assert answer.status_code == 200, answer.text
        return [each["00080018"]["Value"][0] for each in answer.json()]


@pytest.fixture(scope="module", params=DATABASES)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    server = find_server(request.param)
    settings = make_settings(folder, server)
    chest = [make_image("chest", number=number) for number in (1, 2)]
    admit(chest, settings.home, settings.database_url)
    slides = []
    for name in ("first.tif", "second.tif"):
        write_pyramid(folder / name)
        uid = add_slide(settings, folder / name)
        slides.append((LocalStore(settings, Person.service("test")).get_series(uid).StudyInstanceUID, uid))
    app = create_service("catalog")
    mount_router(app, dicomweb.router)
    found = House(settings, TestClient(app, raise_server_exceptions=False), chest[0], slides)
    with serve_as(app, lambda: found.person, home=settings.home, database_url=settings.database_url):
        yield found


def spell_routes(study: str, series: str) -> list[tuple[str, dict[str, str]]]:
    """Return the ways to ask for the instances of one series."""
    return [
        (f"/studies/{study}/series/{series}/instances", {}),
        (f"/studies/{study}/instances", {}),
        (f"/studies/{study}/instances", {"SeriesInstanceUID": series}),
        ("/instances", {"SeriesInstanceUID": series}),
        ("/instances", {"StudyInstanceUID": study, "Modality": "SM"}),
    ]


def test_every_route_lists_the_levels_that_match(house: House) -> None:
    study, series = house.slides[0]
    whole = house.ask(f"/studies/{study}/series/{series}/instances")
    assert len(whole) > 1
    for path, named in spell_routes(study, series):
        assert house.ask(path, **named) == whole
        assert house.ask(path, **named, InstanceNumber="2") == [whole[1]]
        assert house.ask(path, **named, SOPInstanceUID=whole[1]) == [whole[1]]
        assert house.ask(path, **named, SOPInstanceUID=f"{whole[1]},{whole[0]},1.2.3") == whole[:2]
        assert house.ask(path, **named, SOPClassUID=VLWholeSlideMicroscopyImageStorage, Rows="512") == whole
        for other in ({"SOPClassUID": CTImageStorage}, {"Rows": "7"}, {"PatientID": "nobody"}, {"StudyID": "1"}):
            assert house.ask(path, **named, **other) == [], (path, other)
        assert house.ask(path, **named, PhotometricInterpretation="YBR*") == whole
        assert house.ask(path, **named, limit="1", offset="1") == whole[1:2]
        answer = house.client.get(f"/dicomweb{path}", params={**named, "InstanceNumber": "two"})
        assert answer.status_code == 400


def test_pages_hold_levels_and_images_alike(house: House) -> None:
    levels = [house.ask(f"/studies/{study}/series/{series}/instances") for study, series in house.slides]
    everybody = ",".join([*(study for study, _ in house.slides), house.chest.StudyInstanceUID])
    everything = house.ask("/instances", StudyInstanceUID=everybody)
    assert everything[:-2] == [*levels[0], *levels[1]]
    pages = [house.ask("/instances", StudyInstanceUID=everybody, limit=1, offset=at) for at in range(len(everything))]
    assert [uid for page in pages for uid in page] == everything
    assert house.ask("/instances", StudyInstanceUID=everybody, offset=len(everything)) == []
    assert house.ask("/instances", StudyInstanceUID=everybody, InstanceNumber=2) == [
        *(uids[1] for uids in levels),
        everything[-1],
    ]


def test_what_is_left_out_is_said(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = house.client.get("/dicomweb/instances")
    assert (len(answer.json()), "Slide files" in answer.headers["warning"]) == (2, True)
    assert "warning" not in house.client.get("/dicomweb/instances?Modality=CT").headers
    monkeypatch.setattr(level_search, "MOST_SLIDES", 1)
    both = [uid for _, uid in house.slides]
    answer = house.client.get("/dicomweb/instances", params={"SeriesInstanceUID": ",".join(both), "limit": 1})
    assert answer.headers["warning"].count("299 aurelius") == 2
    [found] = answer.json()
    assert found["0020000E"]["Value"] == both[:1]


def test_a_damaged_slide_spoils_no_search(house: House, tmp_path: Path) -> None:
    study, series = house.slides[1]
    [held] = LocalStore(house.settings, Person.service("test")).list_instances(series)
    path = house.settings.files / held.path
    content = path.read_bytes()
    level_search._SIZES.clear()
    path.write_bytes(b"no slide any more")
    try:
        answer = house.client.get(f"/dicomweb/studies/{study}/series/{series}/instances")
    finally:
        path.write_bytes(content)
    assert (answer.status_code, answer.json(), "Slide files" in answer.headers["warning"]) == (200, [], True)
    assert house.ask(f"/studies/{study}/series/{series}/instances")


def test_foreign_slides_are_not_found(house: House) -> None:
    study, series = house.slides[0]
    [level, *_] = house.ask("/instances", SeriesInstanceUID=series)
    house.person = BRAM
    try:
        assert house.ask("/instances", SOPInstanceUID=level, SeriesInstanceUID=series) == []
        assert house.ask(f"/studies/{study}/instances") == []
        assert house.client.get(f"/dicomweb/studies/{study}/series/{series}/instances").status_code in (403, 404)
    finally:
        house.person = NORA
