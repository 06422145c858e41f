"""One lane of a comparison: a way to take files, timed in a process of its own that has only the cores it is given."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from bench.tools import TOOLS, Tool, copy_parsed, silence

Lane = Callable[[Sequence[Path], Path], None]
SITE = "north"
PATIENCE_S = 1800
ENDING_S = 30


@dataclass(frozen=True)
class Timing:
    """What a lane took.

    Parameters
    ----------
    seconds_per_file
        Wall-clock time over the number of files.
    peak_bytes
        Largest memory the process held.
    """

    seconds_per_file: float
    peak_bytes: int


def run_lane(lane: Lane, paths: Sequence[Path], cores: int = 1) -> Timing:
    """Run a lane over files in a fresh process on so many cores; what it writes is thrown away.

    Raises
    ------
    RuntimeError
        If the lane ended without an answer.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(dir=paths[0].parents[1]) as folder:
        process = context.Process(target=_time_lane, args=(lane, paths, Path(folder), cores, sender))
        process.start()
        sender.close()
        try:
            if not receiver.poll(PATIENCE_S):
                raise RuntimeError("a lane has not ended in half an hour")
            return Timing(*receiver.recv())
        except EOFError:
            raise RuntimeError("a lane ended with an error; it is printed above") from None
        finally:
            process.join(ENDING_S)
            if process.is_alive():
                process.terminate()
                process.join()


def _time_lane(lane: Lane, paths: Sequence[Path], folder: Path, cores: int, sender: object) -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    silence()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # one of the tools prints a line per file
    # Whoever takes files all day has imported everything and opened every table long ago.
    warm_up = getattr(lane, "prepare", None) or partial(_try_one, lane)
    warm_up(paths, folder)
    os.sync()  # what others left to write is not this lane's to pay
    start = time.perf_counter()
    lane(paths, folder)
    seconds = time.perf_counter() - start
    sender.send((seconds / len(paths), read_peak_bytes()))  # type: ignore[attr-defined]


def read_peak_bytes() -> int:
    """Return the most memory this process held; getrusage would answer with its parent's, if that was more."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def _try_one(lane: Lane, paths: Sequence[Path], folder: Path) -> None:
    lane(paths[:1], folder)


def copy_raw(paths: Sequence[Path], folder: Path) -> None:
    """Copy the bytes and make them durable, as an intake must: one sync at the end."""
    for number, path in enumerate(paths):
        shutil.copyfile(path, folder / f"{number}.dcm")
    os.sync()


def copy_raw_unsynced(paths: Sequence[Path], folder: Path) -> None:
    """Copy the bytes and leave them to the system's cache."""
    for number, path in enumerate(paths):
        shutil.copyfile(path, folder / f"{number}.dcm")


def run_tool(tool: Tool, paths: Sequence[Path], folder: Path) -> None:
    """Take every file through somebody's tool."""
    for number, path in enumerate(paths):
        tool(path, folder / f"{number}.dcm")


def deidentify_ours(paths: Sequence[Path], folder: Path) -> None:
    """De-identify with the profile the house uses, study by study; header only, pixels copied."""
    from aurelius_deidentify.header import Deidentifier, PseudonymKey, load_profile

    deidentifier = Deidentifier(PseudonymKey(bytes(32)), SITE, load_profile("research"))
    parent, study = None, deidentifier.open_study()
    for number, path in enumerate(paths):
        if path.parent != parent:
            parent, study = path.parent, deidentifier.open_study()
        result = study.rewrite(path.read_bytes())
        with (folder / f"{number}.dcm").open("wb") as file:
            file.writelines((result.head, result.pixels, result.tail))


class Intake:
    """Our whole intake, from files in the inbox to series in the catalog."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers

    def prepare(self, paths: Sequence[Path], folder: Path) -> None:
        """Make a house that has run before, and put copies of the files into an inbox; this is not timed."""
        from aurelius_intake.service.runner import serve
        from aurelius_intake.vault import create_vault
        from aurelius_intake.zone.folders import Zone

        settings = self._settings(folder)
        create_vault(settings)
        serve(settings, Event(), once=True)
        inbox = Zone(settings).inbox / SITE
        for path in paths:
            place = inbox / path.parent.name / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)

    def __call__(self, paths: Sequence[Path], folder: Path) -> None:
        """Take them; every one must have been stored."""
        from aurelius_intake.service.runner import serve
        from aurelius_intake.zone.folders import Zone
        from aurelius_intake.zone.items import IntakeItems

        settings = self._settings(folder)
        serve(settings, Event(), once=True)
        counted = {str(state): number for (_, state), number in IntakeItems(Zone(settings).database).count().items()}
        if counted != {"stored": len(paths)}:
            raise RuntimeError(f"the intake did not store every file: {counted}")

    def _settings(self, folder: Path):  # type: ignore[no-untyped-def]
        from aurelius_intake.settings import IntakeSettings

        return IntakeSettings(home=folder / "home", intake_quiet_s=0, intake_workers=self.workers)


#: Every lane that a kind of image is sent through.
LANES: dict[str, Lane] = {
    "raw copy, synced": copy_raw,
    "raw copy": copy_raw_unsynced,
    "pydicom read and write": partial(run_tool, copy_parsed),
    **{name: partial(run_tool, tool) for name, tool in TOOLS.items()},
    "ours, de-identification": deidentify_ours,
    "ours, whole intake": Intake(),
}
