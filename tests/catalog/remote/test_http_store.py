"""The store over HTTP keeps the contract, through hub, proxy and service, and says what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from aurelius_catalog.catalog import open_catalog
from aurelius_catalog.errors import PermissionDenied
from aurelius_catalog.phantoms.bodies import make_phantom
from aurelius_catalog.remote.store import HttpStore
from aurelius_hub.ports import find_free_ports
from support.cohort import SLICES, Cohort
from support.servers_catalog import Hub, managed_service, temp_hub
from support.soak import MemoryWatch, find_service, run_clients
from support.store_contract import OpenAs, StoreContract, cohort, truth

__all__ = ["cohort", "truth"]
SOAK_S = 5.0


@pytest.fixture(scope="class")
def hub(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    command = [sys.executable, "-m", "aurelius_catalog.service"]
    service = managed_service("catalog", command, {"AURELIUS_HOME": str(cohort.settings.home)}, find_free_ports(1)[0])
    with temp_hub(tmp_path_factory.mktemp("hub"), [service]) as running:
        yield running


@pytest.fixture(scope="class")
def tokens(hub: Hub) -> dict[str, str]:
    return {name: hub.make_token(name) for name in ("rhea", "anton", "bram", "nora", "stella")}


class TestHttpStore(StoreContract):
    @pytest.fixture
    def open_as(self, hub: Hub, tokens: dict[str, str]) -> Iterator[OpenAs]:
        opened: dict[str, HttpStore] = {}

        def open_as(name: str) -> HttpStore:
            if name not in opened:
                opened[name] = HttpStore(f"{hub.url}/services/catalog", tokens[name])
            return opened[name]

        yield open_as
        for store in opened.values():
            store.close()

    def test_a_volume_opens_with_the_token_of_the_environment(
        self, hub: Hub, tokens: dict[str, str], cohort: Cohort, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AURELIUS_CATALOG_URL", f"{hub.url}/services/catalog")
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", tokens["rhea"])
        series = open_catalog().series(cohort.north_chest)
        image = series.to_xarray(dtype="stored").load()
        assert np.array_equal(image, make_phantom("ct-chest", 1).image[SLICES])
        assert image.dtype == np.int16

    def test_threads_share_a_store(self, open_as: OpenAs, cohort: Cohort) -> None:
        store = open_as("rhea")
        listed = store.list_instances(cohort.south_chest)
        with ThreadPoolExecutor(8) as pool:
            frames = list(pool.map(lambda each: store.read_frame(each, 0), listed * 4))
        assert frames[:12] == frames[12:24]
        assert {len(frame) for frame in frames} == {96 * 96 * 2}

    def test_many_clients_at_once_meet_no_error(self, hub: Hub, tokens: dict[str, str], cohort: Cohort) -> None:
        with MemoryWatch(find_service(cohort.settings.home)) as memory:
            soak = run_clients(f"{hub.url}/services/catalog", [tokens["rhea"]] * 8, cohort.north_chest, SOAK_S)
        assert soak.errors == []
        assert len(soak.seconds) > 8 * 10
        assert soak.p95_s < SOAK_S / 2
        assert memory.growth < 0.2

    def test_bad_token_is_refused_with_the_remedy(self, hub: Hub) -> None:
        with pytest.raises(PermissionDenied, match="Log in at the hub"):
            HttpStore(f"{hub.url}/services/catalog", "stale").find_series()
