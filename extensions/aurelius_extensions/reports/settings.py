"""Settings of the reports: the folders of their notebooks and of their runs."""

from __future__ import annotations

from pathlib import Path

from aurelius_catalog.settings import CatalogSettings

NOTEBOOKS = Path(__file__).resolve().parents[3] / "notebooks"


class ReportSettings(CatalogSettings):
    """The catalog's settings, and what reports need beyond them; read from ``AURELIUS_*`` variables."""

    notebooks: Path = NOTEBOOKS
    """Folder ``notebooks/`` with the guides, dashboards and reports."""

    @property
    def library(self) -> Path:
        """Folder of the report notebooks."""
        return self.notebooks.resolve() / "reports"

    @property
    def runs(self) -> Path:
        """Folder of the stored runs; waiting and working ones are in ``.queue`` and ``.work`` inside it."""
        return self.home.resolve() / "reports"
