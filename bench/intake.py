"""The way in against raw copying and the tools a hospital would otherwise use, per core, on the same files."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from bench.copies import make_copies
from bench.lanes import LANES, Intake, Timing, run_lane
from bench.result import ROOT, Result, compare
from bench.tools import TOOLS, name_tool
from support.builders import write_ct

ROUNDS = 3
SCALING_ROUNDS = 2
FILES = 1008
#: Images in a study, as a chest CT or a brain MR of a day has them; the few real slices are used in turn.
STUDY = 252
KINDS = {"ct": "ct-ge", "mr": "mr-siemens-sagittal"}
MANY, FEW = 20_000, 2_000


def find_data() -> Path:
    """Return the folder of real files, as the tests find it."""
    return Path(os.environ.get("AURELIUS_TEST_DATA") or ROOT.parent / "shared" / "data")


@cache
def time_lanes(kind: str) -> dict[str, list[Timing]]:
    """Send the same files through every lane in turn, several rounds."""
    timings: dict[str, list[Timing]] = {name: [] for name in LANES}
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        paths = make_copies(find_data() / KINDS[kind], Path(folder) / "files", FILES, STUDY)
        for _ in range(ROUNDS):
            for name, lane in LANES.items():
                timings[name].append(run_lane(lane, paths))
    for name, measured in timings.items():
        print(f"  {kind}: {name}: {_median(measured) * 1000:.3f} ms per file, {1 / _median(measured):.0f} files/s")
    return timings


def measure_against_tools(name: str, kind: str, lane: str) -> Result:
    """Compare one of our lanes with the fastest of the three tools."""
    timings = time_lanes(kind)
    fastest = min(TOOLS, key=lambda tool: _median(timings[tool]))
    return compare(name, _milliseconds(timings[lane]), _milliseconds(timings[fastest]), name_tool(fastest), "ms/file")


def measure_against_copy() -> Result:
    """Compare the whole intake of CT with copying the bytes and syncing once."""
    timings = time_lanes("ct")
    ours, copy = _milliseconds(timings["ours, whole intake"]), _milliseconds(timings["raw copy, synced"])
    return compare("intake_ct_vs_raw_copy", ours, copy, "raw copy of the bytes, synced once", "ms/file")


def measure_scaling() -> Result:
    """Compare two workers on two cores with one worker on one core; starting the workers is in the time."""
    one, two = [], []
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        paths = make_copies(find_data() / KINDS["ct"], Path(folder) / "files", 4 * FILES, STUDY)
        for _ in range(SCALING_ROUNDS):
            one.append(run_lane(Intake(1), paths, cores=1))
            two.append(run_lane(Intake(2), paths, cores=2))
    return compare(
        "intake_scaling_2_workers", _milliseconds(two), _milliseconds(one), "ours, one worker on one core", "ms/file"
    )


def measure_memory() -> Result:
    """Compare the memory an intake needs for 20,000 objects with that for a tenth of them."""
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        [slice_of_ct] = write_ct(Path(folder) / "one", slices=1)  # tiny: memory is asked for by objects, not by bytes
        paths = make_copies(slice_of_ct, Path(folder) / "files", MANY, study_size=200)
        few, many = run_lane(Intake(), paths[:FEW]), run_lane(Intake(), paths)
    mebibytes = [timing.peak_bytes / 2**20 for timing in (many, few)]
    return compare("intake_memory_20000", mebibytes[:1], mebibytes[1:], "ours, 2,000 objects", "MiB")


def _median(timings: list[Timing]) -> float:
    return statistics.median(timing.seconds_per_file for timing in timings)


def _milliseconds(timings: list[Timing]) -> list[float]:
    return [timing.seconds_per_file * 1000 for timing in timings]


BENCHMARKS: dict[str, Callable[[], Result]] = {
    **{
        f"{verb}_{kind}": partial(measure_against_tools, f"{verb}_{kind}", kind, lane)
        for kind in KINDS
        for verb, lane in (("deidentify", "ours, de-identification"), ("intake", "ours, whole intake"))
    },
    "intake_ct_vs_raw_copy": measure_against_copy,
    "intake_scaling_2_workers": measure_scaling,
    "intake_memory_20000": measure_memory,
}
