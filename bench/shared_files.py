"""A volume in a kernel on the machine of the service: files handed over open, HTTP through the hub, ITK on files."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import itk
import numpy as np

from aurelius_catalog.access.person import Person
from aurelius_catalog.catalog import Catalog
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.remote.store import HttpStore
from aurelius_catalog.settings import CatalogSettings
from aurelius_catalog.store import Store
from bench.reading import read_with_itk
from bench.result import Result, compare
from bench.service import House, serve_volume, write_volume

ROUNDS = 9


def open_handed(house: House) -> HttpStore:
    """Open the catalog as a kernel of the same machine does."""
    variables = {"AURELIUS_CATALOG_URL": house.catalog, "AURELIUS_HANDOVER": str(house.socket)}
    with patch.dict(os.environ, variables):
        return house.open_store()


def read_volume(store: Store, series: str) -> Any:
    """Open the series as a person does and read every voxel."""
    return Catalog(store).series(series).to_xarray(dtype="stored").load()


def measure_same_host() -> Result:
    """Read a CT of 300 x 512 x 512 in turn: handed over, over HTTP, from the local store, with ITK."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serve_volume(folder, write_volume(folder / "incoming")) as house:
            settings = CatalogSettings(home=house.home, database_url="")
            local = LocalStore(settings, Person.service("bench"))
            paths = [settings.files / each.path for each in local.list_instances(house.series)]
            ways: dict[str, Callable[[], Any]] = {
                "handed over": partial(read_volume, open_handed(house), house.series),
                "HTTP": partial(read_volume, house.open_store(), house.series),
                "local store": partial(read_volume, local, house.series),
                "ITK": partial(read_with_itk, paths, itk.SS),
            }
            times: dict[str, list[float]] = {way: [] for way in ways}
            dice = Random(1)
            for turn in range(ROUNDS + 1):  # the first is for the caches
                # In no order: who comes after ITK, and its many small pages, waits for the system to make large ones.
                for way in dice.sample(list(ways), len(ways)):
                    start = time.perf_counter()
                    volume = ways[way]()
                    if turn:
                        times[way].append(time.perf_counter() - start)
                    assert volume.shape == (300, 512, 512)
                    del volume
    print(", ".join(f"{way}: {1000 * np.median(taken):.0f} ms" for way, taken in times.items()))
    return compare("open_same_host", times["handed over"], times["ITK"], "ITK with GDCM, on the files")


BENCHMARKS: dict[str, Callable[[], Result]] = {"open_same_host": measure_same_host}
