"""One measured comparison, and the file and table all of them end in."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results.json"
TABLE = ROOT / "docs" / "benchmarks.md"

HEADER = """# Benchmarks

Made by `make bench`; the numbers are in `bench/results.json`. Ours and the peer's were measured in the same run,
in turn, on the machine named in the last column. Medians; a ratio above 1 means ours is better.

| what | ours | peer | peer is | ratio | samples | machine |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Result:
    """A comparison of medians; ``peer`` is None where nobody else does the same thing.

    ``ratio`` is above 1 where ours is better, and for every unit in use here less is better.
    """

    name: str
    ours: float
    peer: float | None
    peer_name: str | None
    ratio: float | None
    unit: str
    samples: int
    machine: str


def compare(
    name: str, ours: Sequence[float], peer: Sequence[float] = (), peer_name: str | None = None, unit: str = "s"
) -> Result:
    """Build the result of samples where less is better."""
    mine = statistics.median(ours)
    theirs = statistics.median(peer) if peer else None
    return Result(
        name=name,
        ours=round(mine, 4),
        peer=None if theirs is None else round(theirs, 4),
        peer_name=peer_name,
        ratio=None if theirs is None else round(theirs / mine, 3),
        unit=unit,
        samples=len(ours),
        machine=describe_machine(),
    )


def describe_machine() -> str:
    """Say on what this ran, without naming the machine."""
    return f"{len(os.sched_getaffinity(0))} cores {platform.machine()}, Python {platform.python_version()}"


def save_results(new: Sequence[Result]) -> None:
    """Replace the results of the same names in the file, and write the table anew."""
    known = {item["name"]: item for item in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    known |= {result.name: asdict(result) for result in new}
    listed = [known[name] for name in sorted(known)]
    RESULTS.write_text(json.dumps(listed, indent=2) + "\n")
    TABLE.write_text(HEADER + "".join(_format_row(item) for item in listed))


def _format_row(item: dict[str, object]) -> str:
    def show(value: object) -> str:
        return "–" if value is None else f"{value}"

    unit = item["unit"]
    peer = "–" if item["peer"] is None else f"{item['peer']} {unit}"
    return (
        f"| {item['name']} | {item['ours']} {unit} | {peer} | {show(item['peer_name'])} | {show(item['ratio'])} "
        f"| {item['samples']} | {item['machine']} |\n"
    )
