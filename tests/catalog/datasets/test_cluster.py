"""A copy of a dataset, written by a dask cluster of other processes: over HTTP, from the local store, after a death."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster
from fastapi import HTTPException, Request

from aurelius_catalog.access.person import Person
from aurelius_catalog.catalog import Catalog, open_catalog
from aurelius_catalog.datasets import FrozenDataset, ome_zarr, zarr_copy
from aurelius_catalog.errors import InvalidRequest, PermissionDenied
from aurelius_catalog.service.app import create_app
from support.cohort import Cohort, make_cohort
from support.servers_catalog import wait_until
from support.servers_dicomweb import serve
from support.service_client import serve_as

STELLA = Person.of("stella", ["role-steward", "role-researcher"])
TOKEN = "a-token-that-only-stella-holds"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_cohort(tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def local(cohort: Cohort) -> FrozenDataset:
    return Catalog(cohort.open_as(STELLA)).search(Modality=["CT", "MR"]).freeze("all")


@pytest.fixture(scope="module")
def hot(local: FrozenDataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("copies") / "hot"
    local.to_zarr(folder)
    return read_voxels(folder)


@pytest.fixture(scope="module")
def url(cohort: Cohort) -> Iterator[str]:
    def believe_token(request: Request) -> Person:
        if request.headers.get("Authorization") != f"token {TOKEN}":
            raise HTTPException(401, "Log in at the hub.")
        return STELLA

    app = create_app()
    with serve_as(app, believe_token, home=cohort.settings.home), serve(app) as address:
        yield address


@pytest.fixture(scope="module")
def started() -> Iterator[Client]:
    """Start a cluster of two processes, as a kernel does, so that they have its environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
        cluster = LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, security=True, dashboard_address="127.0.0.1:0"
        )
    with cluster, Client(cluster) as client:
        yield client


@pytest.fixture(autouse=True)
def kernel(clean_environment: None, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURELIUS_CATALOG_URL", url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)


@pytest.fixture
def remote(kernel: None, local: FrozenDataset) -> FrozenDataset:
    """Open the dataset as a kernel does: over HTTP, with the token of its environment."""
    return open_catalog().dataset(local.id)


@pytest.fixture
def client(started: Client) -> Client:
    """Wait until both workers are there, and write as they should."""
    started.wait_for_workers(2)
    started.run(mend_writing)
    return started


def read_voxels(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("c/**/*") if path.is_file()}


def set_token(token: str) -> None:
    os.environ["JUPYTERHUB_API_TOKEN"] = token


def mend_writing() -> None:
    zarr_copy.write_image = ome_zarr.write_image


def hold_writing(flags: Path) -> None:
    """Let the writing of an image in this worker wait for a word, once it has begun."""

    def wait(group: Any, image: Any, **about: Any) -> None:
        mend_writing()
        ome_zarr.write_image(group, image, **about)
        (flags / str(os.getpid())).touch()
        while not (flags / "go").exists():
            time.sleep(0.02)

    zarr_copy.write_image = wait


def die_writing() -> None:
    """Let this worker die when it writes an image."""
    zarr_copy.write_image = lambda *_, **__: os._exit(1)


def test_processes_write_the_same_over_http(
    remote: FrozenDataset,
    hot: dict[str, bytes],
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And the token goes to none of the places where others could read it."""
    sent: list[bytes] = []
    submit = client.submit

    def watch(*task: Any, **options: Any) -> Any:
        sent.append(pickle.dumps((task[1:], options)) + repr((task, options)).encode())
        return submit(*task, **options)

    monkeypatch.setattr(client, "submit", watch)
    steps: list[tuple[int, int]] = []
    with caplog.at_level(logging.DEBUG):
        copy = remote.to_zarr(tmp_path / "hot", client=client, progress=lambda done, of: steps.append((done, of)))
    assert (len(copy.written), copy.skipped, steps) == (3, {}, [(1, 3), (2, 3), (3, 3)])
    assert read_voxels(tmp_path / "hot") == hot
    workers = client.run(os.getpid)
    assert set(client.run(os.getenv, "JUPYTERHUB_API_TOKEN").values()) == {TOKEN}
    started = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in workers.values()]
    told = [caplog.text, repr(client.get_worker_logs()), repr(client.get_scheduler_logs()), repr(client.story())]
    assert len(sent) == 3
    assert os.getpid() not in workers.values()
    assert not [text for text in [*sent, *started, *(text.encode() for text in told)] if TOKEN.encode() in text]


def test_a_worker_that_is_killed_is_made_up_for(
    local: FrozenDataset, hot: dict[str, bytes], client: Client, tmp_path: Path
) -> None:
    (flags := tmp_path / "flags").mkdir()
    client.run(hold_writing, flags)
    with ThreadPoolExecutor(1) as thread:
        copying = thread.submit(local.to_zarr, tmp_path / "hot", client=client)
        wait_until(lambda: list(flags.iterdir()), "a worker that writes")
        os.kill(int(next(flags.iterdir()).name), signal.SIGKILL)
        (flags / "go").touch()
        copy = copying.result(120)
    assert (len(copy.written), copy.skipped) == (3, {})
    assert read_voxels(tmp_path / "hot") == hot


def test_a_series_that_workers_die_of_is_told(local: FrozenDataset, client: Client, tmp_path: Path) -> None:
    brain = Catalog(local.store).search(Modality="MR").freeze("brain")
    client.cluster.scheduler.allowed_failures = 0  # else three others would have to die
    client.run(die_writing)
    copy = brain.to_zarr(tmp_path / "hot", client=client)
    client.cluster.scheduler.allowed_failures = 3
    assert [why.split(":")[0] for why in copy.skipped.values()] == ["KilledWorker"]
    client.wait_for_workers(2)
    client.run(mend_writing)
    assert brain.to_zarr(tmp_path / "hot", client=client).written == brain.remaining


def test_what_was_stopped_goes_on(remote: FrozenDataset, hot: dict[str, bytes], client: Client, tmp_path: Path) -> None:
    (flags := tmp_path / "flags").mkdir()
    client.run(hold_writing, flags)

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as thread:
        stopped = thread.submit(remote.to_zarr, tmp_path / "hot", client=client, progress=stop)
        wait_until(lambda: len(list(flags.iterdir())) == 2, "both workers")
        # What they have begun was taken away by a call that thought them dead: they must not finish with a part of it.
        for draft in (tmp_path / "hot").glob(".*.part"):
            draft.rename(tmp_path / draft.name)
            draft.mkdir()
        (flags / "go").touch()
        with pytest.raises(FileNotFoundError, match="taken away"):
            stopped.result(60)
    with pytest.raises(KeyboardInterrupt):
        remote.to_zarr(tmp_path / "hot", client=client, progress=stop)
    remote.to_zarr(tmp_path / "hot", client=client)
    assert len(remote.to_zarr(tmp_path / "hot")) == 3
    assert read_voxels(tmp_path / "hot") == hot


def test_a_series_that_is_there_already_is_left_as_it_is(local: FrozenDataset, tmp_path: Path) -> None:
    """A worker that was only thought dead may have finished what another is given."""
    series = local[0]
    first, again = (zarr_copy.write_series(series, local.segments, tmp_path) for _ in range(2))
    assert first == again == (series.record.SeriesInstanceUID, None)
    assert [path.name for path in tmp_path.iterdir()] == [series.record.SeriesInstanceUID]


def test_workers_without_the_token_are_told(remote: FrozenDataset, client: Client, tmp_path: Path) -> None:
    client.run(set_token, "")
    try:
        with pytest.raises(PermissionDenied, match="JUPYTERHUB_API_TOKEN"):
            remote.to_zarr(tmp_path / "hot", client=client)
    finally:
        client.run(set_token, TOKEN)


def test_a_token_of_its_own_is_never_sent(
    remote: FrozenDataset, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUPYTERHUB_API_TOKEN")
    mine = open_catalog(token=TOKEN).dataset(remote.id)
    with pytest.raises(InvalidRequest, match="opened with a token of its own"):
        mine.to_zarr(tmp_path / "hot", client=client)
