"""The questions that are no attributes: project, words in descriptions, labels and predictions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, Table, Text, cast, exists, or_, select

from aurelius_catalog.dicom_json import write_json
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.schema import annotation_versions, predictions, scope_projects, scopes, series
from aurelius_catalog.search.conditions import match
from aurelius_catalog.search.words import match_text


def match_scope(keyword: str, value: object, dialect: str) -> ColumnElement[bool]:
    """Return the condition on scopes that ``project`` or ``site`` makes.

    Raises
    ------
    InvalidRequest
        If the value is no name, or list of names.
    """
    if keyword == "site":
        return match(scopes.c.site, keyword, value, dialect)
    return scopes.c.id.in_(
        select(scope_projects.c.scope).where(match(scope_projects.c.project, keyword, value, dialect))
    )


def match_special(keyword: str, value: object, dialect: str) -> ColumnElement[bool]:
    """Return the condition on series of ``text``, ``has_segmentation`` or ``has_prediction``.

    Raises
    ------
    InvalidRequest
        If the value is of a kind that the keyword does not take.
    """
    if keyword == "text":
        return match_text(value, dialect)
    if keyword == "has_segmentation":
        return _match_results(keyword, annotation_versions, value)
    if keyword == "has_prediction":
        return _match_results(keyword, predictions, value)
    raise InvalidRequest("source is for tables of series, not for instances or studies.")


def count_results(keyword: str) -> Select[Any] | None:
    """Return the labels or predictions there are: no fewer than series that have one of a certain name."""
    table = {"has_segmentation": annotation_versions, "has_prediction": predictions}.get(keyword)
    return None if table is None else select(table.c.id)


def _match_results(keyword: str, table: Table, value: object) -> ColumnElement[bool]:
    if isinstance(value, bool):
        mine = exists().where(table.c.SeriesInstanceUID == series.c.SeriesInstanceUID)
        return series.c.SeriesInstanceUID.in_(select(table.c.SeriesInstanceUID)) if value else ~mine
    names = list(value) if isinstance(value, (list, set, frozenset)) else [value]
    if not names or not all(isinstance(name, str) and "\0" not in name for name in names):
        kind = "the name of a segment" if table is annotation_versions else "a model or a finding"
        raise InvalidRequest(f"{keyword} takes True, False or {kind}.")
    named = or_(*[_is_named(table, str(name)) for name in names])
    return series.c.SeriesInstanceUID.in_(select(table.c.SeriesInstanceUID).where(named))


def _is_named(table: Table, name: str) -> ColumnElement[Any]:
    if table is predictions:
        return or_(predictions.c.model == name, predictions.c.finding == name)
    # Segments are kept as JSON text: {"number": 1, "label": "nodule"}.
    return cast(annotation_versions.c.segments, Text).icontains(f'"label": {write_json(name)}', autoescape=True)
