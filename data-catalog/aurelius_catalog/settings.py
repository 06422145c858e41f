"""Settings of the catalog: one frozen object, read from ``AURELIUS_*`` variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class CatalogSettings(BaseSettings):
    """Settings of the catalog and its service; none leads to the identified zone."""

    model_config = SettingsConfigDict(env_prefix="AURELIUS_", frozen=True, extra="ignore")

    home: Path = Path(".aurelius")
    """State folder of the house."""

    database_url: str = ""
    """SQLAlchemy address of the index; empty means SQLite under ``home``."""

    catalog_url: str = ""
    """Address of the catalog service, as a kernel reaches it; empty means: open ``home`` directly."""

    handover: Path | None = None
    """Socket on which the catalog service of this machine hands over open files; without it kernels read by HTTP."""

    public_url: str = ""
    """Address people use, when a TLS proxy stands in front of the house; empty means the address of each request."""

    port: int = 0
    """Port of the house's own proxy; 0 means that it is not known."""

    intake_profile: str = "research"
    """De-identification profile: the name of one that comes with the house, or the path of a YAML file."""

    intake_reserve_mb: int = Field(default=1024, ge=0)
    """Free disk, in MiB, below which the intake takes nothing."""

    idc_index: Path | None = None
    """Parquet file with the index of a public archive, in the layout of the Imaging Data Commons; searched in place."""

    dataset_licence: str = "For use inside this house only. A data steward can tell you who grants more."
    """Terms under which frozen datasets may be used, as their data cards state them."""

    @property
    def index_url(self) -> str:
        """SQLAlchemy address of the index."""
        return self.database_url or f"sqlite:///{self.home.resolve() / 'catalog' / 'index.sqlite'}"

    @property
    def files(self) -> Path:
        """Folder of the de-identified DICOM files."""
        return self.home.resolve() / "catalog" / "files"

    @property
    def written_folders(self) -> tuple[Path, ...]:
        """Folders that a service with these settings writes files to."""
        return (self.files,)

    @property
    def projects_file(self) -> Path:
        """TOML file that says which studies belong to which project."""
        return self.home.resolve() / "projects.toml"

    @property
    def certificates(self) -> Path:
        """Folder of the de-identification certificates, one per study."""
        return self.home.resolve() / "catalog" / "certificates"
