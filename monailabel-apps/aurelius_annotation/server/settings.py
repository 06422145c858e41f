"""The annotation server's settings, read from ``AURELIUS_*`` variables."""

from __future__ import annotations

from pathlib import Path

from aurelius_catalog.settings import CatalogSettings

APPS = Path(__file__).resolve().parents[2]


class AnnotationSettings(CatalogSettings):
    """The catalog's settings, and what the annotation server needs beyond them."""

    annotation_python: Path = APPS.parent / ".venv-annotation" / "bin" / "python"
    """Python of the annotation environment, which runs the worker."""

    models: Path | None = None
    """Folder with the trained weights; None means ``home/models``."""

    @property
    def models_folder(self) -> Path:
        """Folder with the trained weights."""
        return (self.models or self.home / "models").resolve()

    @property
    def folder(self) -> Path:
        """Folder of this server's own state: image cache, scratch, labels that were refused."""
        return self.home.resolve() / "annotation"

    @property
    def app(self) -> Path:
        """Folder of the MONAI Label app the worker loads."""
        return APPS / "radiology"
