"""Settings of the reports: the folders of their notebooks and of their runs."""

from __future__ import annotations

from pathlib import Path

from aurelius_catalog.settings import CatalogSettings
from aurelius_extensions.settings import NotebookSettings


class ReportSettings(NotebookSettings, CatalogSettings):
    """The catalog's settings, and what reports need beyond them; read from ``AURELIUS_*`` variables."""

    @property
    def library(self) -> Path:
        """Folder of the report notebooks."""
        return self.notebooks.resolve() / "reports"

    @property
    def runs(self) -> Path:
        """Folder of the stored runs; waiting and working ones are in ``.queue`` and ``.work`` inside it."""
        return self.home.resolve() / "reports"
