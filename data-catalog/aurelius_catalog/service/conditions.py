"""What a QIDO-RS search asks for (PS3.18 section 8.3.4), as the store understands it."""

from __future__ import annotations

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from starlette.datastructures import QueryParams

from aurelius_catalog.errors import InvalidRequest

_NOT_CONDITIONS = {"limit", "offset", "includefield", "fuzzymatching"}


def read_conditions(parameters: QueryParams) -> dict[str, object]:
    """Turn query parameters (keywords or tags) into the keywords and typed values of the store.

    Raises
    ------
    InvalidRequest
        If a number is none. An attribute the index does not know is the store's to refuse.
    """
    conditions: dict[str, object] = {}
    for name, value in parameters.multi_items():
        if name in _NOT_CONDITIONS or value in ("", "*"):
            continue
        keyword = name
        if len(name) == 8 and not name.isalpha():
            try:
                keyword = keyword_for_tag(int(name, 16)) or name
            except ValueError:
                keyword = name
        keyword = "Modality" if keyword == "ModalitiesInStudy" else keyword
        conditions[keyword] = _read_values(keyword, value)
    return conditions


def _read_values(keyword: str, value: str) -> object:
    tag = tag_for_keyword(keyword)
    vr = dictionary_VR(tag) if tag is not None else ""
    if vr in ("IS", "US"):
        if not value.strip().isascii() or not value.strip().isdigit() or len(value) > 9:
            raise InvalidRequest(f"{keyword} must be a whole number.")
        return int(value)
    return value.replace("\\", ",").split(",") if vr == "UI" else value
