"""Keywords of a search on their way over HTTP, as JSON: ``{"from": a, "to": b}`` is a range, a list means any."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time

from aurelius_catalog.errors import InvalidRequest


def pack_keywords(keywords: Mapping[str, object]) -> dict[str, object]:
    """Return keywords as JSON can hold them; `conditions.match` understands them as they are.

    Raises
    ------
    InvalidRequest
        For a value that no attribute can have.
    """
    return {keyword: _pack(keyword, value) for keyword, value in keywords.items()}


def _pack(keyword: str, value: object) -> object:
    if isinstance(value, (list, set, frozenset)):
        return [_pack(keyword, each) for each in value]
    if isinstance(value, tuple):
        if len(value) != 2:
            raise InvalidRequest(f"{keyword}: a tuple is a range (low, high); put several values into a list.")
        return {"from": _pack(keyword, value[0]), "to": _pack(keyword, value[1])}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return value.strftime("%H%M%S")
    if value is None or isinstance(value, (str, bool, int, float, Mapping)):
        return value
    if hasattr(value, "item"):  # a number of numpy's
        return value.item()
    raise InvalidRequest(f"{keyword}: a {type(value).__name__} is nothing that an attribute can be.")
