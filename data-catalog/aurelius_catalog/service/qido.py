"""QIDO-RS: searching studies, series and instances (PS3.18 section 10.6)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from aurelius_catalog.local import LocalStore
from aurelius_catalog.service.answers import describe_instance, describe_series, describe_study
from aurelius_catalog.service.conditions import Limit, Offset, Question, read_question
from aurelius_catalog.service.metadata import answer_json, spell_root
from aurelius_catalog.service.negotiation import Accepted
from aurelius_catalog.service.stores import Opened
from aurelius_catalog.service.targets import get_series
from aurelius_catalog.slides.virtual import list_levels

router = APIRouter()

Asked = Annotated[Question, Depends(read_question)]
#: How many results an answer has where the client does not say.
MOST, MOST_INSTANCES = 1000, 10_000


@router.get("/studies", response_class=Response)
def search_studies(
    store: Opened, request: Request, asked: Asked, accepted: Accepted, limit: Limit = MOST, offset: Offset = 0
) -> Response:
    """QIDO-RS: find studies that have a series which matches; attributes of the index are query parameters."""
    found = [] if asked.impossible else store.find_studies(asked.keywords, limit + 1, offset)
    root = spell_root(request)
    return _answer([describe_study(each, root, asked) for each in found[:limit]], len(found) > limit, accepted)


@router.get("/series", response_class=Response)
def search_series(
    store: Opened, request: Request, asked: Asked, accepted: Accepted, limit: Limit = MOST, offset: Offset = 0
) -> Response:
    """QIDO-RS: find series in all studies."""
    return _search_series(store, request, asked, accepted, {}, limit, offset)


@router.get("/studies/{study}/series", response_class=Response)
def search_study_series(
    store: Opened,
    request: Request,
    study: str,
    asked: Asked,
    accepted: Accepted,
    limit: Limit = MOST,
    offset: Offset = 0,
) -> Response:
    """QIDO-RS: find series of a study."""
    return _search_series(store, request, asked, accepted, {"StudyInstanceUID": study}, limit, offset)


@router.get("/instances", response_class=Response)
def search_instances(
    store: Opened,
    request: Request,
    asked: Asked,
    accepted: Accepted,
    limit: Limit = MOST_INSTANCES,
    offset: Offset = 0,
) -> Response:
    """QIDO-RS: find instances in all studies."""
    return _search_instances(store, request, asked, accepted, {}, limit, offset)


@router.get("/studies/{study}/instances", response_class=Response)
def search_study_instances(
    store: Opened,
    request: Request,
    study: str,
    asked: Asked,
    accepted: Accepted,
    limit: Limit = MOST_INSTANCES,
    offset: Offset = 0,
) -> Response:
    """QIDO-RS: find instances of a study."""
    return _search_instances(store, request, asked, accepted, {"StudyInstanceUID": study}, limit, offset)


@router.get("/studies/{study}/series/{series}/instances", response_class=Response)
def search_series_instances(
    store: Opened,
    request: Request,
    study: str,
    series: str,
    asked: Asked,
    accepted: Accepted,
    limit: Limit = MOST_INSTANCES,
    offset: Offset = 0,
) -> Response:
    """QIDO-RS: find instances of a series."""
    if levels := list_levels(store, record := get_series(store, study, series)):
        root = spell_root(request)
        page = levels[offset : offset + limit]
        described = [describe_instance(each, record, root, asked) for each in page]
        return _answer(described, len(levels) > offset + limit, accepted)
    above = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
    return _search_instances(store, request, asked, accepted, above, limit, offset)


def _search_series(
    store: LocalStore,
    request: Request,
    asked: Question,
    accepted: Accepted,
    above: dict[str, str],
    limit: int,
    offset: int,
) -> Response:
    found = [] if asked.impossible else store.find_page({**asked.keywords, **above}, limit + 1, offset)
    root = spell_root(request)
    return _answer([describe_series(each, root, asked) for each in found[:limit]], len(found) > limit, accepted)


def _search_instances(
    store: LocalStore,
    request: Request,
    asked: Question,
    accepted: Accepted,
    above: dict[str, str],
    limit: int,
    offset: int,
) -> Response:
    found = [] if asked.impossible else store.find_instances({**asked.keywords, **above}, limit + 1, offset)
    root = spell_root(request)
    described = [describe_instance(each, series, root, asked) for each, series in found[:limit]]
    return _answer(described, len(found) > limit, accepted)


def _answer(records: Sequence[dict[str, Any]], more: bool, accepted: Accepted) -> Response:
    """Answer a page of results; a warning says that there are more (PS3.18 section 10.6.3)."""
    warning = {"Warning": '299 aurelius: "There are more results that can be requested"'} if more else None
    return answer_json([json.dumps(each) for each in records], accepted, headers=warning)
