"""The content of the demo house: invented patients, sent through the real intake, and one frozen dataset.

``python -m aurelius_intake.demo fill`` puts them into the inboxes, ``freeze`` freezes what the intake made of them,
and ``findings`` waits for what the model makes of the chests.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Literal, NamedTuple

import pydicom.examples
import typer
from rich.console import Console
from rich.progress import track

from aurelius_catalog.access.person import Person
from aurelius_catalog.durable_files import SHARED, write_durably
from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.phantoms.bodies import PhantomKind, make_phantom
from aurelius_catalog.phantoms.dicom_files import write_phantom, write_truth
from aurelius_catalog.phantoms.visits import PhantomVisit
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.zone.folders import Zone, find_free

app = typer.Typer(help="Fill the demo house.", no_args_is_help=True, pretty_exceptions_enable=False)
DATASET = "lung-demo"
MARKER = "demo-filled"
FINDINGS_S = 300.0
POLL_S = 0.5
PACKAGED = ("ct", "mr", "rt_dose", "rt_plan", "rt_ss", "overlay", "palette_color", "rgb_color", "ybr_color", "jpeg2k")
#: Folder for files of one's own; without it, ``../shared/data`` beside the repository.
DATA_VARIABLE = "AURELIUS_DEMO_DATA"
PROJECTS = """\
# Which studies belong to which project: one of their series must match every line.
[lung]
Modality = ["CT"]
BodyPartExamined = ["CHEST"]

[brain]
Modality = ["MR"]
BodyPartExamined = ["BRAIN"]
"""

SITES = """\
# Who may send to which site over the network: `AURELIUS_DICOM_PORT=11112 make demo`, then
# `storescu -aec NORTH 127.0.0.1 11112 FILE` (dcmtk calls itself STORESCU).
[north]
called_ae = "NORTH"
callers = ["STORESCU"]

[south]
called_ae = "SOUTH"
callers = ["STORESCU"]
"""


class Case(NamedTuple):
    """One study of the cohort; ``with_truth`` says whether its truth is sent along."""

    site: Literal["north", "south"]
    kind: PhantomKind
    seed: int
    with_truth: bool
    visit: PhantomVisit


def make_cohort() -> list[Case]:
    """Return the studies of the cohort; both sites count their patients from 1001, as sites do."""
    north, south = "St Mary Hospital Northport", "Southfield Clinic"

    def visit(name: str, number: str, born: str, sex: str, date: str, place: str, study: int = 1) -> PhantomVisit:
        return PhantomVisit(name, number, born, sex, date, place, study)

    return [
        Case("north", "ct-chest", 101, False, visit("Abel^Agnes", "1001", "19510203", "F", "20230114", north)),
        Case("north", "ct-chest", 102, True, visit("Abel^Agnes", "1001", "19510203", "F", "20240116", north, 2)),
        Case("north", "ct-chest", 103, True, visit("Brandt^Bruno", "1002", "19480711", "M", "20240208", north)),
        Case("north", "ct-chest", 104, False, visit("Carrel^Celine", "1003", "19600930", "F", "20240311", north)),
        Case("south", "ct-chest", 105, False, visit("Dalton^Dora", "1001", "19551224", "F", "20230405", south)),
        Case("south", "ct-chest", 106, True, visit("Dalton^Dora", "1001", "19551224", "F", "20240417", south, 2)),
        Case("south", "ct-chest", 107, True, visit("Engel^Emil", "1002", "19430518", "M", "20240502", south)),
        Case("south", "ct-chest", 108, False, visit("Farkas^Ferenc", "1003", "19660827", "M", "20240613", south)),
        Case("north", "mr-brain", 201, True, visit("Garnier^Gisele", "2001", "19700121", "F", "20240122", north)),
        Case("north", "mr-brain", 202, False, visit("Holm^Henrik", "2002", "19810619", "M", "20240219", north)),
        Case("south", "mr-brain", 203, True, visit("Ivanova^Irina", "2001", "19770407", "F", "20240318", south)),
        Case("south", "mr-brain", 204, False, visit("Jansen^Jan", "2002", "19590202", "M", "20240421", south)),
    ]


@app.command()
def fill() -> None:
    """Write the rules of projects and sites; put the cohort, examples and one's own files into the inboxes, once."""
    settings, console = IntakeSettings(), Console(stderr=True)
    zone = Zone(settings)
    for file, text in ((settings.projects_file, PROJECTS), (settings.sites_file, SITES)):
        if not file.exists():
            write_durably(file, text.encode(), mode=SHARED)
    marker = zone.root / MARKER
    if marker.exists():
        console.print("The demo data is there already.")
        return
    with tempfile.TemporaryDirectory(prefix=".demo-", dir=zone.root) as draft_folder:
        drafts = Path(draft_folder)
        for case in track(make_cohort(), "Inventing patients", console=console):
            write_case(drafts / case.site / "cohort", case)
        _copy_examples(drafts)
        _copy_own(drafts, console)
        for folder in sorted(drafts.glob("*/*")):
            target = zone.inbox / folder.parent.name / folder.name
            target.parent.mkdir(exist_ok=True)
            folder.rename(find_free(target))
    marker.touch()


@app.command()
def freeze() -> None:
    """Freeze the labelled CT series of project lung as the dataset ``lung-demo``, once."""
    store = LocalStore(IntakeSettings(), Person.service("demo"))
    if any(record.name == DATASET for record in store.list_datasets()):
        typer.echo(f"The dataset {DATASET} is there already.")
        return
    labelled = {annotation.SeriesInstanceUID for annotation in store.list_annotations()}
    series = store.find_series(project="lung", Modality="CT")
    chosen = sorted(record.SeriesInstanceUID for record in series if record.SeriesInstanceUID in labelled)
    if not chosen:
        typer.echo("Error: no CT series of project lung has a label yet; is the intake still at work?", err=True)
        raise typer.Exit(1)
    record = store.add_dataset(DATASET, chosen)
    typer.echo(f"Froze {len(chosen)} series as {record.name} ({record.id}).")


@app.command()
def findings() -> None:
    """Wait until the model has looked at every chest CT, so that the worklists are full when people come."""
    store = LocalStore(IntakeSettings(), Person.service("demo"))
    until = time.monotonic() + FINDINGS_S
    while time.monotonic() < until:
        chests = store.find_series(Modality="CT", BodyPartExamined="CHEST")
        volumes = {record.SeriesInstanceUID for record in chests if record.n_frames > 1}
        missing = volumes - {prediction.SeriesInstanceUID for prediction in store.list_predictions()}
        if not missing:
            return
        typer.echo(f"{len(missing)} to go")
        time.sleep(POLL_S)
    typer.echo(f"Error: {len(missing)} chest CTs have no finding yet; logs/annotation.log says why.", err=True)
    raise typer.Exit(1)


def write_case(folder: Path, case: Case) -> list[Path]:
    """Write the files of a case into a folder of its own below ``folder``."""
    place = folder / f"{case.visit.PatientName}_{case.visit.StudyDate}"
    phantom = make_phantom(case.kind, case.seed)
    paths = write_phantom(place, phantom, case.visit)
    if case.with_truth:
        label = "nodule" if case.kind == "ct-chest" else "lesion"
        paths.append(write_truth(place / "truth.dcm", paths, phantom.truth, label, case.visit))
    return paths


def find_own_data() -> Path | None:
    """Return the folder with files of one's own, if there is one."""
    named = os.environ.get(DATA_VARIABLE)
    folder = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    return folder if folder.is_dir() else None


def _copy_examples(drafts: Path) -> None:
    for number, name in enumerate(PACKAGED):
        folder = drafts / ("north", "south")[number % 2] / "examples"
        folder.mkdir(parents=True, exist_ok=True)
        source = pydicom.examples.get_path(name)
        shutil.copyfile(source, folder / source.name)


def _copy_own(drafts: Path, console: Console) -> None:
    source = find_own_data()
    if source is None:
        return
    # Whole folders go to one site or the other in turn, so that no series is torn apart.
    parts = sorted(path for path in source.iterdir() if not path.name.startswith("."))
    for number, part in enumerate(track(parts, f"Copying {source.name}", console=console)):
        target = drafts / ("north", "south")[number % 2] / "more" / part.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if part.is_dir():
            shutil.copytree(part, target, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(part, target)


if __name__ == "__main__":
    app(prog_name="python -m aurelius_intake.demo")
