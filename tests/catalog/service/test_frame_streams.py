"""The kernel's way to pixels: the bytes of the files, in the order asked for, to those who may have them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydicom.encaps import generate_frames
from pydicom.uid import RLELossless, generate_uid
from sqlalchemy import select

from aurelius_catalog.access.person import Person
from aurelius_catalog.dicom.frame_locations import strip_items
from aurelius_catalog.hosting.host import create_service, mount_router
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.schema import audit_events
from aurelius_catalog.local import reading_log
from aurelius_catalog.series import Series
from aurelius_catalog.service import frame_streams
from support.cohort import Cohort, admit, make_cohort, make_slice
from support.servers_catalog import PEOPLE, wait_until
from support.service_client import believe_header, serve_as


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_cohort(tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def client(cohort: Cohort) -> Iterator[TestClient]:
    app = create_service("catalog")
    mount_router(app, frame_streams.router)
    with (
        serve_as(app, believe_header(PEOPLE), home=cohort.settings.home),
        TestClient(app, raise_server_exceptions=False, headers={"person": "stella"}) as running,
    ):
        yield running


def open_series(cohort: Cohort, uid: str) -> Series:
    store = cohort.open_as(Person.service("test"))
    return Series(store, store.get_series(uid))


def read_spans(cohort: Cohort, series: Series, frames: list[tuple[int, int]]) -> bytes:
    """Cut frames out of the files, by where the records say they are: (number of the instance, of the frame)."""
    found = []
    for number, index in frames:
        instance = series.instances[number]
        offset, length = instance.frames[index]
        found.append((cohort.settings.files / instance.path).read_bytes()[offset : offset + length])
    return b"".join(found)


def ask(series: Series, frames: list[tuple[int, int]]) -> dict[str, object]:
    return {"frames": [[series.instances[number].SOPInstanceUID, index] for number, index in frames]}


def wait_for_disk(*_: object) -> int:
    raise BlockingIOError


@pytest.mark.parametrize("at_hand", [True, False])
@pytest.mark.parametrize("block", [1 << 20, 20_000, 1000])
def test_answer_is_the_bytes_in_the_order_asked_for(
    client: TestClient, cohort: Cohort, monkeypatch: pytest.MonkeyPatch, block: int, at_hand: bool
) -> None:
    monkeypatch.setattr(frame_streams, "BLOCK_BYTES", block)
    if not at_hand:  # as of files that the system does not hold in memory
        monkeypatch.setattr("aurelius_catalog.dicom.byte_ranges.os.preadv", wait_for_disk)
    series = open_series(cohort, cohort.north_chest)
    for wanted in ([(3, 0)], [(3, 0), (1, 0), (2, 0), (3, 0)], [(number, 0) for number in range(12)]):
        answer = client.post(f"/series/{cohort.north_chest}/frames", json=ask(series, wanted))
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-length"] == str(len(wanted) * 96 * 96 * 2)
        assert answer.content == read_spans(cohort, series, wanted)
    assert client.post(f"/series/{cohort.north_chest}/frames", json={"frames": []}).content == b""


def test_compressed_frames_come_with_the_headers_of_their_fragments(client: TestClient, cohort: Cohort) -> None:
    source = make_slice("ct-chest", 0, np.random.default_rng(1).integers(0, 99, (30, 8)), (1.0, 1.0, 1.0))
    source.Rows, source.NumberOfFrames, source.SOPInstanceUID = 3, 10, generate_uid()
    source.compress(RLELossless)
    (series,) = admit([source], cohort.settings.home)
    wanted = [(0, 4), (0, 0)]
    answer = client.post(f"/series/{series.record.SeriesInstanceUID}/frames", json=ask(series, wanted))
    assert answer.content == read_spans(cohort, series, wanted)
    frames = list(generate_frames(source.PixelData, number_of_frames=10))
    first = series.instances[0].frames[4][1]
    assert [strip_items(answer.content[:first]), strip_items(answer.content[first:])] == [frames[4], frames[0]]


def test_reading_is_recorded_once_and_refused_to_others_unrecorded(client: TestClient, cohort: Cohort) -> None:
    series = open_series(cohort, cohort.north_chest)
    body = ask(series, [(0, 0)])
    for _ in range(3):
        answer = client.post(f"/series/{cohort.north_chest}/frames", json=body, headers={"person": "nora"})
        assert answer.status_code == 200
    assert client.post(f"/series/{cohort.north_chest}/frames", json=body, headers={"person": "bram"}).status_code == 403
    # A frame of another series than the one the rights were asked for.
    assert client.post(f"/series/{cohort.north_brain}/frames", json=body, headers={"person": "bram"}).status_code == 404
    with open_engine(cohort.settings).begin() as connection:
        noted = select(audit_events.c.person, audit_events.c.object)
        noted = noted.where(audit_events.c.action == "read series", audit_events.c.person.in_(["nora", "bram"]))
        listed = connection.execute(noted).all()
    assert listed == [("nora", cohort.north_chest), ("bram", cohort.north_brain)]


def test_what_was_asked_for_a_moment_ago_needs_no_thread(
    client: TestClient, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = ask(open_series(cohort, cohort.north_chest), [(0, 0), (1, 0)])
    first = client.post(f"/series/{cohort.north_chest}/frames", json=body)

    async def refuse(*_: object) -> None:
        raise AssertionError("a thread was asked")

    monkeypatch.setattr(frame_streams, "run_in_threadpool", refuse)
    assert client.post(f"/series/{cohort.north_chest}/frames", json=body).content == first.content


def test_what_is_not_there_is_said(client: TestClient, cohort: Cohort) -> None:
    series = open_series(cohort, cohort.south_chest)
    uid = series.instances[0].SOPInstanceUID
    for frames, status in (
        ([[uid, 1]], 404),
        ([["1.2.3", 0]], 404),
        ([[uid, -1]], 422),
        ([[uid, 2**70]], 422),
        ([[uid]], 422),
        ([["1" * 100, 0]], 422),
        ([["\x00", 0]], 422),
        ("all", 422),
    ):
        assert client.post(f"/series/{cohort.south_chest}/frames", json={"frames": frames}).status_code == status
    assert client.post("/series/1.2.3/frames", json={"frames": []}).status_code == 404
    (cohort.settings.files / series.instances[0].path).unlink()
    answer = client.post(f"/series/{cohort.south_chest}/frames", json=ask(series, [(0, 0)]))
    assert (answer.status_code, "backup" in answer.json()["detail"]) == (404, True)


def test_rights_end_within_seconds_for_who_reads_on(
    client: TestClient, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_log, "RIGHTS_S", 0.3)
    monkeypatch.setattr("aurelius_catalog.local.images.OPENINGS", reading_log.ReadingLog())
    body = ask(open_series(cohort, cohort.north_brain), [(0, 0)])

    def read() -> int:
        return client.post(f"/series/{cohort.north_brain}/frames", json=body, headers={"person": "bram"}).status_code

    assert read() == 200
    with open_engine(cohort.settings).begin() as connection:
        taken = connection.exec_driver_sql("SELECT scope, project FROM scope_projects WHERE project = 'brain'").all()
        connection.exec_driver_sql("DELETE FROM scope_projects WHERE project = 'brain'")
    assert taken
    wait_until(lambda: read() == 403, "the rights have ended", 2)
