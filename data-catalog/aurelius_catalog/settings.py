"""Where the catalog keeps its things: one frozen object, read from ``AURELIUS_*`` variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
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

    handover: Path | None = None
    """Socket on which the catalog service of this machine hands over open files; without it kernels read by HTTP."""

    public_url: str = ""
    """Address people use, when a TLS proxy stands in front of the house; empty means the address of each request."""

    port: int = 0
    """Port of the house's own proxy; 0 means that it is not known."""

    intake_quiet_s: float = 60.0
    """Seconds a file in the inbox must not have changed before it is taken."""

    intake_profile: str = "research"
    """De-identification profile: the name of one that comes with the house, or the path of a YAML file."""

    intake_workers: int = Field(default=1, ge=1)
    """Processes that take studies side by side."""

    intake_reserve_mb: int = Field(default=1024, ge=0)
    """Free disk, in MiB, below which the intake takes nothing."""

    dicom_port: int = Field(default=0, ge=0, le=65535)
    """Port of the C-STORE listener; 0 means none."""

    dicom_host: str = "127.0.0.1"
    """Address on which the C-STORE listener listens; an operator opens it to the scanners' network on purpose."""

    vault_key: SecretStr = SecretStr("")
    """Key of the vault, 64 hexadecimal digits; where it is empty, the key file is read."""

    vault_key_file: Path | None = None
    """File with the key of the vault; without it ``identified/key``."""

    approval_hours: float = Field(default=24, ge=0)
    """Hours within which a second steward must approve the opening of a pseudonym, and the first one open it."""

    audit_years: float = Field(default=7, gt=0)
    """Years an audit record is kept at least."""

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
    def identified(self) -> Path:
        """Folder of the identified zone; no notebook and no dashboard is given it."""
        return self.home.resolve() / "identified"

    @property
    def projects_file(self) -> Path:
        """TOML file that says which studies belong to which project."""
        return self.home.resolve() / "projects.toml"

    @property
    def certificates(self) -> Path:
        """Folder of the de-identification certificates, one per study."""
        return self.home.resolve() / "catalog" / "certificates"

    @property
    def sites_file(self) -> Path:
        """TOML file that says who may send to which site over the network."""
        return self.home.resolve() / "sites.toml"
