"""The demo's cohort: sent once, through the real intake, with truth where it is promised."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from aurelius_catalog.access.person import Person
from aurelius_catalog.local.store import LocalStore
from aurelius_intake.demo import make_cohort
from aurelius_intake.settings import IntakeSettings


def call(home: Path, *arguments: str, code: int = 0) -> str:
    nothing = home.parent / "nothing"
    nothing.mkdir(exist_ok=True)
    variables = {"AURELIUS_HOME": str(home), "AURELIUS_INTAKE_QUIET_S": "0.2", "AURELIUS_DEMO_DATA": str(nothing)}
    run = subprocess.run(
        [sys.executable, "-m", *arguments], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert run.returncode == code, run.stderr
    return run.stdout + run.stderr


def test_the_cohort_arrives_once_and_is_frozen_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert "no CT series" in call(home, "aurelius_intake.demo", "freeze", code=1)
    call(home, "aurelius_intake.demo", "fill")
    assert "there already" in call(home, "aurelius_intake.demo", "fill")
    call(home, "aurelius_intake.commands.vault", "create")
    call(home, "aurelius_intake", "run", "--once")

    store = LocalStore(IntakeSettings(home=home), Person.of("stella", ["role-steward"]))
    chests = [series for series in store.find_series(project="lung", Modality="CT") if series.n_instances == 40]
    brains = [series for series in store.find_series(project="brain", Modality="MR") if series.n_instances == 36]
    assert (len(chests), len(brains)) == (8, 4)
    assert len({series.PatientID for series in chests}) == 6
    assert sorted(series.site for series in brains) == ["north", "north", "south", "south"]
    labels = [(note.author, note.segments[0].label) for note in store.list_annotations()]
    assert sorted(labels) == sorted([*[("north", "nodule"), ("south", "nodule")] * 2, ("north", "lesion"), ("south", "lesion")])  # fmt: skip  # noqa: E501

    assert "Froze 4 series" in call(home, "aurelius_intake.demo", "freeze")
    assert "there already" in call(home, "aurelius_intake.demo", "freeze")
    (dataset,) = store.list_datasets()
    assert (dataset.name, len(dataset.SeriesInstanceUIDs)) == ("lung-demo", 4)

    words = {part.encode() for case in make_cohort() for part in case.visit.PatientName.split("^") if len(part) > 4}
    for path in (home / "catalog").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [word for word in words if word in content], path.name
