"""Files of the annotation server that belong to a patient. The intake may not import it: its folders are named here."""

from __future__ import annotations

import json
from collections.abc import Collection

from aurelius_intake.settings import IntakeSettings


def forget_annotation_files(settings: IntakeSettings, SeriesInstanceUIDs: Collection[str]) -> None:
    """Remove refused uploads of series, and the cache of all images.

    The cache names no series, and is made anew when it is asked for.
    """
    folder = settings.home.resolve() / "annotation"
    if SeriesInstanceUIDs:
        for path in (folder / "images").glob("*.*"):
            path.unlink(missing_ok=True)
    for card in (folder / "rejected").glob("*.json"):
        if json.loads(card.read_text()).get("SeriesInstanceUID") in SeriesInstanceUIDs:
            card.with_suffix(".upload").unlink(missing_ok=True)
            card.unlink(missing_ok=True)
