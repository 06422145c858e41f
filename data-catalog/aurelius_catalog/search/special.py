"""The keywords that are not attributes: project, site, words in descriptions, labels and predictions."""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_, select

from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.index.result_names import is_named
from aurelius_catalog.index.schema import scope_projects, scopes, series
from aurelius_catalog.search.conditions import match
from aurelius_catalog.search.full_text import match_text

#: The columns of a series that name its labels and its predictions.
RESULTS_OF = {"has_segmentation": series.c.labelled, "has_prediction": series.c.predicted}


def match_scope(keyword: str, value: object, dialect: str) -> ColumnElement[bool]:
    """Return the condition on scopes that ``project`` or ``site`` makes.

    Raises
    ------
    InvalidRequest
        If the value is neither a name nor a list of names.
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
    if keyword in RESULTS_OF:
        return _match_results(keyword, value, dialect)
    raise InvalidRequest("source is for tables of series, not for instances or studies.")


def has_results(keyword: str) -> ColumnElement[bool]:
    """Return the condition that a series has a label, or a prediction."""
    return RESULTS_OF[keyword].is_not(None)


def _match_results(keyword: str, value: object, dialect: str) -> ColumnElement[bool]:
    column = RESULTS_OF[keyword]
    if isinstance(value, bool):
        return has_results(keyword) if value else column.is_(None)
    names = list(value) if isinstance(value, (list, set, frozenset)) else [value]
    if not names or not all(isinstance(name, str) and "\0" not in name for name in names):
        kind = "the name of a segment" if keyword == "has_segmentation" else "a model or a finding"
        raise InvalidRequest(f"{keyword} takes True, False or {kind}.")
    # Names of segments are kept in small letters.
    kept = [str(name).casefold() if keyword == "has_segmentation" else str(name) for name in names]
    return or_(*[is_named(column, name, dialect) for name in kept])
