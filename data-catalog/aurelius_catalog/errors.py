"""The errors of the catalog, worded so that the person knows what to do.

::

    AureliusError
    ├── NotFound          the index holds no such thing
    ├── PermissionDenied  it is there, but not for this person
    ├── InvalidRequest    the question itself is malformed
    ├── InvalidVolume     a series cannot be stacked into one volume
    ├── NotDicom          it is kept in another format than DICOM
    ├── NotAcceptable     it cannot be had in the form the client asks for
    ├── InvalidLabel      a label does not fit the series it is for
    ├── InvalidObject     a segmentation, structure set, dose, report or waveform cannot be understood
    ├── InvalidSites      the file of the sites says something impossible
    ├── NotDeidentifiable an object cannot be de-identified with certainty
    ├── AlreadyDecided    a person has decided this before
    ├── Withdrawn         it was here, and its patient was withdrawn
    ├── DatasetDamaged    the list of what a frozen dataset holds was changed
    ├── ProfileUnusable   a de-identification profile says something that is not understood
    ├── KeyUnusable       the vault or its key is missing or not safe
    └── Unreachable       the catalog service does not answer
"""

from __future__ import annotations

from aurelius_deidentify.errors import (
    AureliusError,
    InvalidRequest,
    KeyUnusable,
    NotDeidentifiable,
    NotFound,
    ProfileUnusable,
)

__all__ = [
    "AlreadyDecided",
    "AureliusError",
    "DatasetDamaged",
    "InvalidLabel",
    "InvalidObject",
    "InvalidRequest",
    "InvalidSites",
    "InvalidVolume",
    "KeyUnusable",
    "NotAcceptable",
    "NotDeidentifiable",
    "NotDicom",
    "NotFound",
    "PermissionDenied",
    "ProfileUnusable",
    "Unreachable",
    "Withdrawn",
]


class PermissionDenied(AureliusError):
    """The object exists, but this person has no right to it."""

    status_code = 403


class InvalidVolume(AureliusError):
    """The instances of a series do not form one regular volume."""

    status_code = 409


class NotDicom(AureliusError):
    """The object is kept as the file it came as, such as a slide, and cannot be had as DICOM."""

    status_code = 415


class NotAcceptable(AureliusError):
    """The object cannot be had in any of the forms the client accepts."""

    status_code = 406


class InvalidLabel(AureliusError):
    """A label map does not fit the series it was drawn on."""

    status_code = 422


class InvalidObject(AureliusError):
    """An object other than an image lacks what it takes to read it, or is not what was asked for."""

    status_code = 422


class InvalidSites(AureliusError):
    """The file that says who may call, send and be asked cannot be read or says something impossible."""


class AlreadyDecided(AureliusError):
    """What a person wants to decide does not wait for a decision (any more)."""

    status_code = 409


class Withdrawn(AureliusError):
    """The patient was withdrawn: the images are gone for good."""

    status_code = 410


class DatasetDamaged(AureliusError):
    """The index no longer says what a frozen dataset holds, or a copy of it is not what it says."""

    status_code = 409


class Unreachable(AureliusError):
    """The catalog service did not answer."""

    status_code = 503
