"""Settings of the hub: one frozen object, read from ``AURELIUS_*`` variables.

What only a service reads is a field of that service's own settings class; `aurelius_hub.environment` hands it on.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

REPOSITORY = Path(__file__).resolve().parents[2]
Port = Annotated[int, Field(ge=0, le=65535)]


class HubSettings(BaseSettings):
    """Settings of the hub and of ``aurelius demo``.

    A port of 0 means: the operating system chooses a free one at every start.
    """

    model_config = SettingsConfigDict(env_prefix="AURELIUS_", frozen=True, extra="ignore")

    home: Path = Path(".aurelius")
    """State folder of the house."""

    repository: Path = REPOSITORY
    """Checkout: ``jupyterhub_config.py``, ``notebooks/``, ``node_modules/`` and ``monailabel-apps/`` lie there."""

    run: str = ""
    """Identifier of this run; every process carries it, so that none can be left behind."""

    port: Port = 8000
    """Port people open in the browser."""

    hub_port: Port = 0
    """Port of the hub's own server, behind the proxy."""

    proxy_api_port: Port = 0
    """Port on which the hub tells the proxy its routes."""

    catalog_port: Port = 0
    """Port of the catalog service, behind the proxy."""

    annotation_port: Port = 0
    """Port of the annotation service, behind the proxy."""

    dashboards_port: Port = 0
    """Port of the dashboards service, behind the proxy."""

    reports_port: Port = 0
    """Port of the reports service, behind the proxy."""

    intake_port: Port = 0
    """Port of the intake's own pages, behind the proxy."""

    issuer_port: Port = 0
    """Port of the issuer that ``aurelius demo`` starts, be it the loopback one or Keycloak."""

    issuer_host: str = "127.0.0.1"
    """Address of the loopback issuer; it refuses any but a loopback address."""

    keycloak_management_port: Port = 0
    """Port of Keycloak's health endpoint (``aurelius demo --login keycloak``)."""

    bind_address: str = "127.0.0.1"
    """Address on which the proxy listens."""

    public_url: str = ""
    """Address people use, when a TLS proxy stands in front; empty means the address of each request."""

    login: Literal["loopback", "keycloak"] = "loopback"
    """Which issuer ``aurelius demo`` starts; the hub itself only knows its address."""

    issuer_url: str = ""
    """OpenID issuer, e.g. ``https://keycloak.example.org/realms/aurelius``; empty means the one of the demo."""

    client_id: str = "aurelius"
    """The hub's client at the issuer; its secret is in ``home/hub/client_secret``."""

    auth_refresh_s: int = Field(30, ge=1)
    """Seconds after which a person's groups are asked of the issuer again."""

    session_s: int = Field(8 * 3600, ge=60)
    """Seconds a login at a service or notebook lasts before the hub is asked again."""

    idle_server_s: int = Field(4 * 3600, ge=60)
    """Seconds without activity after which a notebook server is stopped."""

    handover: Path | None = None
    """Socket on which kernels of this machine are handed open files; by default ``home/handover/catalog``."""

    annotation_python: Path = REPOSITORY / ".venv-annotation" / "bin" / "python"
    """Python of the annotation environment."""

    models: Path | None = None
    """Folder of trained weights; by default ``home/models``."""

    notebooks: Path = REPOSITORY / "notebooks"
    """Folder with ``guides/``, ``dashboards/`` and ``reports/``."""

    cache: Path = REPOSITORY / ".cache"
    """Folder for what is fetched once per checkout: the Keycloak distribution."""

    @property
    def state(self) -> Path:
        """Absolute path of ``home``."""
        return self.home.resolve()

    @property
    def hub_state(self) -> Path:
        """Folder of the hub's database and secrets."""
        return self.state / "hub"

    @property
    def logs(self) -> Path:
        """Folder of one log per process."""
        return self.state / "logs"

    @property
    def weights(self) -> Path:
        """Folder of trained weights."""
        return (self.models or self.state / "models").resolve()

    @property
    def socket(self) -> Path:
        """Absolute path of the socket on which kernels are handed open files."""
        return (self.handover or self.state / "handover" / "catalog").absolute()

    @property
    def issuer(self) -> str:
        """Address of the OpenID issuer."""
        return self.issuer_url or f"http://127.0.0.1:{self.issuer_port}/realms/aurelius"

    @property
    def address(self) -> str:
        """Address of the house, without a trailing slash."""
        return self.public_url.rstrip("/") or f"http://127.0.0.1:{self.port}"

    @property
    def python(self) -> str:
        """Python of the main environment."""
        return sys.executable

    def service_port(self, name: str) -> int:
        """Port of the service called ``name``."""
        port: int = getattr(self, f"{name}_port")
        return port

    def to_environment(self) -> dict[str, str]:
        """Return the ``AURELIUS_*`` variables from which another process reads these same settings."""
        values = {name: value for name, value in self.model_dump().items() if value not in (None, "")}
        # Paths are made absolute, for the other process has another working folder; a link to a Python stays a link.
        return {
            f"AURELIUS_{name.upper()}": str(value.absolute() if isinstance(value, Path) else value)
            for name, value in values.items()
        }

    def describe_house(self) -> dict[str, str]:
        """Return the variables by which a service knows what the hub decided: folders, addresses, this run."""
        decided = {
            "HOME": str(self.state),
            "RUN": self.run,
            "PORT": str(self.port),
            "PUBLIC_URL": self.public_url,
            "MODELS": str(self.weights),
            "NOTEBOOKS": str(self.notebooks.absolute()),
            "ANNOTATION_PYTHON": str(self.annotation_python.absolute()),
        }
        return {f"AURELIUS_{name}": value for name, value in decided.items() if value}
