"""Finished runs, stored once and never changed.

A run is a folder: ``report.ipynb`` (as it was), ``notebook.ipynb`` (as it ran), ``report.html``,
``results.json``, ``run.json``, ``verdict.json``, ``ro-crate-metadata.json``, and ``manifest.json`` with the SHA-256 of
each. It is made beside its place and renamed into it, so it is there whole or not at all. Files are
read-only, and every read is checked against the manifest: a change is reported, never shown as a result.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from aurelius_catalog.durable_files import sync_file, sync_folder
from aurelius_catalog.errors import NotFound
from aurelius_extensions.errors import NothingStored, RunTampered
from aurelius_extensions.reports.execution.execute import HTML_FILE, NOTEBOOK_FILE, SOURCE_FILE
from aurelius_extensions.reports.records import ReportRun, ResultTable, Verdict
from aurelius_extensions.reports.redaction import redact_text
from aurelius_extensions.reports.results.declaration import RESULTS_FILE
from aurelius_extensions.reports.runs.crate import METADATA_FILE, write_crate

RUN_FILE = "run.json"
VERDICT_FILE = "verdict.json"
MANIFEST_FILE = "manifest.json"
FILES = (NOTEBOOK_FILE, HTML_FILE, RESULTS_FILE, RUN_FILE, VERDICT_FILE, METADATA_FILE, SOURCE_FILE)
RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")


@dataclass(frozen=True)
class StoredRun:
    """A finished run on disk."""

    folder: Path

    @property
    def id(self) -> str:
        """Id of the run, which is the folder's name."""
        return self.folder.name

    def list_files(self) -> list[str]:
        """Return the names of the sealed files."""
        return [name for name in FILES if name in self._read_manifest()]

    def list_changes(self) -> list[str]:
        """Return the files that are no longer what was sealed: changed, missing or added."""
        try:
            sealed = self._read_manifest()
        except RunTampered:
            return [MANIFEST_FILE]
        present = {path.name for path in self.folder.iterdir()} - {MANIFEST_FILE}
        changed = {name for name in sealed.keys() & present if self._hash(name) != sealed[name]}
        return sorted(changed | (sealed.keys() ^ present))

    def read(self, name: str) -> bytes:
        """Return a sealed file's content.

        Raises
        ------
        NothingStored
            If the run has no such file.
        RunTampered
            If it is not what was sealed.
        """
        sealed = self._read_manifest()
        if name not in sealed:
            raise NothingStored(f"Run {self.id} has no file {name[:80]!r}.")
        try:
            content = (self.folder / name).read_bytes()
        except FileNotFoundError:
            content = b""
        if _hash_bytes(content) != sealed[name]:
            raise RunTampered(f"{name} of run {self.id} was changed after it was sealed; it is not to be relied on.")
        return content

    def read_run(self) -> ReportRun:
        """Return the run's record."""
        return ReportRun.model_validate_json(self.read(RUN_FILE))

    def read_verdict(self) -> Verdict | None:
        """Return the verdict: of a rerun, or of a run that could not run."""
        if VERDICT_FILE not in self._read_manifest():
            return None
        return Verdict.model_validate_json(self.read(VERDICT_FILE))

    def read_results(self) -> ResultTable | None:
        """Return the declared numbers, or None where the run came to none."""
        if RESULTS_FILE not in self._read_manifest():
            return None
        return ResultTable.model_validate_json(self.read(RESULTS_FILE))

    def _read_manifest(self) -> dict[str, str]:
        try:
            sealed = json.loads((self.folder / MANIFEST_FILE).read_text("utf-8"))["files"]
            return {str(name): str(digest) for name, digest in sealed.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunTampered(f"The manifest of run {self.id} was removed or changed after it was sealed.") from error

    def _hash(self, name: str) -> str:
        return _hash_bytes((self.folder / name).read_bytes())


class RunStore:
    """The folder of finished runs.

    Parameters
    ----------
    folder
        ``reports/`` in the state folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def list_runs(self) -> list[StoredRun]:
        """Return the finished runs, newest first."""
        if not self.folder.is_dir():
            return []
        paths = [path for path in self.folder.iterdir() if RUN_ID.fullmatch(path.name)]
        return [StoredRun(path) for path in sorted(paths, key=lambda path: path.name, reverse=True)]

    def get(self, run_id: str) -> StoredRun:
        """Return one finished run.

        Raises
        ------
        NotFound
            If no run has that id.
        """
        if not RUN_ID.fullmatch(run_id) or not (self.folder / run_id).is_dir():
            raise NotFound(f"There is no finished run {run_id[:40]!r}.")
        return StoredRun(self.folder / run_id)

    def seal(self, work: Path, run: ReportRun, verdict: Verdict | None, secrets: list[str]) -> StoredRun:
        """Store a run for good.

        Parameters
        ----------
        work
            Folder it was executed in; removed afterwards.
        run, verdict
            Its record and its verdict.
        secrets
            Values that are taken out of every file before it is hashed.
        """
        made = work.with_name(f"{run.id}.sealing")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        for name in (SOURCE_FILE, NOTEBOOK_FILE, HTML_FILE, RESULTS_FILE):
            if (work / name).is_file():
                shutil.copyfile(work / name, made / name)
        (made / RUN_FILE).write_text(run.model_dump_json(indent=1), "utf-8")
        if verdict is not None:
            (made / VERDICT_FILE).write_text(verdict.model_dump_json(indent=1), "utf-8")
        write_crate(made, run, verdict, source=SOURCE_FILE)
        for path in made.iterdir():
            path.write_text(redact_text(path.read_text("utf-8"), secrets), "utf-8")
        sealed = {path.name: _hash_bytes(path.read_bytes()) for path in sorted(made.iterdir())}
        (made / MANIFEST_FILE).write_text(json.dumps({"run": run.id, "files": sealed}, indent=1), "utf-8")
        for path in made.iterdir():
            sync_file(path)
            path.chmod(0o440)
        sync_folder(made)
        place = self.folder / run.id
        made.rename(place)
        place.chmod(0o550)
        sync_folder(self.folder)
        shutil.rmtree(work, ignore_errors=True)
        return StoredRun(place)


def _hash_bytes(content: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
