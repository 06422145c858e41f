"""``python -m bench.residue``: what de-identification leaves behind, ours and other tools', on the same real files.

Every file is given to every tool. What to look for is read from the original by pydicom, independent of any tool: all
UIDs that name an instance, all dates, all names of persons, and identifiers and names of places, at every depth. The
bytes of the output are searched for them; coincidences are taken out as `find_residue` does, for all tools alike.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import UID_dictionary

from aurelius_deidentify.header import Deidentifier, PseudonymKey, load_profile
from aurelius_deidentify.header.identifiers import IDENTIFIER, PLACE, identifying_values
from aurelius_deidentify.header.profile import CLASS_UIDS
from aurelius_deidentify.residue.scanner import ResidueScanner, find_pixels, find_residue
from bench.intake import find_data
from bench.tools import TOOLS, Tool, name_tool, silence

KEY = PseudonymKey(bytes(range(32)))
KINDS = ("UIDs", "dates", "names and identifiers")
TEXTS = ("AE", "LO", "SH", "ST")
NOT_DICOM = {".csv", ".json", ".md", ".svs", ".txt"}


@dataclass
class Tally:
    """What one tool did to all files."""

    raised: int = 0
    written: int = 0
    left: Counter[str] = field(default_factory=Counter)
    stated: int = 0
    new_errors: int = 0
    error_kinds: set[str] = field(default_factory=set)


def run_ours(profile: str, source: Path, target: Path) -> None:
    """De-identify with our engine under a packaged profile."""
    session = Deidentifier(KEY, "bench", load_profile(profile)).open_study()
    target.write_bytes(session.rewrite(source.read_bytes()).join())


def measure() -> dict[str, Tally]:
    """Give every file to every tool and look at what comes out."""
    lanes: dict[str, Tool] = {f"ours, {profile}": partial(run_ours, profile) for profile in ("research", "basic")}
    lanes |= {name_tool(name): tool for name, tool in TOOLS.items()}
    tallies = {name: Tally() for name in lanes}
    silence()
    files = sorted(path for path in find_data().rglob("*") if path.is_file() and path.suffix not in NOT_DICOM)
    with tempfile.TemporaryDirectory() as folder:
        for path in files:
            wanted = {kind: ResidueScanner(values) for kind, values in _list_wanted(path).items()}
            outputs: dict[str, Path] = {}
            for number, (name, tool) in enumerate(lanes.items()):
                target = Path(folder, f"{number}.dcm")
                target.unlink(missing_ok=True)
                try:
                    tool(path, target)
                except Exception:
                    tallies[name].raised += 1
                    continue
                outputs[name] = target
            _judge(path, outputs, wanted, tallies)
    return tallies


def _judge(path: Path, outputs: dict[str, Path], wanted: dict[str, ResidueScanner], tallies: dict[str, Tally]) -> None:
    with ThreadPoolExecutor(2) as pool:
        before, *after = pool.map(_list_error_kinds, [path, *outputs.values()])
    for (name, target), errors in zip(outputs.items(), after, strict=True):
        tally, data = tallies[name], target.read_bytes()
        tally.written += 1
        for kind, scanner in wanted.items():
            tally.left[kind] += bool(find_residue(scanner, data, find_pixels(data)))
        tally.stated += _states_method(target)
        tally.new_errors += bool(errors - before)
        tally.error_kinds |= errors - before


def _list_wanted(path: Path) -> dict[str, set[str]]:
    """Read what identifies from an original, by kind."""
    wanted: dict[str, set[str]] = {kind: set() for kind in KINDS}
    try:
        for keyword, VR, values in _list_values(dcmread(path, stop_before_pixels=True, force=True)):
            if VR == "UI" and keyword not in CLASS_UIDS:
                found = {uid for uid in identifying_values(keyword, VR, values) if uid not in UID_dictionary}
                wanted["UIDs"] |= {uid for uid in found if not uid.startswith("1.2.840.10008.")}
            elif VR in ("DA", "DT"):
                wanted["dates"].update(identifying_values(keyword, VR, values))
            elif VR == "PN" or (
                VR in ("LO", "SH", "ST", "AE") and (IDENTIFIER.search(keyword) or PLACE.search(keyword))
            ):
                wanted["names and identifiers"].update(identifying_values(keyword, VR, values))
    except Exception as error:  # the odd files are there to break readers; what could be read is searched for
        print(f"  {path.name}: read in part ({type(error).__name__})", file=sys.stderr)
    return wanted


def _list_values(dataset: Dataset) -> Iterator[tuple[str, str, list[str]]]:
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # noqa: S112  # one unreadable element does not hide the others
            continue
        if element.VR == "SQ":
            for item in element.value:
                yield from _list_values(item)
        elif isinstance(element.value, bytes):
            continue
        else:
            yield (
                element.keyword,
                element.VR,
                [str(part) for part in (element.value if element.VM > 1 else [element.value])],
            )


def _states_method(target: Path) -> bool:
    try:
        dataset = dcmread(target, stop_before_pixels=True, force=True)
        method = dataset.get("DeidentificationMethod") or dataset.get("DeidentificationMethodCodeSequence")
        return dataset.get("PatientIdentityRemoved") == "YES" and bool(method)
    except Exception:
        return False


def _list_error_kinds(path: Path) -> set[str]:
    """Return dciodvfy's errors with everything taken out that differs from object to object."""
    run = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, errors="replace", check=False)
    errors = [line for line in run.stderr.splitlines() if line.startswith("Error")]
    return {re.sub(r"[0-9]+(\.[0-9]+)*", "N", line) for line in errors}


def print_table(tallies: dict[str, Tally]) -> None:
    """Print what was found as a Markdown table."""
    print(
        "| tool | refused or raised | written | UIDs left | dates left | names or identifiers left "
        "| identity removed and method stated | files with new dciodvfy errors (kinds) |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, tally in tallies.items():
        left = " | ".join(str(tally.left[kind]) for kind in KINDS)
        errors = f"{tally.new_errors} ({len(tally.error_kinds)})"
        print(f"| {name} | {tally.raised} | {tally.written} | {left} | {tally.stated} | {errors} |")


if __name__ == "__main__":
    print_table(measure())
