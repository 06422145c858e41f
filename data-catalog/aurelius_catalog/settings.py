"""Where the catalog keeps its things: one frozen object, read from ``AURELIUS_*`` variables."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class CatalogSettings(BaseSettings):
    """Settings of the catalog, its service and its intake."""

    model_config = SettingsConfigDict(env_prefix="AURELIUS_", frozen=True, extra="ignore")

    home: Path = Path(".aurelius")
    """State folder of the house."""

    database_url: str = ""
    """SQLAlchemy address of the index; empty means SQLite under ``home``."""

    catalog_url: str = ""
    """Address of the catalog service, as a kernel reaches it; empty means: open ``home`` directly."""

    intake_quiet_s: float = 60.0
    """Seconds a file in the inbox must not have changed before it is taken."""

    @property
    def index_url(self) -> str:
        """SQLAlchemy address of the index."""
        return self.database_url or f"sqlite:///{self.home.resolve() / 'catalog' / 'index.sqlite'}"

    @property
    def files(self) -> Path:
        """Folder of the de-identified DICOM files."""
        return self.home.resolve() / "catalog" / "files"

    @property
    def identified(self) -> Path:
        """Folder of the identified zone; no notebook and no dashboard is given it."""
        return self.home.resolve() / "identified"

    @property
    def projects_file(self) -> Path:
        """TOML file that says which studies belong to which project."""
        return self.home.resolve() / "projects.toml"
