"""Dependencies of the routes: the server's parts and the person who asks."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from aurelius_annotation.server.images import ImageCache
from aurelius_annotation.server.settings import AnnotationSettings
from aurelius_annotation.server.tickets import Tickets
from aurelius_annotation.server.worker_pool import WorkerPool
from aurelius_catalog.access.person import Action, Person
from aurelius_catalog.hosting.login import current_person
from aurelius_catalog.local.store import LocalStore


@dataclass(frozen=True)
class AnnotationContext:
    """The parts of one running server."""

    settings: AnnotationSettings
    pool: WorkerPool
    images: ImageCache
    tickets: Tickets

    @classmethod
    def set_up(cls, settings: AnnotationSettings) -> AnnotationContext:
        """Make the parts; the worker is not started yet."""
        folder = settings.folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.rmtree(folder / "strokes", ignore_errors=True)  # of requests that an earlier end cut short
        return cls(settings, WorkerPool(settings), ImageCache(folder / "images"), Tickets(folder / "key"))

    @property
    def strokes(self) -> Path:
        """Folder for strokes on their way to the worker; not the worker's own, which is emptied with each worker."""
        return self.settings.folder / "strokes"

    def open_store(self, person: Person) -> LocalStore:
        """Open the catalog with a person's eyes."""
        return LocalStore(self.settings, person)


def get_context(request: Request) -> AnnotationContext:
    """FastAPI dependency: the server's parts."""
    context: AnnotationContext = request.app.state.context
    return context


ContextDependency = Annotated[AnnotationContext, Depends(get_context)]


def get_viewer(context: ContextDependency, person: Annotated[Person, Depends(current_person)]) -> Person:
    """FastAPI dependency: the person behind a request; their tickets work from now on."""
    context.tickets.remember(person)
    return person


def get_annotator(person: Annotated[Person, Depends(get_viewer)]) -> Person:
    """FastAPI dependency: a person who may annotate.

    Raises
    ------
    PermissionDenied
        For anybody else, with the roles that would allow it.
    """
    person.require(Action.ANNOTATE)
    return person


Viewer = Annotated[Person, Depends(get_viewer)]
Annotator = Annotated[Person, Depends(get_annotator)]
