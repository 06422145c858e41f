"""Finding among a million series: ten questions as a researcher, a clinician and a steward ask them, on both databases.

Each question is asked for its first hundred series through Python and, where QIDO-RS has words for it, through the
catalog's own DICOMweb routes; with other values each time. What is kept is the slowest question's p95 at a million.
Beside it: how all of it grows from ten thousand series, what a series costs on disk, and how quickly studies come in.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from aurelius_catalog.access.person import Person
from aurelius_catalog.dicom.json_header import make_header
from aurelius_catalog.index.admission import index_study
from aurelius_catalog.index.database import open_engine, writing
from aurelius_catalog.index.deidentified import DeidentifiedStudy
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.records import SeriesRecord
from aurelius_deidentify.media_types import DICOM
from aurelius_intake.settings import IntakeSettings
from bench.result import Result, compare
from support.gate import describe_invented

SIZES = (10_000, 1_000_000)
ASKED = 30
PEOPLE = (
    Person.of("rhea", ["role-researcher", "project-chest-ct", "project-head-mr"]),
    Person.of("nora", ["role-clinician", "site-coast"]),
    Person.of("stella", ["role-steward"]),
)
MONTHS = [f"{year}{month:02d}" for year in range(2010, 2024) for month in range(1, 13)]
Make = Callable[[random.Random, list[SeriesRecord]], dict[str, object]]
#: Name of a question, how to ask it once more with other values, and whether QIDO-RS has words for it.
QUESTIONS: dict[str, tuple[Make, bool]] = {
    "patient": (lambda choose, some: {"PatientID": choose.choice(some).PatientID}, True),
    "study": (lambda choose, some: {"StudyInstanceUID": choose.choice(some).StudyInstanceUID}, True),
    "cohort": (
        lambda choose, _: choose.choice(
            [
                {"Modality": "CT", "BodyPartExamined": "CHEST", "project": "chest-ct"},
                {"Modality": "MR", "BodyPartExamined": "HEAD", "project": "head-mr"},
                {"Modality": "CT", "BodyPartExamined": "ABDOMEN"},
                {"Modality": "MG", "BodyPartExamined": "HEAD"},  # there is none
            ]
        ),
        False,
    ),
    "modality": (lambda choose, _: {"Modality": choose.choice(["CT", "MR", "US", "SM", "ECG", "SEG"])}, True),
    "dates": (
        lambda choose, _: {"Modality": choose.choice(["CT", "MR", "PT"]), "StudyDate": _month(choose.choice(MONTHS))},
        True,
    ),
    "scanner": (
        lambda choose, _: {
            "ManufacturerModelName": choose.choice(["SIGNA Premier", "Skyra", "Aera"]),
            "EchoTime": (low := choose.uniform(1, 110), low + 2),
        },
        False,
    ),
    "thin slices": (
        lambda choose, _: {
            "Modality": "CT",
            "SliceThickness": (None, 1.0),
            "PatientAge": (20, choose.randrange(30, 70)),
        },
        False,
    ),
    "words": (
        lambda choose, _: {"text": choose.choice(["chest nodul*", "t2 flair", "knee trauma", "thin recon", "liver"])},
        False,
    ),
    "wildcard": (
        lambda choose, _: {"SeriesDescription": choose.choice(["t2_tse*", "CHEST thin*", "tof_3d 1mm*", "xyz*"])},
        True,
    ),
    "labelled": (
        lambda choose, _: {
            "has_segmentation": choose.choice([True, "nodule"]),
            "Modality": choose.choice(["CT", "MR"]),
        },
        False,
    ),
}


def measure_sqlite() -> Result:
    """Search in the embedded database."""
    return _measure("search_p95_sqlite", _open_sqlite)


def measure_postgresql() -> Result:
    """Search in PostgreSQL with its settings as they come."""
    return _measure("search_p95_postgresql", _open_postgresql)


BENCHMARKS: dict[str, Callable[[], Result]] = {
    "search_p95_sqlite": measure_sqlite,
    "search_p95_postgresql": measure_postgresql,
}


def _measure(name: str, open_index: Callable[[], Iterator[IntakeSettings]]) -> Result:
    from support.many_series import fill_index

    slowest: list[float] = []
    for size in SIZES:
        with contextmanager(open_index)() as settings:
            engine = open_engine(settings)
            start = time.perf_counter()
            fill_index(engine, size)
            seconds = time.perf_counter() - start
            _say(f"{size:,} series: filled in {seconds:.0f} s, {_weigh(engine) / size:.0f} bytes each")
            _say(f"  studies come in at {_time_admission(engine):.0f} series/s")
            slowest = _ask_all(settings)
            engine.dispose()
    return compare(name, [_p95(slowest)], unit="ms")


def _ask_all(settings: IntakeSettings) -> list[float]:
    """Ask every question of every person; returns the times of the slowest one in ms."""
    some = LocalStore(settings, PEOPLE[-1]).find_page({}, 500)
    slowest: list[float] = []
    for name, (make, spoken) in QUESTIONS.items():
        for way in ("python", "qido") if spoken else ("python",):
            times = []
            for person in PEOPLE:
                with ExitStack() as stack:
                    ask = _ask_python(settings, person) if way == "python" else _ask_qido(stack, settings, person)
                    times += _time(ask, partial(make, random.Random(name), some))
            _say(f"  {name:12} {way:6} p50 {statistics.median(times):6.1f} ms   p95 {_p95(times):6.1f} ms")
            slowest = max(slowest, times, key=lambda each: _p95(each) if each else 0)
    return slowest


def _time(ask: Callable[[dict[str, object]], object], make: Callable[[], dict[str, object]]) -> list[float]:
    ask(make())
    times = []
    for _ in range(ASKED):
        keywords = make()
        start = time.perf_counter()
        ask(keywords)
        times.append(1000 * (time.perf_counter() - start))
    return times


def _ask_python(settings: IntakeSettings, person: Person) -> Callable[[dict[str, object]], object]:
    store = LocalStore(settings, person)
    return lambda keywords: store.find_page(keywords, 100)


def _ask_qido(stack: ExitStack, settings: IntakeSettings, person: Person) -> Callable[[dict[str, object]], object]:
    from aurelius_catalog.hosting import login
    from aurelius_catalog.service import stores
    from aurelius_catalog.service.app import create_app

    async def answer_as_hub(token: str, session: str) -> dict[str, object]:
        return {"kind": "user", "name": person.name, "groups": sorted(person.groups), "scopes": []}

    # In place of the hub's answer, which a service remembers. An override of FastAPI's would be simpler, but where
    # there is one every request takes the routes' signatures to pieces again: 10 ms that no service spends.
    stack.enter_context(patch.object(login, "_ask_hub", answer_as_hub))
    stack.enter_context(patch.object(stores, "read_settings", lambda: settings))
    headers = {"Authorization": "token of-the-bench"}
    client = stack.enter_context(TestClient(create_app(), headers=headers))  # one loop for all, as a service has

    def ask(keywords: dict[str, object]) -> None:
        answer = client.get("/dicomweb/series", params={**keywords, "limit": "100"})  # type: ignore[dict-item]
        if answer.status_code not in (200, 204):
            raise RuntimeError(f"QIDO-RS answered {answer.status_code}: {answer.text}")

    return ask


def _month(month: str) -> str:
    return f"{month}01-{month}31"


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def _time_admission(engine: Engine, studies: int = 100) -> float:
    """Let studies of five series in, one transaction each as the intake does; returns series per second."""
    listed = [_make_study(number) for number in range(studies)]
    start = time.perf_counter()
    for study in listed:
        with writing(engine) as connection:
            index_study(connection, study, {file.SOPInstanceUID: str(file.path) for file in study.files}, {})
    return 5 * studies / (time.perf_counter() - start)


def _make_study(number: int) -> DeidentifiedStudy:
    import numpy as np

    from support.cohort import make_slice

    files = []
    for series in range(5):
        dataset = make_slice("ct-chest", series, np.zeros((2, 2), np.int16), (1.0, 1.0, 1.0))
        del dataset.PixelData
        dataset.PatientID, dataset.StudyInstanceUID = f"AUR-BENCH{number}", f"2.25.99{number}"
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = f"2.25.98{number}{series}", f"2.25.97{number}{series}"
        header = make_header(dataset)
        files.append(describe_invented(Path(f"{number}-{series}"), header, "0" * 64, 1, media_type=DICOM))
    return DeidentifiedStudy("north", tuple(files))


def _weigh(engine: Engine) -> int:
    """Return the bytes of the whole index on disk."""
    asked = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    if engine.dialect.name != "sqlite":
        asked = "SELECT pg_database_size(current_database())"
    with engine.connect() as connection:
        return int(connection.execute(text(asked)).scalar_one())


def _open_sqlite() -> Iterator[IntakeSettings]:
    with tempfile.TemporaryDirectory(prefix="aurelius-bench-") as folder:
        yield IntakeSettings(home=Path(folder))


def _open_postgresql() -> Iterator[IntakeSettings]:
    from support.servers_postgres import temp_postgres

    with tempfile.TemporaryDirectory(prefix="aurelius-pg-") as folder, temp_postgres(Path(folder)) as url:
        yield IntakeSettings(home=Path(folder), database_url=url)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
