"""The certificate as a page: plain HTML without scripts, for a steward and an ethics board."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from pydicom.datadict import dictionary_description

#: What each action code means to a reader.
ACTIONS = {
    "X": "removed",
    "Z": "emptied",
    "D": "replaced by a stand-in",
    "U": "replaced by a new UID",
    "S": "date shifted",
    "C": "text cleaned",
    "K": "kept",
}
OPTIONS = {
    "clean_pixel_data": "Clean Pixel Data: text burned into pixels was looked for",
    "clean_graphics": "Clean Graphics: shapes stay, their texts go",
    "clean_structured": "Clean Structured Content: items of reports by their concept",
    "clean_descriptors": "Clean Descriptors: of free text, what is medical or technical stays",
    "retain_full_dates": "Retain Longitudinal Temporal Information with Full Dates",
    "retain_modified_dates": "Retain Longitudinal Temporal Information with Modified Dates: all dates moved alike",
    "retain_patient": "Retain Patient Characteristics: sex, age, size, weight",
    "retain_device": "Retain Device Identity",
    "retain_uids": "Retain UIDs",
    "retain_safe_private": "Retain Safe Private: private attributes that the standard lists as safe",
    "retain_institution": "Retain Institution Identity",
}


def render_page(certificate: Mapping[str, Any]) -> str:
    """Return the page of a certificate, given as its JSON values."""
    batches = certificate["batches"]
    objects = [item for batch in batches for item in batch["objects"]]
    return load_template().render(
        certificate=certificate,
        objects=objects,
        hits=sum(item["residue_hits"] for item in objects),
        verdicts=Counter(item["pixel_verdict"] for item in objects).most_common(),
        changes=_list_changes(batches),
    )


@cache
def load_template() -> jinja2.Template:
    """Return the compiled template; the first call takes as long as two hundred pages."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    pages = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    pages.filters["count_actions"] = _count_actions
    pages.globals |= {"ACTIONS": ACTIONS, "OPTIONS": OPTIONS}
    return pages.get_template("page.html")


def _count_actions(attributes: Iterable[tuple[str, str, int]]) -> list[tuple[str, int]]:
    """Return how often each action was taken, in the order of their codes."""
    counts: Counter[str] = Counter()
    for _, action, count in attributes:
        counts[action] += count
    return sorted(counts.items())


def _list_changes(batches: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str, int]]:
    """Return tag, name, action code and count of every attribute that was not kept."""
    counts: Counter[tuple[str, str]] = Counter()
    for batch in batches:
        for tag, action, count in batch["attributes"]:
            counts[tag, action] += count
    return [
        (f"({tag[:4]},{tag[4:]})", _name_attribute(tag), action, count)
        for (tag, action), count in sorted(counts.items())
        if action != "K"
    ]


def _name_attribute(tag: str) -> str:
    if int(tag[:4], 16) % 2:
        return "a private attribute"
    try:
        return dictionary_description(int(tag, 16))
    except KeyError:
        return "unknown to the DICOM dictionary"
