"""Many people who read from a catalog service at once, for a while; how long they waited, and what it did to memory."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import numpy as np
import psutil

from aurelius_catalog.remote.store import HttpStore

#: Frames that a client reads at once, as a crop of a volume does.
SLAB = 10
SAMPLE_S = 0.25


@dataclass
class Soak:
    """Seconds of every request that was answered, and what went wrong."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def p95_s(self) -> float:
        return float(np.percentile(self.seconds, 95))


def run_clients(url: str, tokens: Sequence[str], series: str, seconds: float) -> Soak:
    """Let one client for each token search, open the series and read from it, again and again without a pause."""
    soak = Soak()
    until = time.monotonic() + seconds

    def read(number: int) -> None:
        dice = random.Random(number)
        store = HttpStore(url, tokens[number])
        try:
            while time.monotonic() < until:
                with Timed(soak):
                    store.find_page({"Modality": "CT"}, 50)
                with Timed(soak):
                    instances = store.list_instances(series)
                for _ in range(20):
                    with Timed(soak):
                        frame = store.read_frame(dice.choice(instances), 0)
                start = dice.randrange(len(instances) - SLAB)
                slab = np.empty((SLAB, len(frame)), np.uint8)
                with Timed(soak):
                    store.fill_frames([(each, 0) for each in instances[start : start + SLAB]], slab)
        except Exception as error:
            soak.errors.append(f"{type(error).__name__}: {error}")
        finally:
            store.close()

    with ThreadPoolExecutor(len(tokens)) as pool:
        list(pool.map(read, range(len(tokens))))
    return soak


class Timed:
    """Adds the time of a block to a soak, unless the block fails."""

    def __init__(self, soak: Soak) -> None:
        self._soak = soak

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._soak.seconds.append(time.perf_counter() - self._start)


class MemoryWatch:
    """Watches the memory of a process while a block runs; ``sizes`` are bytes, one each quarter of a second."""

    def __init__(self, process: psutil.Process) -> None:
        self.sizes: list[int] = []
        self._process = process
        self._done = Event()
        self._thread = Thread(target=self._watch)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def growth(self) -> float:
        """How much larger the process was in the last quarter of the time than in the second, as a share."""
        quarter = max(len(self.sizes) // 4, 1)
        before, after = self.sizes[quarter : 2 * quarter] or self.sizes, self.sizes[-quarter:]
        return float(np.median(after) / np.median(before)) - 1

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_S):
            self.sizes.append(self._process.memory_info().rss)


def find_service(home: Path) -> psutil.Process:
    """Return the process of the catalog service of a house."""
    for process in psutil.process_iter():
        try:
            if "aurelius_catalog.service" in process.cmdline() and process.environ()["AURELIUS_HOME"] == str(home):
                return process
        except (psutil.Error, KeyError):
            continue
    raise AssertionError(f"no catalog service runs for {home}")
