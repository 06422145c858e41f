"""The errors of starting the house, each in one line with the remedy.

::

    HubError
    ├── CannotStart     something is missing or taken; the remedy is in the message
    ├── StepFailed      a step of the start (data, model, a service) did not succeed
    └── UnsafeAddress   the loopback issuer was asked to listen to the network
"""

from __future__ import annotations


class HubError(Exception):
    """Base of every error this package raises on purpose."""


class CannotStart(HubError):
    """The machine is not ready: says what is wrong and what to do about it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")


class StepFailed(HubError):
    """A step of the start failed; the message names the log to read."""


class UnsafeAddress(HubError):
    """The loopback issuer serves demonstration passwords and must not be reachable from outside."""
