"""The queue of waiting tasks, shared fairly: each person with waiting tasks gets one in turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aurelius_annotation.errors import Superseded


@dataclass(frozen=True)
class JobOutcome:
    """The result of a task: a file, which the caller deletes, and the app's own parameters."""

    file: Path
    params: dict[str, Any]


@dataclass(eq=False)
class Job:
    """A task that waits for its turn.

    Parameters
    ----------
    person
        Who asked; each person with waiting tasks gets one turn after the other. Empty for the server itself, whose
        turn comes when no person waits.
    key
        A newer job of the same person and key replaces this one while it waits; None never does.
    """

    task: Mapping[str, Any]
    person: str
    key: str | None
    outcome: asyncio.Future[JobOutcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: Exception) -> None:
        """End the job with an error, unless its requester has stopped waiting."""
        if not self.outcome.done():
            self.outcome.set_exception(error)


class FairQueue:
    """Waiting jobs, handed out in turns: one per person, and people before the server itself."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._people: deque[str] = deque()
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Job) -> None:
        """Queue a job; an older one that it replaces ends as superseded."""
        for older in list(self._jobs):
            if job.key is not None and (older.person, older.key) == (job.person, job.key):
                self._jobs.remove(older)
                older.fail(Superseded("A newer request of yours for this image took its place."))
        self._jobs.append(job)
        if job.person not in self._people:
            self._people.append(job.person)
        self._arrived.set()

    async def take(self) -> Job:
        """Wait for the next job whose requester still waits for it."""
        while True:
            for person in sorted(self._people, key=lambda name: not name):  # stable: the server itself, "", comes last
                job = next((job for job in self._jobs if job.person == person and not job.outcome.done()), None)
                self._people.remove(person)
                if job is not None:
                    self._jobs.remove(job)
                    self._people.append(person)
                    return job
            self._jobs.clear()  # the requesters of all of them have stopped waiting
            self._arrived.clear()
            await self._arrived.wait()

    def fail_all(self, error: Exception) -> None:
        """End every waiting job."""
        while self._jobs:
            self._jobs.popleft().fail(error)
