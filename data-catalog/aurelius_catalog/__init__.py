"""The catalog: what images are there, who may see them, and what people and models say about them.

Names are imported on first use, so that a process that only needs one light module
(the phantoms, say) does not pay for the whole imaging stack.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aurelius_catalog.access.person import Action, Person
    from aurelius_catalog.catalog import Catalog, open_catalog
    from aurelius_catalog.index.deidentified import DeidentifiedStudy
    from aurelius_catalog.query import Query
    from aurelius_catalog.records import DecisionAction, Segment
    from aurelius_catalog.series import Segmentation, Series
    from aurelius_catalog.settings import CatalogSettings

__all__ = [
    "Action",
    "Catalog",
    "CatalogSettings",
    "DecisionAction",
    "DeidentifiedStudy",
    "Person",
    "Query",
    "Segment",
    "Segmentation",
    "Series",
    "open_catalog",
]

_HOMES = {
    "Action": "access.person",
    "Catalog": "catalog",
    "CatalogSettings": "settings",
    "DecisionAction": "records",
    "DeidentifiedStudy": "index.deidentified",
    "Person": "access.person",
    "Query": "query",
    "Segment": "records",
    "Segmentation": "series",
    "Series": "series",
    "open_catalog": "catalog",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
