"""The kernel's way through hub and proxy: one frame, a volume against Orthanc, fifty clients for a minute."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session_from_auth, create_session_from_user_pass
from numpy.typing import NDArray
from pydicom.uid import generate_uid
from requests import PreparedRequest
from requests.auth import AuthBase

from aurelius_catalog.access.person import Person
from aurelius_catalog.index.deidentified import DeidentifiedStudy
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.remote.store import HttpStore
from aurelius_hub.ports import find_free_ports
from aurelius_hub.services import MEMORY
from aurelius_intake.settings import IntakeSettings
from bench.result import Result, compare
from support.cohort import PROJECTS, make_slice
from support.gate import read_invented
from support.servers_catalog import Hub, managed_service, temp_hub
from support.servers_orthanc import temp_orthanc
from support.soak import MemoryWatch, Soak, find_service, run_clients

SLICES = 300
VOLUMES = 7
FRAMES = 2000
CLIENTS, PROCESSES, SOAK_S = 50, 5, 60.0
Stored = NDArray[np.int16]


@dataclass(frozen=True)
class House:
    """A hub with a catalog that holds one CT of 512 x 512 x 300."""

    hub: Hub
    home: Path
    socket: Path
    study: str
    series: str

    @property
    def catalog(self) -> str:
        return f"{self.hub.url}/services/catalog"

    def open_store(self) -> HttpStore:
        return HttpStore(self.catalog, self.hub.make_token("rhea"))


def write_volume(folder: Path) -> list[Path]:
    """Write a chest of noise, 157 MB, one file for each slice."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(1).integers(-1000, 1000, (512, 512)).astype(np.int16)
    study, series, frame = (generate_uid(entropy_srcs=["volume", part]) for part in ("study", "series", "frame"))
    files = []
    for number in range(SLICES):
        dataset = make_slice("ct-chest", number, np.roll(noise, number, 0), (1.0, 0.7, 0.7))
        dataset.PatientID, dataset.FrameOfReferenceUID = "volume", frame
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=["volume", str(number)])
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        files.append(folder / f"{number}.dcm")
        dataset.save_as(files[-1], enforce_file_format=True)
    return files


@contextmanager
def serve_volume(folder: Path, files: list[Path]) -> Iterator[House]:
    """Move the files into a catalog and serve it below a hub."""
    home = folder / "house"
    home.mkdir()
    (home / "projects.toml").write_text(PROJECTS)
    settings = IntakeSettings(home=home, database_url="")
    study = DeidentifiedStudy("north", tuple(read_invented(file) for file in files))
    LocalStore(settings, Person.service("intake")).add_study(study)
    (series,) = LocalStore(settings, Person.service("bench")).find_series(Modality="CT")
    command = [sys.executable, "-m", "aurelius_catalog.service"]
    place = folder / "handover" / "catalog"
    variables = MEMORY | {"AURELIUS_HOME": str(home), "AURELIUS_HANDOVER": str(place)}
    service = managed_service("catalog", command, variables, find_free_ports(1)[0])
    with temp_hub(folder / "hub", [service]) as hub:
        yield House(hub, home, place, series.StudyInstanceUID, series.SeriesInstanceUID)


def read_ours(store: HttpStore, series: str) -> Stored:
    """Open the series and read its stored values, as `Series.to_xarray` does."""
    instances = store.list_instances(series)
    volume = np.empty((len(instances), 512, 512), "<i2")
    store.fill_frames([(each, 0) for each in instances], volume.view(np.uint8).reshape(len(instances), -1))
    return volume


def read_dicomweb(client: DICOMwebClient, study: str, series: str) -> Stored:
    """Retrieve the series by WADO-RS and stack its stored values."""
    found = sorted(client.retrieve_series(study, series), key=lambda each: float(each.ImagePositionPatient[2]))
    return np.stack([each.pixel_array for each in found])


class HubToken(AuthBase):
    """Signs the requests of dicomweb-client with a hub token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"token {self._token}"
        return request


def time_volumes(read: Callable[[], Stored], times: list[float]) -> Stored:
    """Read once, and note how long it took."""
    start = time.perf_counter()
    volume = read()
    times.append(time.perf_counter() - start)
    return volume


def measure_volume() -> Result:
    """Read the volume in turn: our way through hub and proxy, Orthanc directly with dicomweb-client."""
    ours: list[float] = []
    standard: list[float] = []
    orthanc: list[float] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        files = write_volume(folder / "incoming")
        peer = stack.enter_context(temp_orthanc(folder / "orthanc"))
        peer.load(files)
        house = stack.enter_context(serve_volume(folder, files))
        session = create_session_from_user_pass(*peer.login)
        token = create_session_from_auth(HubToken(house.hub.make_token("rhea")))
        lanes: list[tuple[Callable[[], Stored], list[float]]] = [
            (partial(read_ours, house.open_store(), house.series), ours),
            (read_with(DICOMwebClient(f"{house.catalog}/dicomweb", session=token), house), standard),
            (read_with(DICOMwebClient(peer.dicomweb, session=session), house), orthanc),
        ]
        for turn in range(VOLUMES + 1):  # the first is for the caches
            volumes = [time_volumes(read, times if turn else []) for read, times in lanes]
            assert all(np.array_equal(volumes[0], other) for other in volumes[1:])
    print(f"our service with dicomweb-client: {np.median(standard):.3f} s")
    return compare("retrieve_volume_vs_orthanc", ours, orthanc, "Orthanc, WADO-RS with dicomweb-client, no proxy")


def read_with(client: DICOMwebClient, house: House) -> Callable[[], Stored]:
    """Return what reads the volume with dicomweb-client."""
    return partial(read_dicomweb, client, house.study, house.series)


def measure_frame() -> Result:
    """Read single frames of 512 KiB through hub and proxy, in no order; the result is what 99 of 100 stay below."""
    times: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serve_volume(folder, write_volume(folder / "incoming")) as house:
            store = house.open_store()
            instances = store.list_instances(house.series)
            for number in np.random.default_rng(1).integers(0, SLICES, FRAMES):
                start = time.perf_counter()
                store.read_frame(instances[number], 0)
                times.append(1000 * (time.perf_counter() - start))
    print(f"median {np.median(times):.2f} ms, p95 {np.percentile(times, 95):.2f} ms")
    slowest = compare("frame_hub_p99", [float(np.percentile(times[100:], 99))], unit="ms")
    return replace(slowest, samples=len(times) - 100)


def measure_soak() -> Result:
    """Let fifty clients read for a minute; the result is the time that 95 of 100 requests stay below."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serve_volume(folder, write_volume(folder / "incoming")) as house, ExitStack() as stack:
            tokens = [house.hub.make_token("rhea") for _ in range(CLIENTS)]
            parts = [tokens[number::PROCESSES] for number in range(PROCESSES)]
            spawn = multiprocessing.get_context("spawn")
            pool = stack.enter_context(ProcessPoolExecutor(PROCESSES, spawn))
            run = partial(run_clients, house.catalog, series=house.series, seconds=SOAK_S)
            with MemoryWatch(find_service(house.home)) as memory:
                soaks = list(pool.map(run, parts))
    total = Soak(list(chain(*(each.seconds for each in soaks))), list(chain(*(each.errors for each in soaks))))
    assert not total.errors, total.errors[:3]
    print(
        f"{len(total.seconds)} requests, median {np.median(total.seconds):.3f} s, memory {memory.sizes[-1] >> 20} MiB, "
        f"{memory.growth:+.1%} since the second quarter"
    )
    assert memory.growth < 0.1, f"the service grew by {memory.growth:.0%}"
    return replace(compare("soak_50_clients", [total.p95_s]), samples=len(total.seconds))


BENCHMARKS: dict[str, Callable[[], Result]] = {
    "frame_hub_p99": measure_frame,
    "retrieve_volume_vs_orthanc": measure_volume,
    "soak_50_clients": measure_soak,
}
