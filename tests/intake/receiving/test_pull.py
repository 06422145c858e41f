"""Pulling from a real Orthanc: query, select, retrieve, and go on after an interruption."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from pydicom import dcmread
from typer.testing import CliRunner, Result

from aurelius_catalog.errors import InvalidRequest, NotFound, PermissionDenied, Unreachable
from aurelius_hub.ports import find_free_ports
from aurelius_intake.__main__ import app
from aurelius_intake.receiving.dicomweb_client import RemoteServer
from aurelius_intake.receiving.pull import Puller
from aurelius_intake.receiving.pull_journal import Journal, SeriesName
from aurelius_intake.receiving.sites import Site
from aurelius_intake.settings import IntakeSettings
from aurelius_intake.zone.folders import Zone
from support.builders import write_ct
from support.servers_catalog import wait_until
from support.servers_orthanc import LOGIN, Orthanc, SlowLine, slow_line, temp_orthanc

COMMAND = [sys.executable, "-m", "aurelius_intake", "pull", "--site", "north"]


@pytest.fixture(scope="module")
def files(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return real files: a CT series, a JPEG 2000 series, reports and segmentations; and a long tiny series."""
    folders = ("ct-ge", "mr-siemens-jpeg2000", "seg-sr")
    real = [path for folder in folders for path in sorted((data / folder).rglob("*.dcm"))]
    once = {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in reversed(real)}
    return [*reversed(once.values()), *write_ct(tmp_path_factory.mktemp("long"), slices=120)]


@pytest.fixture(scope="module")
def orthanc(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with temp_orthanc(tmp_path_factory.mktemp("orthanc") / "home") as running:
        running.load(files)
        yield running


@pytest.fixture
def line(orthanc: Orthanc) -> Iterator[SlowLine]:
    with slow_line(orthanc.url) as line:
        yield line


@pytest.fixture
def home(tmp_path: Path, line: SlowLine) -> Path:
    """Make a house whose site north pulls over the line."""
    home = tmp_path / "home"
    (home / "identified").mkdir(parents=True)
    (home / "sites.toml").write_text(
        f'[north]\npull = "{line.url}/dicom-web"\npull_secret = "identified/north.secret"\n'
    )
    secret = home / "identified" / "north.secret"
    secret.write_text(":".join(LOGIN) + "\n")
    secret.chmod(0o600)
    return home


def call(home: Path, *arguments: str) -> Result:
    """Run the command in this process: starting another one takes longer than most pulls here."""
    command = ["pull", "--site", "north", *arguments]
    return CliRunner().invoke(app, command, env={"AURELIUS_HOME": str(home), "COLUMNS": "200"})


def list_inbox(home: Path) -> list[Path]:
    return sorted(path for path in (home / "identified" / "inbox" / "north").rglob("*") if path.is_file())


def list_arrived(home: Path) -> set[str]:
    """Read the journal of a pull that may only just have begun."""
    journal = home / "identified" / "pulls" / "journal.sqlite"
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(journal)) as connection:
        return {row[0] for row in connection.execute("SELECT instance FROM arrived")}
    return set()


def hash_all(files: list[Path]) -> Counter[str]:
    return Counter(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)


def group_studies(files: list[Path]) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for file in files:
        groups.setdefault(str(dcmread(file, stop_before_pixels=True).StudyInstanceUID), []).append(file)
    return groups


def make_puller(home: Path, line: SlowLine) -> Puller:
    settings = IntakeSettings(home=home)
    site = Site(pull=f"{line.url}/dicom-web", pull_secret=Path("identified/north.secret"))
    return Puller(settings, RemoteServer(site, home, wait_s=0.01), Journal(Zone(settings), "north"))


def test_everything_comes_as_it_is_there_and_only_once(home: Path, line: SlowLine, files: list[Path]) -> None:
    studies = group_studies(files)
    options = [f"--StudyInstanceUID={uid}" for uid in studies]
    start = time.perf_counter()
    first = call(home, *options)
    print(f"pull: {len(files) / (time.perf_counter() - start):.0f} objects/s over a slow line")
    assert first.exit_code == 0, first.stderr
    assert hash_all(list_inbox(home)) == hash_all(files)
    retrieved = [path for path in line.asked if re.search(r"/series/[0-9.]+$", path)]
    assert len(retrieved) == len(set(retrieved))
    line.asked.clear()
    again = call(home, *options)
    assert again.exit_code == 0
    assert "0 instances fetched" in again.stdout
    assert [path for path in line.asked if "?" not in path] == []
    assert hash_all(list_inbox(home)) == hash_all(files)


def test_kill_9_and_pull_again(home: Path, line: SlowLine, files: list[Path]) -> None:
    study, wanted = max(group_studies(files).items(), key=lambda group: sum(path.stat().st_size for path in group[1]))
    uids = {str(dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in wanted}
    line.pause_s = 0.05
    environment = {**os.environ, "AURELIUS_HOME": str(home)}
    process = subprocess.Popen([*COMMAND, f"--StudyInstanceUID={study}"], env=environment)
    try:
        wait_until(lambda: list_arrived(home), "something arrived", process=process)
    finally:
        process.kill()
        process.wait()
    arrived = list_arrived(home)
    assert 0 < len(arrived) < len(uids)
    line.pause_s = 0
    line.asked.clear()
    ended = call(home, f"--StudyInstanceUID={study}")
    assert ended.exit_code == 0, ended.stderr
    assert f"{len(uids) - len(arrived)} instances fetched, {len(arrived)} were there before" in ended.stdout
    fetched = Counter(path.rsplit("/", 1)[-1] for path in line.asked if "?" not in path)
    assert fetched == Counter(uids - arrived)
    assert hash_all(list_inbox(home)) == hash_all(wanted)
    assert list((home / "identified" / "pulls" / "north").iterdir()) == []


def test_a_stream_cut_off_counts_only_what_was_whole(home: Path, line: SlowLine, files: list[Path]) -> None:
    study, wanted = max(group_studies(files).items(), key=lambda group: len(group[1]))
    line.cut_after_bytes = sum(file.stat().st_size for file in wanted) // 2
    puller = make_puller(home, line)
    with puller.journal.hold():
        ended = puller.pull_study(study)
    assert (ended.fetched, ended.there, ended.missing) == (len(wanted), 0, 0)
    assert hash_all(list_inbox(home)) == hash_all(wanted)
    singly = [path for path in line.asked if re.search(r"/instances/[0-9.]+$", path)]
    assert 0 < len(singly) < len(wanted)
    assert len(singly) == len(set(singly))


def test_what_was_entered_but_not_moved_is_moved_by_the_next(home: Path, line: SlowLine, tmp_path: Path) -> None:
    journal = make_puller(home, line).journal
    folder = home / "identified" / "pulls" / "north"
    (folder / "1.2.3.dcm").write_bytes(b"entered")
    (folder / "1.2.4.dcm").write_bytes(b"not entered")
    (folder / "half.part").write_bytes(b"not whole")
    with closing(sqlite3.connect(folder.parent / "journal.sqlite", isolation_level=None)) as connection:
        connection.execute("INSERT INTO arrived (site, study, series, instance) VALUES ('north', '1', '2', '1.2.3')")
    with journal.hold():
        assert journal.list_arrived(SeriesName("1", "2")) == {"1.2.3"}
    assert [path.read_bytes() for path in list_inbox(home)] == [b"entered"]
    assert list(folder.iterdir()) == []


def test_query_lists_and_selects(home: Path, files: list[Path]) -> None:
    listed = call(home, "--query", "Modality=CT", "StudyDate=20190712", "--list")
    assert listed.exit_code == 0, listed.stderr
    study = str(dcmread(files[-1]).StudyInstanceUID)
    assert study in listed.stdout
    assert "120" in listed.stdout
    assert "Plantagenet" not in listed.stdout
    assert list_inbox(home) == []
    assert call(home, "StudyDate=20190712").exit_code == 0
    assert hash_all(list_inbox(home)) == hash_all(group_studies(files)[study])


def test_an_error_that_passes_is_waited_for(home: Path, line: SlowLine) -> None:
    line.failures = 3
    assert make_puller(home, line).server.find_studies({"StudyDate": "20190712"})


def test_errors_say_what_to_do_and_nothing_that_identifies(home: Path, line: SlowLine) -> None:
    puller = make_puller(home, line)
    with pytest.raises(NotFound, match="no such study"):
        puller.pull_study("1.2.3.4")
    with pytest.raises(InvalidRequest, match="'Doe' is no DICOM attribute"):
        puller.server.find_studies({"Doe": "1"})
    line.failures = 99
    with pytest.raises(Unreachable, match="The server answers 503"):
        puller.server.find_studies({"PatientName": "Plantagenet^Petra"})
    dead = Site(pull=f"http://127.0.0.1:{find_free_ports(1)[0]}/dicom-web")
    with pytest.raises(Unreachable, match="does not answer") as said:
        RemoteServer(dead, home, wait_s=0.01).find_studies({"PatientID": "PAT-48151623"})
    assert "PAT-48151623" not in str(said.value)


def test_a_secret_must_be_right_and_private(home: Path, line: SlowLine) -> None:
    secret = home / "identified" / "north.secret"
    secret.write_text("aurelius:wrong")
    with pytest.raises(PermissionDenied, match="check pull_secret"):
        make_puller(home, line).server.find_studies({"StudyDate": "20190712"})
    secret.chmod(0o644)
    with pytest.raises(InvalidRequest, match="Others may read north"):
        make_puller(home, line)


def test_a_token_is_sent_as_bearer(home: Path, line: SlowLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURELIUS_PULL_SECRET", "a-token")
    assert make_puller(home, line).server.client.headers["Authorization"] == "Bearer a-token"


def test_a_full_disk_stops_the_pull(home: Path, line: SlowLine, files: list[Path]) -> None:
    puller = make_puller(home, line)
    puller.settings = puller.settings.model_copy(update={"intake_reserve_mb": 1 << 40})
    with pytest.raises(InvalidRequest, match="too little free disk"), puller.journal.hold():
        puller.pull_study(str(dcmread(files[0]).StudyInstanceUID))
    assert list_inbox(home) == []


def test_two_pulls_of_one_site_do_not_meet(home: Path, line: SlowLine) -> None:
    with make_puller(home, line).journal.hold():
        ended = call(home, "--StudyInstanceUID=1.2.3")
    assert ended.exit_code == 1
    assert "A pull of north is running already" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Say which studies"),
        (["--query", "StudyDate"], "A condition has a keyword and a value"),
        (["--StudyInstanceUID=1.2.3.4"], "no such study"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], message: str, home: Path) -> None:
    ended = call(home, *arguments)
    assert ended.exit_code == 1
    assert message in ended.stderr
