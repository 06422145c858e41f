"""The runs that wait or work: one file each, so that none is lost in a restart."""

from __future__ import annotations

from pathlib import Path

from aurelius_catalog.durable_files import write_durably
from aurelius_extensions.reports.records import RunRequest, RunState


class Queue:
    """Requests on disk, oldest first.

    Parameters
    ----------
    folder
        Folder of the request files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, request: RunRequest) -> None:
        """Write a request, new or with a new state."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_durably(self.folder / f"{request.id}.json", request.model_dump_json().encode())

    def get(self, run_id: str) -> RunRequest | None:
        """Return a request, or None where no such run waits or works."""
        return next((request for request in self.list_requests() if request.id == run_id), None)

    def list_requests(self, state: RunState | None = None) -> list[RunRequest]:
        """Return the requests in the order they were asked, all or those of one state."""
        found = []
        for path in self.folder.glob("*.json"):
            try:
                found.append(RunRequest.model_validate_json(path.read_text("utf-8")))
            except FileNotFoundError:
                continue  # finished while we were reading
        return sorted(
            (item for item in found if state in (None, item.state)), key=lambda item: (item.asked_at, item.id)
        )

    def remove(self, run_id: str) -> None:
        """Forget a request, because its run is stored."""
        (self.folder / f"{run_id}.json").unlink(missing_ok=True)
