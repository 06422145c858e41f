"""The context of the local store's parts: the index, the settings, and the person who looks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from aurelius_catalog.access.person import Person
from aurelius_catalog.settings import CatalogSettings


@dataclass(frozen=True)
class LocalContext:
    """The catalog of this machine as one person sees it.

    Parameters
    ----------
    settings
        Where index and files are.
    person
        Whose rights every part asks for.
    engine
        The open index.
    files
        Folder of the catalog's files, worked out once: readers of frames ask for it thousands of times.
    """

    settings: CatalogSettings
    person: Person
    engine: Engine
    files: Path
