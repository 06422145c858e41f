"""Settings of the dashboards service, and the address that the hub gave it."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from aurelius_extensions.settings import NotebookSettings


class DashboardSettings(NotebookSettings):
    """Settings of the dashboards service, read from ``AURELIUS_*`` variables."""

    @property
    def folder(self) -> Path:
        """Folder of the dashboards' notebooks."""
        return self.notebooks.resolve() / "dashboards"


def read_address() -> tuple[str, int, str]:
    """Return host, port and path prefix at which the hub expects this service.

    Raises
    ------
    SystemExit
        When the hub gave no address to listen on.
    """
    address = urlsplit(os.environ.get("JUPYTERHUB_SERVICE_URL", ""))
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "")
    if not address.hostname or address.port is None or not prefix:
        raise SystemExit("JUPYTERHUB_SERVICE_URL is not set: this service is started by the hub (`aurelius demo`).")
    return address.hostname, address.port, f"/{prefix.strip('/')}/"
