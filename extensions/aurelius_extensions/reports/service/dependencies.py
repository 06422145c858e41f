"""Dependencies of the report service's routes: the person behind a request, and that person's access."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from aurelius_catalog.access.person import Person
from aurelius_catalog.hosting.login import current_person
from aurelius_catalog.local.store import LocalStore
from aurelius_extensions.reports.service.access import ReportAccess
from aurelius_extensions.reports.service.worker import Worker


def open_access(request: Request, person: Annotated[Person, Depends(current_person)]) -> ReportAccess:
    """Open the reports for the person behind a request; the catalog itself checks what that person may see."""
    worker: Worker = request.app.state.worker
    return ReportAccess(worker.library, worker.queue, worker.store, LocalStore(worker.settings, person))


AccessDependency = Annotated[ReportAccess, Depends(open_access)]
