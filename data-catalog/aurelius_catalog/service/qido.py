"""QIDO-RS: searching studies, series and instances (PS3.18 section 10.6)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from aurelius_catalog.local.store import LocalStore
from aurelius_catalog.service.address import Root
from aurelius_catalog.service.answers import describe_instance, describe_series, describe_study
from aurelius_catalog.service.level_search import find_levels
from aurelius_catalog.service.metadata import answer_json
from aurelius_catalog.service.negotiation import Accepted, MediaRange
from aurelius_catalog.service.search_parameters import SearchParameters, read_search_parameters
from aurelius_catalog.service.stores import Opened
from aurelius_catalog.service.targets import get_series
from aurelius_deidentify.media_types import DICOM, NIFTI

router = APIRouter()

_MORE = '299 aurelius: "There are more results that can be requested"'
_SLIDES = '299 aurelius: "Slide files are left out: name a study or a series to find their levels"'


@dataclass(frozen=True)
class QidoSearch:
    """A search request, and the page of results it asks for.

    Parameters
    ----------
    store
        The catalog, seen with the person's rights.
    parameters
        The conditions and the attributes to return.
    root
        Address of the DICOMweb service.
    accepted
        The media types the client accepts.
    limit, offset
        The page.
    """

    store: LocalStore
    parameters: SearchParameters
    root: str
    accepted: list[MediaRange]
    limit: int
    offset: int

    def answer(self, found: Sequence[str], *warnings: str) -> Response:
        """Answer a page; one result more than its limit means that there are further ones (PS3.18 section 10.6.3)."""
        texts = [*warnings, *([_MORE] if len(found) > self.limit else [])]
        headers = {"Warning": ", ".join(texts)} if texts else None
        return answer_json(list(found[: self.limit]), self.accepted, headers=headers)


def _read_search(most: int) -> Callable[..., Awaitable[QidoSearch]]:
    """Make the dependency that reads a search; ``most`` is the default limit."""

    async def read(
        store: Opened,
        root: Root,
        parameters: Annotated[SearchParameters, Depends(read_search_parameters)],
        accepted: Accepted,
        limit: Annotated[int, Query(ge=0, le=10**9, description="The largest number of results")] = most,
        offset: Annotated[int, Query(ge=0, le=10**9, description="The number of results to skip")] = 0,
    ) -> QidoSearch:
        return QidoSearch(store, parameters, root, accepted, limit, offset)

    return read


Search = Annotated[QidoSearch, Depends(_read_search(1000))]
InstanceSearch = Annotated[QidoSearch, Depends(_read_search(10_000))]


@router.get("/studies", response_class=Response)
def search_studies(search: Search) -> Response:
    """QIDO-RS: find studies that have a series which matches; attributes of the index are query parameters."""
    parameters = search.parameters
    if parameters.impossible:
        return search.answer([])
    found = search.store.find_studies(parameters.keywords, search.limit + 1, search.offset)
    return search.answer([describe_study(each, search.root, parameters) for each in found])


@router.get("/series", response_class=Response)
def search_series(search: Search) -> Response:
    """QIDO-RS: find series in all studies."""
    return _search_series(search)


@router.get("/studies/{study}/series", response_class=Response)
def search_study_series(search: Search, study: str) -> Response:
    """QIDO-RS: find series of a study."""
    return _search_series(search, StudyInstanceUID=study)


@router.get("/instances", response_class=Response)
def search_instances(search: InstanceSearch) -> Response:
    """QIDO-RS: find instances in all studies."""
    return _search_instances(search)


@router.get("/studies/{study}/instances", response_class=Response)
def search_study_instances(search: InstanceSearch, study: str) -> Response:
    """QIDO-RS: find instances of a study."""
    return _search_instances(search, StudyInstanceUID=study)


@router.get("/studies/{study}/series/{series}/instances", response_class=Response)
def search_series_instances(search: InstanceSearch, study: str, series: str) -> Response:
    """QIDO-RS: find instances of a series."""
    get_series(search.store, study, series)
    return _search_instances(search, StudyInstanceUID=study, SeriesInstanceUID=series)


def _search_series(search: QidoSearch, **above: str) -> Response:
    parameters = search.parameters
    if parameters.impossible:
        return search.answer([])
    found = search.store.find_page({**parameters.keywords, **above}, search.limit + 1, search.offset)
    return search.answer([describe_series(each, search.root, parameters) for each in found])


def _search_instances(search: QidoSearch, **above: str) -> Response:
    """Find the levels of slide files first, then what the index holds as instances."""
    parameters = search.parameters
    if parameters.impossible:
        return search.answer([])
    keywords = {**parameters.keywords, **above}
    levels, left_out = find_levels(search.store, keywords)
    found = levels[search.offset : search.offset + search.limit + 1]
    skipped, missing = max(0, search.offset - len(levels)), search.limit + 1 - len(found)
    found += search.store.find_instances({"media_type": [DICOM, NIFTI], **keywords}, missing, skipped)
    described = [describe_instance(each, series, search.root, parameters) for each, series in found]
    return search.answer(described, *([_SLIDES] if left_out else []))
