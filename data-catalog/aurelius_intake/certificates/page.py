"""The certificate as a page: plain HTML without scripts, for a steward and an ethics board."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

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
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1f}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem;border-bottom:1px solid #ccc}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2rem .6rem .2rem 0;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:.8rem;overflow-wrap:anywhere}
.good{color:#0b6b2e}.bad{color:#a5140f}@media print{details>*{display:block}}"""


def render_page(certificate: Mapping[str, Any]) -> str:
    """Return the page of a certificate, given as its JSON values."""
    batches = certificate["batches"]
    objects = [item for batch in batches for item in batch["objects"]]
    hits = sum(item["residue_hits"] for item in objects)
    verdict = (
        '<p class="good">No identifying value of this patient was found in the stored files.</p>'
        if not hits
        else f'<p class="bad">{hits} identifying values were found in the stored files.</p>'
    )
    parts = [
        f"<h1>Certificate of de-identification</h1>{verdict}",
        _list_facts(certificate, len(objects)),
        *(_describe_batch(batch) for batch in batches),
        _describe_pixels(objects),
        _list_attributes(batches),
        _list_objects(objects),
        _describe_seal(certificate),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Certificate of de-identification</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _table(rows: Iterable[tuple[object, ...]], head: tuple[str, ...] = ()) -> str:
    def cell(value: object) -> str:
        return f'<td class="n">{value:,}</td>' if isinstance(value, int) else f"<td>{value}</td>"

    title = "".join(f"<th>{name}</th>" for name in head)
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return f"<table>{f'<tr>{title}</tr>' if title else ''}{body}</table>"


def _list_facts(certificate: Mapping[str, Any], count: int) -> str:
    study = f"<code>{escape(certificate['StudyInstanceUID'])}</code>"
    return _table([("Study (new UID)", study), ("From site", escape(certificate["site"])), ("Objects", f"{count:,}")])


def _describe_batch(batch: Mapping[str, Any]) -> str:
    profile, residue = batch["profile"], batch["residue"]
    options = "<br>".join(escape(OPTIONS.get(name, name)) for name in profile["options"]) or "none"
    searched = (
        f"{residue['values']:,} identifying values were searched for in {residue['scanned_bytes']:,} bytes, "
        f"in every character set DICOM knows: <b>{residue['hits']:,} found</b>"
    )
    rows: list[tuple[object, ...]] = [
        ("Profile", f"{escape(profile['name'])}, version {profile['version']}, on the Basic Profile of DICOM PS3.15"),
        ("Edition of the tables", escape(profile["edition"])),
        ("Options", options),
        ("Residual scan", searched),
        ("Profile's hash", f"<code>{escape(profile['sha256'])}</code>"),
    ]
    counts: Counter[str] = Counter()
    for _, action, count in batch["attributes"]:
        counts[action] += count
    done = _table((ACTIONS.get(action, escape(action)), count) for action, count in sorted(counts.items()))
    title = f"{len(batch['objects']):,} objects, {escape(batch['issued_at'].replace('T', ' '))} (UTC)"
    return f"<h2>{title}</h2>{_table(rows)}<p>What was done to their attributes, at every depth:</p>{done}"


def _describe_pixels(objects: list[Mapping[str, Any]]) -> str:
    verdicts = Counter(item["pixel_verdict"] for item in objects)
    rows = [(escape(verdict), count) for verdict, count in verdicts.most_common()]
    return f"<h2>Text in the pixels</h2>{_table(rows, ('verdict', 'objects'))}"


def _list_attributes(batches: list[Mapping[str, Any]]) -> str:
    counts: Counter[tuple[str, str]] = Counter()
    for batch in batches:
        for tag, action, count in batch["attributes"]:
            counts[tag, action] += count
    rows = [
        (f"({tag[:4]},{tag[4:]})", escape(_name_attribute(tag)), ACTIONS.get(action, action), count)
        for (tag, action), count in sorted(counts.items())
        if action != "K"
    ]
    head = ("attribute", "name", "what was done", "times")
    table = _table(rows, head)
    return f"<h2>Attributes that were changed</h2><details><summary>{len(rows)} rows</summary>{table}</details>"


def _name_attribute(tag: str) -> str:
    if int(tag[:4], 16) % 2:
        return "a private attribute"
    try:
        return dictionary_description(int(tag, 16))
    except KeyError:
        return "unknown to the DICOM dictionary"


def _list_objects(objects: list[Mapping[str, Any]]) -> str:
    rows = [
        (f"<code>{escape(item['SOPInstanceUID'])}</code>", f"<code>{escape(item['sha256'])}</code>") for item in objects
    ]
    table = _table(rows, ("object (new UID)", "SHA-256 of the stored file"))
    return f"<h2>Objects</h2><details><summary>{len(rows):,} files</summary>{table}</details>"


def _describe_seal(certificate: Mapping[str, Any]) -> str:
    rows: list[tuple[object, ...]] = [
        ("SHA-256 of the content", f"<code>{escape(certificate['content_sha256'])}</code>")
    ]
    if certificate["signature"]:
        rows.append(("Signature (Ed25519)", f"<code>{escape(certificate['signature'])}</code>"))
        rows.append(("Public key of the house", f"<code>{escape(certificate['public_key'])}</code>"))
    else:
        rows.append(("Signature", "not signed"))
    command = f"aurelius deid verify {escape(certificate['StudyInstanceUID'])}"
    return f"<h2>Seal</h2>{_table(rows)}<p>To check all of it again: <code>{command}</code></p>"
