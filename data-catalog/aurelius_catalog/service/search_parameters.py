"""The query parameters of a QIDO-RS search (PS3.18 sections 8.3.4 and 10.6.1), as conditions of the store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query, Request
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from starlette.datastructures import QueryParams

#: Parameters that are not conditions.
_NOT_CONDITIONS = {
    "accept",
    "emptyvaluematching",
    "fuzzymatching",
    "includefield",
    "limit",
    "multiplevaluematching",
    "offset",
}
#: Attributes that de-identification removes from every object: a search for them finds nothing.
REMOVED = frozenset({"AccessionNumber", "PatientBirthDate", "ReferringPhysicianName", "StudyID"})
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_TEXTS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_WILD = re.compile(r"[*?]")


@dataclass(frozen=True)
class SearchParameters:
    """A search, read from its query parameters.

    Parameters
    ----------
    keywords
        The conditions, as `Store.find_series` takes them.
    fields
        Keywords of further attributes to return.
    everything
        Whether to return every attribute of the index.
    impossible
        Whether it asks for an attribute that no object of the catalog has.
    """

    keywords: dict[str, object]
    fields: frozenset[str]
    everything: bool
    impossible: bool


def read_search_parameters(
    request: Request,
    fuzzymatching: Annotated[bool, Query(description="Find names by a part, and texts in any letters")] = False,
    includefield: Annotated[
        list[str] | None, Query(description="Keywords or tags that the answer is to contain, or all")
    ] = None,
) -> SearchParameters:
    """FastAPI dependency: the search of a request. The store refuses attributes that the index lacks."""
    parameters = request.query_params
    fields = {_name(field.strip()) for text in includefield or () for field in text.split(",")}
    conditions = dict(_read_condition(name, value, fuzzymatching) for name, value in _list_conditions(parameters))
    impossible = bool(REMOVED & conditions.keys())
    keywords = {keyword: value for keyword, value in conditions.items() if keyword not in REMOVED}
    return SearchParameters(keywords, frozenset(fields - {"all"}), "all" in fields, impossible)


def _list_conditions(parameters: QueryParams) -> list[tuple[str, str]]:
    """Return the conditions; universal matching is none (PS3.4 section C.2.2.2.3)."""
    return [
        (name, value) for name, value in parameters.multi_items() if name not in _NOT_CONDITIONS and value.strip("*")
    ]


def _name(text: str) -> str:
    """Return the keyword of an attribute that is named by its tag; other names as they are."""
    return keyword_for_tag(int(text, 16)) or text if _TAG.fullmatch(text) else text


def _read_condition(name: str, value: str, fuzzy: bool) -> tuple[str, Any]:
    keyword = _name(name)
    if keyword == "ModalitiesInStudy":
        keyword = "Modality"
    if keyword == "PatientName":  # the pseudonym is both
        pattern = value.strip("^").replace("^", "*")
        return "PatientID", _vary(pattern if _WILD.search(pattern) else f"*{pattern}*") if fuzzy else pattern
    if keyword in ("has_segmentation", "has_prediction") and value.lower() in ("true", "false"):
        return keyword, value.lower() == "true"
    tag = tag_for_keyword(keyword)
    vr = dictionary_VR(tag) if tag is not None else ""
    # A list of values means any of them; in other texts a comma may be a comma (PS3.4 section C.2.2.2.2).
    separator = r"[\\,]" if vr in ("UI", "CS") else r"\\"
    values = [each.strip() for each in re.split(separator, value) if each.strip()] if vr else [value]
    if fuzzy and vr in _TEXTS:
        return keyword, [variant for each in values for variant in _vary(each)]
    return keyword, values[0] if len(values) == 1 else values


def _vary(text: str) -> list[str]:
    """Return a text as people write it, in capitals and in small letters: indexes tell them apart."""
    return list(dict.fromkeys([text, text.upper(), text.lower(), text.capitalize(), text.title()]))
