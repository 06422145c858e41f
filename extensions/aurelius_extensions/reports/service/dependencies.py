"""What each request to the report service begins with: the person, and that person's desk."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from aurelius_catalog.access.person import Person
from aurelius_catalog.hosting.login import current_person
from aurelius_catalog.local.store import LocalStore
from aurelius_extensions.reports.execution.worker import Worker
from aurelius_extensions.reports.service.access import ReportAccess


def open_desk(request: Request, person: Annotated[Person, Depends(current_person)]) -> ReportAccess:
    """Open the desk of the person behind a request; the catalog itself checks what that person may see."""
    worker: Worker = request.app.state.worker
    return ReportAccess(worker.library, worker.queue, worker.store, LocalStore(worker.settings, person))


DeskOf = Annotated[ReportAccess, Depends(open_desk)]
