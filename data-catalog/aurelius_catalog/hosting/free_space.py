"""Free disk space, and the reserve below which nothing is taken in."""

from __future__ import annotations

import shutil
from typing import Any

from aurelius_catalog.settings import CatalogSettings


def has_room(settings: CatalogSettings, wanted_bytes: int = 0) -> bool:
    """Whether the reserve stays free after ``wanted_bytes`` more are written."""
    return measure_free(settings) - wanted_bytes >= settings.intake_reserve_mb << 20


def describe_disk(settings: CatalogSettings) -> dict[str, Any]:
    """Return free and reserved bytes, and whether anything is taken."""
    free, reserve = measure_free(settings), settings.intake_reserve_mb << 20
    return {"free_bytes": free, "reserve_bytes": reserve, "taking": free >= reserve}


def measure_free(settings: CatalogSettings) -> int:
    """Return the free bytes of the fullest file system among `CatalogSettings.written_folders`."""
    there = [next(p for p in (place, *place.parents) if p.exists()) for place in settings.written_folders]
    return min(shutil.disk_usage(place).free for place in there)
