"""Errors of dashboards and reports, worded so that the person knows what to do.

::

    AureliusError
    └── ExtensionError
        ├── ReportInvalid     a report notebook cannot be offered: no parameters cell, unreadable
        ├── NothingStored     a run has no such file, or has not finished yet
        ├── RunTampered       a stored run is no longer what was sealed
        ├── UnknownViewer     a dashboard does not know its viewer
        ├── NoPlaceLeft       as many dashboards are open as the server can carry
        ├── DashboardDenied   the dashboard is there, but for people of other roles
        └── UnknownDashboard  there is no dashboard of this name

They derive from the base of all our errors, so that a service answers all of them in one way.
"""

from __future__ import annotations

from aurelius_deidentify.errors import AureliusError


class ExtensionError(AureliusError):
    """Base of every error this package raises on purpose."""


class ReportInvalid(ExtensionError):
    """A report notebook is not one that can be run and compared."""

    status_code = 500


class NothingStored(ExtensionError):
    """A run has not produced the file that was asked for."""

    status_code = 404


class RunTampered(ExtensionError):
    """The files of a stored run differ from the ones that were sealed."""

    status_code = 409


class UnknownViewer(ExtensionError):
    """A dashboard runs without a person behind it."""

    status_code = 403


class NoPlaceLeft(ExtensionError):
    """The server carries no more open dashboards."""

    status_code = 503


class DashboardDenied(ExtensionError):
    """The dashboard is meant for roles this person does not have."""

    status_code = 403


class UnknownDashboard(ExtensionError):
    """No dashboard has this name."""

    status_code = 404
