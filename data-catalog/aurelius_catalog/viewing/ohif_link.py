"""The path of a series in OHIF, the house's browser viewer."""

from __future__ import annotations

from urllib.parse import urlencode

from aurelius_catalog.records import SeriesRecord

#: The viewer's folder below the house's address: the same in every house, whatever the address is.
VIEWER = "/services/catalog/ohif"


def link_to_ohif(record: SeriesRecord) -> str:
    """Return the path that opens a series, and its study beside it, in OHIF.

    A segmentation comes up over the images it was drawn on. The path holds no address: a link in a notebook or on a
    page of the house leads to wherever the reader came from.
    """
    view = "microscopy" if record.Modality == "SM" else "viewer"
    query = {"StudyInstanceUIDs": record.StudyInstanceUID, "initialSeriesInstanceUID": record.SeriesInstanceUID}
    return f"{VIEWER}/{view}?{urlencode(query)}"
