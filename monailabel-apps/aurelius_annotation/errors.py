"""Errors of the annotation server, worded so that the annotator knows what to do.

::

    AureliusError
    └── AnnotationError
        ├── WorkerUnavailable  the process that computes is not there, or not yet
        ├── TaskFailed         the computation itself failed
        ├── Superseded         a newer request of the same person took this one's place
        ├── UnknownModel       the app has no such model
        └── NotOffered         MONAI Label has it, this server on purpose does not
"""

from __future__ import annotations

from aurelius_deidentify.errors import AureliusError


class AnnotationError(AureliusError):
    """Base of every error this package raises on purpose."""


class WorkerUnavailable(AnnotationError):
    """No worker can take the task now."""

    status_code = 503


class TaskFailed(AnnotationError):
    """The app refused the task, or failed while computing it."""

    status_code = 422


class Superseded(AnnotationError):
    """The task was dropped before it ran, because a newer one replaces it."""

    status_code = 409


class UnknownModel(AnnotationError):
    """The app has no model of that name."""

    status_code = 404


class NotOffered(AnnotationError):
    """A part of the protocol that this server does not take part in."""

    status_code = 403
