"""Files handed over open on the service's machine: the same bytes, rights and records as over HTTP, or HTTP."""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from threading import Thread

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydicom.uid import RLELossless, generate_uid
from sqlalchemy import select

from aurelius_catalog.access.person import Person
from aurelius_catalog.catalog import open_catalog
from aurelius_catalog.errors import PermissionDenied, Withdrawn
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.index.schema import audit_events
from aurelius_catalog.phantoms.bodies import make_phantom
from aurelius_catalog.records import InstanceRecord
from aurelius_catalog.remote.shared_files import FILES, FRAMES, split_frames
from aurelius_catalog.remote.store import HttpStore
from aurelius_catalog.service.app import create_app
from aurelius_hub.ports import find_free_ports
from aurelius_intake.vault import create_vault
from aurelius_intake.withdrawal.withdrawal import withdraw_patient
from support.cohort import SLICES, Cohort, admit, make_cohort, make_slice
from support.moody_service import Answer, moody_service
from support.servers_catalog import PEOPLE, Hub, managed_service, temp_hub
from support.service_client import believe_header, serve_as

STELLA = Person.of("stella", PEOPLE["stella"])
MANY = FILES * 2 + 50


@dataclass(frozen=True)
class House:
    """A catalog below a hub, and the socket it hands files over on."""

    cohort: Cohort
    hub: Hub
    place: Path
    tokens: dict[str, str]
    many: str
    compressed: str

    @property
    def url(self) -> str:
        return f"{self.hub.url}/services/catalog"

    def count(self) -> tuple[int, int]:
        """Return how many files were handed over, and how often frames were asked for over HTTP."""
        told = httpx.get(f"{self.url}/metrics", timeout=10).text
        handed = re.search(r"^aurelius_handed_files_total (\S+)", told, re.MULTILINE)
        posted = re.findall(r'^aurelius_requests_total\{.*/series/\{uid\}/frames".*\} (\S+)', told, re.MULTILINE)
        return int(float(handed[1])) if handed else 0, int(sum(map(float, posted)))

    def ask(self, person: str, series: str, frames: list[tuple[str, int]]) -> tuple[dict[str, object], list[int]]:
        """Ask as a process would that has no client: the answer, and the descriptors that came with it."""
        question = {"token": self.tokens.get(person, person), "series": series, "frames": frames}
        return ask_socket(self.place, json.dumps(question).encode() + b"\n")


def ask_socket(place: Path, question: bytes) -> tuple[dict[str, object], list[int]]:
    with socket.socket(socket.AF_UNIX) as way:
        way.settimeout(20)
        way.connect(str(place))
        way.sendall(question)
        line, files, _, _ = socket.recv_fds(way, 1 << 20, FILES)
    answer: dict[str, object] = json.loads(line)
    return answer, files


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    cohort = make_cohort(folder / "home")
    place = folder / "handover" / "catalog"
    tiny = [make_slice("ct-chest", number, np.full((4, 4), number), (1.0, 1.0, 1.0)) for number in range(MANY)]
    study, series = generate_uid(), generate_uid()
    for each in tiny:
        each.StudyInstanceUID, each.SeriesInstanceUID, each.SOPInstanceUID = study, series, generate_uid()
    coded = make_slice("ct-chest", 0, np.random.default_rng(1).integers(0, 99, (30, 8)), (1.0, 1.0, 1.0))
    coded.Rows, coded.NumberOfFrames, coded.SOPInstanceUID = 3, 10, generate_uid()
    coded.compress(RLELossless)
    (many,), (compressed,) = (admit(files, cohort.settings.home) for files in (tiny, [coded]))
    variables = {"AURELIUS_HOME": str(cohort.settings.home), "AURELIUS_HANDOVER": str(place)}
    command = [sys.executable, "-m", "aurelius_catalog.service"]
    service = managed_service("catalog", command, variables, find_free_ports(1)[0])
    with temp_hub(folder / "hub", [service]) as hub:
        tokens = {name: hub.make_token(name) for name in PEOPLE if name != "gil"}
        yield House(cohort, hub, place, tokens, many.record.SeriesInstanceUID, compressed.record.SeriesInstanceUID)


@pytest.fixture
def open_as(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], HttpStore]]:
    """Open the catalog as a kernel of the house would."""
    monkeypatch.setenv("AURELIUS_CATALOG_URL", house.url)
    monkeypatch.setenv("AURELIUS_HANDOVER", str(house.place))
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(closing(HttpStore(house.url, house.tokens[name])))


OpenAs = Callable[[str], HttpStore]


def read_locally(house: House, uid: str) -> list[bytes]:
    store = house.cohort.open_as(STELLA)
    return store.read_frames([(each, at) for each in store.list_instances(uid) for at in range(len(each.frames))])


def test_a_notebook_reads_a_volume_from_files_handed_over(
    house: House, open_as: OpenAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", house.tokens["rhea"])
    before = house.count()
    image = open_catalog().series(house.cohort.north_chest).to_xarray(dtype="stored").load()
    assert np.array_equal(image, make_phantom("ct-chest", 1).image[SLICES])
    assert house.count() == (before[0] + 12, before[1])


def test_compressed_frames_and_long_series_are_the_same_bytes(house: House, open_as: OpenAs) -> None:
    store, before = open_as("stella"), house.count()
    (instance,) = store.list_instances(house.compressed)
    frames = [(instance, number) for number in (4, 0, -1)]
    assert store.read_frames(frames) == house.cohort.open_as(STELLA).read_frames(frames)
    listed = store.list_instances(house.many)
    out = np.empty((MANY, 32), np.uint8)
    store.fill_frames([(each, 0) for each in listed], out)
    assert [row.tobytes() for row in out] == read_locally(house, house.many)
    assert store.read_frames([(listed[0], 0), (instance, 0)])[1] == store.read_frame(instance, 0)
    assert house.count() == (before[0] + 1 + MANY + 2 + 1, before[1])
    with pytest.raises(IndexError):
        store.read_frame(instance, 10)


def test_kernels_read_at_once_and_leave_no_file_open(
    house: House, open_as: OpenAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", house.tokens["stella"])
    store, truth = open_as("stella"), read_locally(house, house.many)
    listed = store.list_instances(house.many)
    frames = [(each, 0) for each in listed]
    before = set(os.listdir("/proc/self/fd"))
    with ThreadPoolExecutor(4) as pool:
        assert all(found == truth for found in pool.map(lambda _: store.read_frames(frames), range(12)))
    assert len(os.listdir("/proc/self/fd")) <= len(before) + 4  # connections over HTTP may be kept
    with get_context("fork").Pool(2) as workers:  # as those of a DataLoader
        assert workers.map(store.read_frames, [frames[:20]] * 4) == [truth[:20]] * 4


def test_the_files_are_open_for_reading_only(house: House) -> None:
    store = house.cohort.open_as(STELLA)
    instance = store.list_instances(house.cohort.north_chest)[3]
    answer, files = house.ask("rhea", house.cohort.north_chest, [(instance.SOPInstanceUID, 0)])
    try:
        assert answer == {"spans": [[0, *instance.frames[0]]]}
        assert os.pread(files[0], instance.frames[0][1], instance.frames[0][0]) == store.read_frame(instance, 0)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(files[0], b"x")
    finally:
        os.close(files[0])


def test_reading_is_recorded_once_and_others_are_refused_unrecorded(house: House, open_as: OpenAs) -> None:
    uid = house.cohort.north_brain
    listed = house.cohort.open_as(STELLA).list_instances(uid)
    nora, rhea, before = open_as("nora"), open_as("rhea"), house.count()
    for each in listed[:3]:
        nora.read_frame(each, 0)
        with pytest.raises(PermissionDenied):
            rhea.read_frame(each, 0)
    assert house.count() == (before[0] + 3, before[1] + 3)
    frame = (listed[0].SOPInstanceUID, 0)
    for person, series, error in (
        ("rhea", uid, "PermissionDenied"),
        ("rhea", house.cohort.north_chest, "NotFound"),  # the frame of another series than the one she may read
        ("nobodys-token", uid, "PermissionDenied"),
        ("nora", "2.25.1", "NotFound"),
    ):
        answer, files = house.ask(person, series, [frame])
        assert (answer["error"], files) == (error, [])
    with open_engine(house.cohort.settings).begin() as connection:
        noted = select(audit_events.c.person).where(
            audit_events.c.action == "read series", audit_events.c.object == uid
        )
        assert connection.execute(noted).scalars().all() == ["nora"]


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b'{"token": "t", "frames": []}',
        b'{"token": "t\\r\\nX: y", "series": "1.2", "frames": []}',
        b'{"token": "t", "series": "1.2", "frames": [["1.2", -1]]}',
        b'{"token": "t", "series": "1.2", "frames": [["../../x", "y"]]}',
        b" " * (2 << 20),
    ],
)
def test_what_is_no_question_is_refused_without_repeating_it(house: House, question: bytes) -> None:
    try:
        answer, files = ask_socket(house.place, question + b"\n")
    except ConnectionError:  # it does not read to the end what is too long
        assert len(question) > 1 << 20
    else:
        assert answer == {"detail": "This is no question for frames of a series.", "error": "InvalidRequest"}
        assert not files


def test_more_than_a_portion_is_refused(house: House) -> None:
    uids = [each.SOPInstanceUID for each in house.cohort.open_as(STELLA).list_instances(house.many)]
    for frames in ([(uid, 0) for uid in uids[: FILES + 1]], [(uids[0], 0)] * (FRAMES + 1)):
        answer, files = house.ask("stella", house.many, frames)
        assert (answer["error"], files) == ("InvalidRequest", [])


def test_tokens_stand_in_no_log(house: House) -> None:
    house.ask("stella", house.many, [("1.2", 0)])
    log = (house.hub.home / "hub.log").read_text()
    assert not [token for token in house.tokens.values() if token in log]


def test_a_process_with_too_many_files_open_reads_by_http(house: House, open_as: OpenAs) -> None:
    store = open_as("stella")
    frames = [(each, 0) for each in store.list_instances(house.many)]
    before, (soft, hard) = house.count(), resource.getrlimit(resource.RLIMIT_NOFILE)
    held = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (held + 30, hard))
    try:
        assert store.read_frames(frames) == read_locally(house, house.many)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert house.count()[1] == before[1] + 1
    assert len(os.listdir("/proc/self/fd")) <= held + 4


def test_the_token_of_another_house_never_comes_to_the_socket(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as trap:
        trap.bind(str(tmp_path / "trap"))
        trap.listen()
        trap.setblocking(False)
        monkeypatch.setenv("AURELIUS_HANDOVER", str(tmp_path / "trap"))
        for here in ("https://another.example.org/services/catalog", ""):
            monkeypatch.setenv("AURELIUS_CATALOG_URL", here)
            store = HttpStore(house.url, house.tokens["stella"])
            store.read_frame(store.list_instances(house.many)[0], 0)
            with pytest.raises(BlockingIOError):
                trap.accept()


def test_who_was_withdrawn_is_handed_over_to_nobody(house: House, open_as: OpenAs) -> None:
    store, uid = open_as("rhea"), house.cohort.south_chest
    listed = store.list_instances(uid)
    store.read_frame(listed[0], 0)
    settings = house.cohort.settings
    withdraw_patient(settings, create_vault(settings), "south-ct-chest-2", STELLA, "the patient asked for it")
    answer, files = house.ask("rhea", uid, [(listed[0].SOPInstanceUID, 0)])
    assert (answer["error"] in ("NotFound", "Withdrawn"), files) == (True, [])
    with pytest.raises(Withdrawn):
        store.read_frame(listed[0], 0)


# -- without a hub -----------------------------------------------------------------------------------------------------

FRAME = bytes(range(8))


def make_instance(number: int = 1, frames: int = 1, series: str = "1.2") -> InstanceRecord:
    return InstanceRecord(
        SOPInstanceUID=f"{series}.{number}",
        SeriesInstanceUID=series,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        path="x",
        sha256="0",
        size_bytes=8,
        TransferSyntaxUID="1.2.840.10008.1.2.1",
        frames=((0, 8),) * frames,
    )


def leave_behind(place: Path) -> None:
    """Make a socket on which nobody listens any more, as a service does that is killed."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
        dead.listen()


@contextmanager
def answer_with(place: Path, answers: list[bytes], files: list[int]) -> Iterator[None]:
    """Listen on a socket and answer each connection by the next of some bytes, with descriptors, whatever it asks."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()

        def answer() -> None:
            for each in answers:
                way, _ = listener.accept()
                with way:
                    if each:
                        way.recv(1 << 16)
                        socket.send_fds(way, [each], files)

        thread = Thread(target=answer, daemon=True)
        thread.start()
        yield
        thread.join(20)
        assert not thread.is_alive()


def test_where_the_socket_gives_nothing_http_does_and_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "short").write_bytes(FRAME[:4])
    answers = [
        b"",
        b"no JSON\n",
        b'{"spans": [[0, 0, 8]]',
        b'{"spans": [[1, 0, 8]]}\n',
        b'{"spans": [[0, 0, 7]]}\n',  # the series is another by now
        b'{"spans": [[0, 0, 8]]}\n',  # the file is shorter than that
        b'{"spans": 3}\n',
        b'{"detail": "no", "error": "PermissionDenied"}\n',
    ]
    with moody_service() as moody, (tmp_path / "short").open("rb") as short:
        moody.answers = [Answer(200, FRAME, "application/octet-stream")]
        monkeypatch.setenv("AURELIUS_CATALOG_URL", moody.url)
        leave_behind(tmp_path / "dead")
        for name in ("nobody", "no/folder", "short", "dead", "x" * 120):
            place = tmp_path / name
            monkeypatch.setenv("AURELIUS_HANDOVER", str(place))
            assert HttpStore(moody.url, "a-secret").read_frame(make_instance(), 0) == FRAME
        monkeypatch.setenv("AURELIUS_HANDOVER", str(tmp_path / "odd"))
        store, out = HttpStore(moody.url, "a-secret"), np.zeros((1, 8), np.uint8)
        held = len(os.listdir("/proc/self/fd"))
        with answer_with(tmp_path / "odd", answers * 2, [short.fileno()]):
            for _ in answers:
                assert store.read_frame(make_instance(), 0) == FRAME
                store.fill_frames([(make_instance(), 0)], out)
                assert out.tobytes() == FRAME
        assert len(os.listdir("/proc/self/fd")) <= held + 2
        assert len(moody.asked) == 5 + 2 * len(answers)
    assert "a-secret" not in caplog.text
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_frames_are_asked_for_in_portions() -> None:
    single = [(make_instance(number), 0) for number in range(3 * FILES)]
    assert list(split_frames(single)) == [(0, FILES), (FILES, 2 * FILES), (2 * FILES, 3 * FILES)]
    film = make_instance(0, FRAMES + 1)
    assert list(split_frames([(film, number) for number in range(FRAMES + 1)])) == [(0, FRAMES), (FRAMES, FRAMES + 1)]
    other = (make_instance(0, series="1.3"), 0)
    assert list(split_frames([single[0], other, other, single[0]])) == [(0, 1), (1, 3), (3, 4)]
    assert list(split_frames([])) == []


@contextmanager
def serve(home: Path, place: Path) -> Iterator[None]:
    """Run the catalog service in this process, with a socket."""
    app = create_app()
    with serve_as(app, believe_header(PEOPLE), home=home, handover=place), TestClient(app):
        yield


def test_a_socket_comes_and_goes_with_its_service_however_deep_it_lies(tmp_path: Path) -> None:
    place = tmp_path / ("deep" * 20) / ("deep" * 20) / "catalog"
    for _ in range(2):
        with serve(tmp_path, place):
            assert stat.S_IMODE(place.stat().st_mode) == 0o660
            assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
        assert list(place.parent.iterdir()) == []


def test_the_socket_of_a_service_that_was_killed_is_replaced(tmp_path: Path) -> None:
    leave_behind(tmp_path / "catalog")
    with serve(tmp_path, tmp_path / "catalog"):
        assert ask_socket(tmp_path / "catalog", b"?\n")[0]["error"] == "InvalidRequest"


def test_a_folder_that_an_operator_made_stays_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o2750)
    with serve(tmp_path, folder / "catalog"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o2750


def test_the_next_service_keeps_the_socket_when_the_last_one_ends(tmp_path: Path) -> None:
    place = tmp_path / "catalog"
    with ExitStack() as late:
        with serve(tmp_path, place):
            late.enter_context(serve(tmp_path, place))
        answer, _ = ask_socket(place, b"?\n")
        assert answer["error"] == "InvalidRequest"
    assert not place.exists()


def test_a_service_that_cannot_listen_serves_over_http(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with serve(tmp_path, tmp_path / "file" / "catalog"):
        assert "read over HTTP" in caplog.text
