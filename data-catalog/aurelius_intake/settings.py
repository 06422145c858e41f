"""Settings of the identified zone: those of the catalog, the zone's folder and the vault's key.

No class outside this package has a field for either, and no process but the intake and the steward's commands makes
one.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field, SecretStr

from aurelius_catalog.settings import CatalogSettings


class IntakeSettings(CatalogSettings):
    """Settings of the intake and of the steward's commands."""

    intake_quiet_s: float = 60.0
    """Seconds a file in the inbox must not have changed before it is taken."""

    intake_workers: int = Field(default=1, ge=1)
    """Processes that take studies side by side."""

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

    @property
    def identified(self) -> Path:
        """Folder of the identified zone; no notebook and no dashboard is given it."""
        return self.home.resolve() / "identified"

    @property
    def sites_file(self) -> Path:
        """TOML file that says who may send to which site over the network."""
        return self.home.resolve() / "sites.toml"

    @property
    def written_folders(self) -> tuple[Path, ...]:
        """Folders that the intake writes files to."""
        return (self.identified, self.files)


@cache
def read_settings() -> IntakeSettings:
    """Return the settings this process was started with."""
    return IntakeSettings()
