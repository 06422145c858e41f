"""Real files of several vendors, and odd ones: an output that is as valid as the input, or a clear refusal."""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from aurelius_catalog.errors import NotDeidentifiable
from aurelius_deidentify.header import Deidentifier, Profile, PseudonymKey, deidentify_file, load_profile

#: The test itself reads the odd values that pydicom warns about.
pytestmark = pytest.mark.filterwarnings("ignore:.*value:UserWarning")
KEY = PseudonymKey(bytes(range(32)))
BASIC = load_profile("basic")
RESEARCH = load_profile("research")
LONG = (28, 35, 40)
DEFLATED = ("pydicom-data_liver_deflate.dcm", "pydicom-tests_image_dfl.dcm")
#: UIDs and dates too short to be anybody's, which occur by chance.
SHORTEST = 8


def deidentify_all(files: list[Path], folder: Path, profile: Profile = BASIC) -> dict[Path, Path]:
    """Return input and output of each file that was not refused."""
    deidentifier = Deidentifier(KEY, "north", profile)
    done = {}
    for number, path in enumerate(files):
        target = folder / f"{number}.dcm"
        try:
            deidentify_file(path, target, deidentifier)
        except NotDeidentifiable as refusal:
            assert str(refusal)  # noqa: PT017 - that it is raised is not the point
            continue
        done[path] = target
    return done


def test_every_file_ends_in_an_output_or_a_refusal(data: Path, tmp_path: Path) -> None:
    files = [path for path in sorted(data.rglob("*")) if path.is_file()]
    files = [path for path in files if not path.stem.isdigit() or int(path.stem) % 4 == 0]  # of long series some
    done = deidentify_all(files, tmp_path)
    assert len(done) > 0.85 * len(files)
    for source, target in done.items():
        original, result = dcmread(source, stop_before_pixels=True), dcmread(target, stop_before_pixels=True)
        assert result.PatientIdentityRemoved == "YES"
        assert not any(element.tag.is_private for element in result.iterall()), source.name
        left = collect_identifying(original) & collect_identifying(result)
        assert not left, f"{source.name}: {len(left)} original values are left"


def collect_identifying(dataset: Dataset) -> set[str]:
    """Return every instance UID, person name, date and long identifier of a data set, at any depth."""
    found = set()
    for element in dataset.iterall():
        if element.VR == "UI" and not re.search("Class|Syntax|CodingScheme", element.keyword):
            found |= {str(uid) for uid in ([element.value] if isinstance(element.value, str) else element.value or [])}
        elif element.VR in ("PN", "DA", "DT") or element.keyword in ("AccessionNumber", "InstitutionName"):
            found.add(str(element.value))
    return {
        value
        for value in found
        if len(value) >= SHORTEST and not value.startswith(("1.2.840.10008.", "19000101", "REMOVED"))
    }


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is missing: apt-get install dicom3tools")
def test_no_file_has_a_kind_of_error_it_did_not_come_with(data: Path, tmp_path: Path) -> None:
    folders = [sorted(path for path in folder.rglob("*") if path.is_file()) for folder in data.iterdir()]
    # Of a long series a few; dciodvfy cannot inflate.
    files = [path for folder in folders for path in folder[:: 14 if len(folder) in LONG else 1]]
    done = deidentify_all([path for path in files if path.name not in DEFLATED], tmp_path, RESEARCH)
    assert len(done) > 100
    with ThreadPoolExecutor(2) as pool:
        before = dict(zip(done, pool.map(list_error_kinds, done), strict=True))
        after = dict(zip(done, pool.map(list_error_kinds, done.values()), strict=True))
    new = {path.name: after[path] - before[path] for path in done if after[path] - before[path]}
    assert not new


def list_error_kinds(path: Path) -> set[str]:
    """Return dciodvfy's errors with everything taken out that differs from object to object."""
    run = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, errors="replace", check=False)
    errors = [line for line in run.stderr.splitlines() if line.startswith("Error")]
    return {re.sub(r"[0-9]+(\.[0-9]+)*", "N", line) for line in errors}
