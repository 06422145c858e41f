"""The keywords of a search: the attributes that the index holds in columns, and a few of the house's own."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from sqlalchemy import ColumnElement

from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.index.schema import RESULTS, instances, series

#: Keywords of the house's own (`aurelius_catalog.search.special`).
SCOPES = ("project", "site")
SPECIAL = (*SCOPES, "text", "has_segmentation", "has_prediction", "source")
#: Keyword to column, for a search of series and of studies.
SERIES: dict[str, ColumnElement[Any]] = {
    column.name: column for column in series.columns if column.name not in ("id", "scope", "words", *RESULTS)
}
#: Keyword to column, for a search of instances: what an instance says of itself goes before what its series says.
INSTANCES: dict[str, ColumnElement[Any]] = {
    **SERIES,
    **{
        name: instances.c[name]
        for name in (
            "SOPInstanceUID",
            "SOPClassUID",
            "InstanceNumber",
            "TransferSyntaxUID",
            "Rows",
            "Columns",
            "SamplesPerPixel",
            "PhotometricInterpretation",
            "BitsAllocated",
            "BitsStored",
            "PixelRepresentation",
            "SliceThickness",
            "sha256",
            "media_type",
        )
    },
}
#: Everything that `find_series` accepts.
KEYWORDS = sorted([*SERIES, *SPECIAL])


def find_column(
    keyword: str, columns: dict[str, ColumnElement[Any]], special: tuple[str, ...] = SPECIAL
) -> ColumnElement[Any]:
    """Return the column of a keyword; ``special`` are the keywords accepted beside the columns.

    Raises
    ------
    InvalidRequest
        If there is none; the message names the nearest keyword.
    """
    if keyword in columns:
        return columns[keyword]
    known = sorted([*columns, *special])
    near = get_close_matches(keyword, known, n=1) or get_close_matches(keyword.lower(), known, n=1)
    raise InvalidRequest(f"{keyword}: " + (f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."))
