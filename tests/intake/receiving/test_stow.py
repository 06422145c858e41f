"""STOW-RS as dicomweb-client speaks it, and what is answered to nonsense; without a hub, login replaced."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests
from dicomweb_client import DICOMwebClient
from fastapi import FastAPI
from pydicom import dcmread

from aurelius_catalog.access.person import Person
from aurelius_catalog.hosting.host import create_service, mount_router, serve_beside
from aurelius_catalog.hosting.login import current_person
from aurelius_hub.ports import find_free_ports
from aurelius_intake.metrics import REFUSED
from aurelius_intake.receiving.sites import Site
from aurelius_intake.receiving.stow import StowRoutes
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.zone.folders import Zone
from support.builders import VISIT, write_ct

PERSONS = {
    "stella": Person.of("stella", ["role-steward"]),
    "gateway": Person.of("gateway", []),
    "nora": Person.of("nora", ["role-clinician", "site-north"]),
}
WHOLE = 'multipart/related; type="application/dicom"; boundary=B'
STUDY = VISIT.make_uid("study")


class House:
    """The routes on a real server; ``person`` is who asks next."""

    def __init__(self, home: Path, port: int) -> None:
        self.zone = Zone(IntakeSettings(home=home))
        self.url = f"http://127.0.0.1:{port}"
        self.person = PERSONS["stella"]

    def make_app(self, **changes: object) -> FastAPI:
        settings = IntakeSettings(home=self.zone.root.parent, **changes)  # type: ignore[arg-type]
        app = create_service("intake")
        mount_router(app, StowRoutes(settings, self.zone, {"north": Site(senders=frozenset({"gateway"}))}).router)
        app.dependency_overrides[current_person] = lambda: self.person
        return app

    def list_inbox(self) -> list[Path]:
        return sorted(path for path in self.zone.inbox.rglob("*") if path.is_file())

    def list_arriving(self) -> list[Path]:
        return list((self.zone.root / "arriving" / "stow").iterdir())

    def post(self, body: bytes | Iterator[bytes], kind: str = WHOLE, path: str = "north/studies") -> httpx.Response:
        return httpx.post(f"{self.url}/stow/{path}", content=body, headers={"Content-Type": kind}, timeout=60)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    (port,) = find_free_ports(1)
    monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", f"http://127.0.0.1:{port}")
    house = House(tmp_path / "home", port)
    with serve_beside(house.make_app()):
        yield house


def pack(*contents: bytes) -> bytes:
    parts = [b"\r\n--B\r\nContent-Type: application/dicom\r\n\r\n" + content for content in contents]
    return b"".join(parts) + b"\r\n--B--"


def test_dicomweb_client_stores_a_series(house: House, tmp_path: Path) -> None:
    files = write_ct(tmp_path / "ct", slices=40)
    start = time.perf_counter()
    answer = DICOMwebClient(f"{house.url}/stow/north").store_instances([dcmread(file) for file in files])
    print(f"STOW-RS: {40 / (time.perf_counter() - start):.0f} objects/s")
    sent = {dcmread(file).SOPInstanceUID for file in files}
    assert {item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence} == sent
    assert "FailedSOPSequence" not in answer
    stored = house.list_inbox()
    assert {dcmread(path).SOPInstanceUID for path in stored} == sent
    assert all(path.relative_to(house.zone.inbox).parts[:2] == ("north", "stow") for path in stored)
    assert house.list_arriving() == []


def test_bytes_are_kept_whatever_is_in_them(house: House, tmp_path: Path) -> None:
    content = write_ct(tmp_path / "ct", slices=1)[0].read_bytes() + b"\r\n--A\r\n\r\n--\r--B" * 3
    assert house.post(pack(content)).status_code == 200
    assert house.list_inbox()[0].read_bytes() == content


@pytest.mark.parametrize(
    ("good", "bad", "status"), [(2, 0, 200), (1, 1, 202), (0, 2, 409)], ids=["all", "some", "none"]
)
def test_status_says_how_much_was_taken(good: int, bad: int, status: int, house: House, tmp_path: Path) -> None:
    files = write_ct(tmp_path / "ct", slices=2)
    answer = house.post(pack(*(file.read_bytes() for file in files[:good]), *([b"no DICOM"] * bad)))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/dicom+json"
    assert len(answer.json().get("00081199", {"Value": []})["Value"]) == good
    assert len(answer.json().get("0008119A", {"Value": []})["Value"]) == bad
    assert len(house.list_inbox()) == good
    assert house.list_arriving() == []


def test_an_object_of_another_study_fails_with_its_name(house: House, tmp_path: Path) -> None:
    one, other = write_ct(tmp_path / "a", slices=1)[0], write_ct(tmp_path / "b", number=2, slices=1)[0]
    study = dcmread(one).StudyInstanceUID
    answer = house.post(pack(one.read_bytes(), other.read_bytes()), path=f"north/studies/{study}")
    assert answer.status_code == 202
    (failed,) = answer.json()["00081198"]["Value"]
    assert failed["00081155"]["Value"] == [dcmread(other).SOPInstanceUID]
    assert failed["00081197"]["Value"] == [0xA900]


@pytest.mark.parametrize(
    "kind",
    [
        "application/dicom",
        'multipart/related; type="application/dicom+json"; boundary=B',
        'multipart/related; type="application/dicom+xml"; boundary=B',
        "",
    ],
)
def test_what_is_not_whole_objects_is_415(kind: str, house: House) -> None:
    answer = house.post(pack(b"x"), kind)
    assert answer.status_code == 415
    assert "whole objects" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/related; type=application/dicom", b""),
        (WHOLE, b"nothing that begins with a boundary"),
        (WHOLE, b"--B\r\nContent-Type: application/dicom\r\n\r\ncut off"),
        (WHOLE, b""),
    ],
)
def test_a_broken_body_is_400_and_leaves_nothing(kind: str, body: bytes, house: House) -> None:
    assert house.post(body, kind).status_code == 400
    assert house.list_inbox() == []
    assert house.list_arriving() == []


def test_a_connection_that_breaks_leaves_nothing(house: House, tmp_path: Path) -> None:
    content = write_ct(tmp_path / "ct", slices=1)[0].read_bytes()

    def break_off() -> Iterator[bytes]:
        yield pack(content).removesuffix(b"--B--") + bytes(3 << 20)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        house.post(break_off())
    until = time.monotonic() + 10
    while house.list_arriving() and time.monotonic() < until:
        time.sleep(0.02)
    assert house.list_arriving() == []
    assert house.list_inbox() == []


def test_a_full_disk_is_503(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = find_free_ports(1)
    monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", f"http://127.0.0.1:{port}")
    before = REFUSED.labels("stow", "disk")._value.get()
    with serve_beside(house.make_app(intake_reserve_mb=1 << 40)):
        house.url = f"http://127.0.0.1:{port}"
        answer = house.post(pack(write_ct(tmp_path / "ct")[0].read_bytes()))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert house.list_inbox() == []
    assert REFUSED.labels("stow", "disk")._value.get() == before + 1


@pytest.mark.parametrize(
    ("person", "site", "status"),
    [
        ("stella", "north", 200),
        ("gateway", "north", 200),
        ("gateway", "south", 403),
        ("nora", "north", 403),
        ("stella", "nowhere", 404),
    ],
)
def test_who_may_send_where(person: str, site: str, status: int, house: House, tmp_path: Path) -> None:
    (house.zone.inbox / "south").mkdir()
    house.person = PERSONS[person]
    body = pack(write_ct(tmp_path / "ct")[0].read_bytes())
    assert house.post(body, path=f"{site}/studies").status_code == status
    assert len(house.list_inbox()) == (status == 200)


def test_memory_does_not_grow_with_the_request(house: House, tmp_path: Path) -> None:
    content = write_ct(tmp_path / "ct", slices=1)[0].read_bytes()

    def stream() -> Iterator[bytes]:
        yield b"--B\r\nContent-Type: application/dicom\r\n\r\n" + content
        for _ in range(100):
            yield bytes(1 << 20)
        yield b"\r\n--B--"

    tracemalloc.start()
    try:
        assert requests.post(
            f"{house.url}/stow/north/studies", data=stream(), headers={"Content-Type": WHOLE}, timeout=60
        ).ok
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30 << 20
    assert house.list_inbox()[0].stat().st_size == len(content) + (100 << 20)
