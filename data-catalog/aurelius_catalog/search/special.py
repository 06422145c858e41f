"""The questions that are no attributes: project, words in descriptions, labels and predictions."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import ColumnElement, Table, Text, and_, cast, exists, or_, select

from aurelius_catalog.dicom_json import write_json
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.schema import annotation_versions, predictions, series, studies, study_projects

_WORD = re.compile(r"\w+\*?")


def match_special(keyword: str, value: object) -> ColumnElement[bool]:
    """Return the condition of one keyword of `keywords.SPECIAL`.

    Raises
    ------
    InvalidRequest
        If the value is of a kind that the keyword does not take.
    """
    if keyword == "project":
        return _match_project(value)
    if keyword == "text":
        return _match_text(value)
    if keyword == "has_segmentation":
        return _match_results(keyword, annotation_versions, value)
    return _match_results(keyword, predictions, value)


def _match_project(value: object) -> ColumnElement[bool]:
    names = list(value) if isinstance(value, (list, set, frozenset)) else [value]
    if not all(isinstance(name, str) for name in names):
        raise InvalidRequest("project takes the name of a project, or a list of names.")
    return exists().where(
        study_projects.c.StudyInstanceUID == studies.c.StudyInstanceUID, study_projects.c.project.in_(names)
    )


def _match_text(value: object) -> ColumnElement[bool]:
    words = _WORD.findall(value) if isinstance(value, str) else []
    if not words:
        raise InvalidRequest("text takes words, such as 'lung nodul*'.")
    described = (series.c.SeriesDescription, studies.c.StudyDescription, series.c.BodyPartExamined)
    return and_(
        *[or_(*[column.icontains(word.rstrip("*"), autoescape=True) for column in described]) for word in words]
    )


def _match_results(keyword: str, table: Table, value: object) -> ColumnElement[bool]:
    mine = exists().where(table.c.SeriesInstanceUID == series.c.SeriesInstanceUID)
    if isinstance(value, bool):
        return mine if value else ~mine
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
