"""Settings of the dashboards service, and the address that the hub gave it."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from pydantic_settings import BaseSettings, SettingsConfigDict

#: The notebooks of the checkout this package is installed from.
NOTEBOOKS = Path(__file__).parents[4] / "notebooks"


class DashboardSettings(BaseSettings):
    """Settings of the dashboards service, read from ``AURELIUS_*`` variables."""

    model_config = SettingsConfigDict(env_prefix="AURELIUS_", frozen=True, extra="ignore")

    notebooks: Path = NOTEBOOKS
    """Folder of the house's notebooks."""

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
