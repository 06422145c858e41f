"""The requests and responses that every STOW-RS service shares (PS3.18 section 10.5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException
from python_multipart.multipart import parse_options_header

JSON_TYPE = "application/dicom+json"


@dataclass(frozen=True)
class StoreOutcome:
    """The outcome of storing one object.

    Parameters
    ----------
    SOPClassUID, SOPInstanceUID
        Its identity; empty if it could not be read.
    failure
        Failure reason (PS3.18 annex I); None if it was stored.
    comment
        Why, for people.
    url
        Where it can be retrieved.
    """

    SOPClassUID: str = ""
    SOPInstanceUID: str = ""
    failure: int | None = None
    comment: str = ""
    url: str = ""


def check_media_type(content_type: str) -> None:
    """Refuse anything but whole objects: separate metadata and bulk data would have to be assembled here.

    Raises
    ------
    HTTPException
        415 for any other media type.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/related" or options.get(b"type", b"application/dicom").lower() != b"application/dicom":
        detail = 'Send whole objects, as multipart/related; type="application/dicom".'
        raise HTTPException(415, detail, {"Accept": 'multipart/related; type="application/dicom"'})


def choose_status(outcomes: Iterable[StoreOutcome]) -> int:
    """Return 200 if all were stored, 202 if some were, 409 if none was (PS3.18 table 10.5.3-1)."""
    taken = {outcome.failure is None for outcome in outcomes}
    return {frozenset({True}): 200, frozenset({True, False}): 202}.get(frozenset(taken), 409)


def describe_outcomes(outcomes: Iterable[StoreOutcome], study_url: str = "") -> dict[str, Any]:
    """Return the Store Instances Response Module as DICOM JSON (PS3.18 table I.2.2-1)."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in outcomes:
        item: dict[str, Any] = {}
        if each.SOPInstanceUID and each.SOPClassUID:
            item["00081150"] = {"vr": "UI", "Value": [each.SOPClassUID]}
            item["00081155"] = {"vr": "UI", "Value": [each.SOPInstanceUID]}
        if each.url:
            item["00081190"] = {"vr": "UR", "Value": [each.url]}
        if each.failure is not None:
            item["00081197"] = {"vr": "US", "Value": [each.failure]}
        if each.comment:
            item["0040A160"] = {"vr": "UT", "Value": [each.comment]}  # TextValue: the standard has no place for it
        # Referenced, Failed, and Other Failures Sequence: the last for objects that could not be identified.
        tag = "00081199" if each.failure is None else "00081198" if "00081155" in item else "0008119A"
        groups.setdefault(tag, []).append(item)
    sequences = {tag: {"vr": "SQ", "Value": items} for tag, items in sorted(groups.items())}
    return {"00081190": {"vr": "UR", **({"Value": [study_url]} if study_url else {})}, **sequences}
