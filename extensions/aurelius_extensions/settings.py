"""The folder of the house's notebooks, for every service that runs some."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

#: The notebooks of the checkout this package is installed from.
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


class NotebookSettings(BaseSettings):
    """The setting that dashboards and reports share."""

    model_config = SettingsConfigDict(env_prefix="AURELIUS_", frozen=True, extra="ignore")

    notebooks: Path = NOTEBOOKS
    """Folder ``notebooks/`` with the guides, dashboards and reports."""
