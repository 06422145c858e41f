"""The errors of starting a kernel.

::

    NoGpuFree   every GPU of this machine is leased
"""

from __future__ import annotations

from tornado.web import HTTPError


class NoGpuFree(HTTPError):
    """Every GPU of this machine is leased; an HTTPError, so that JupyterLab shows the message itself."""

    def __init__(self, message: str) -> None:
        super().__init__(503, "%s", message)
        self.message = message

    def __str__(self) -> str:
        return self.message
