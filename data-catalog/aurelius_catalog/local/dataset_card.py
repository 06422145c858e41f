"""The data card of a frozen dataset: plain HTML without scripts, for whoever decides whether it fits their question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from aurelius_catalog.index.dataset_hash import RULE
from aurelius_catalog.local.dataset_summary import Group, Summary
from aurelius_catalog.records import DatasetRecord

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1b1f;
background:#fff}h1{font-size:1.6rem;margin-bottom:.2rem}
h2{font-size:1.1rem;margin-top:2.2rem;border-bottom:1px solid #ccc}
p.id{margin-top:0;color:#555}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top;font-weight:400}
th{color:#555;font-size:.85rem}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap;width:1%}
td.b{width:45%}td.b div{background:#3b6ea8;height:.8rem;min-width:1px;margin-top:.35rem}
code{font-size:.8rem;overflow-wrap:anywhere}
ul.facts{display:flex;flex-wrap:wrap;gap:.6rem 2.2rem;list-style:none;padding:0;margin:1.2rem 0}
ul.facts b{display:block;font-size:1.5rem;font-weight:600;font-variant-numeric:tabular-nums}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:0 3rem}
.bad{color:#a5140f}@media print{body{margin:0}}"""
SEXES = {"F": "female", "M": "male", "O": "other"}
#: Flags of studies, in words.
FLAGS = {"face": "the face could be made from the voxels"}


@dataclass(frozen=True)
class Card:
    """A data card; a notebook shows it, `save` keeps it."""

    html: str

    def __repr__(self) -> str:
        return f"<Card: {len(self.html):,} characters of HTML; `save(path)` keeps it>"

    def _repr_html_(self) -> str:
        # In a frame of its own, so that its style stays inside.
        return f'<iframe style="width:100%;height:40rem;border:0" sandbox srcdoc="{escape(self.html)}"></iframe>'

    def save(self, path: str | Path) -> Path:
        """Write the page to a file and return its path."""
        place = Path(path)
        place.write_text(self.html, encoding="utf-8")
        return place


def render_card(record: DatasetRecord, summary: Summary, licence: str) -> str:
    """Return the page.

    Parameters
    ----------
    record, summary
        The dataset, and what it holds.
    licence
        Under what terms it may be used.
    """
    name = escape(record.name)
    gone = len(record.withdrawn)
    withdrawn = (
        f'<p class="bad">{gone:,} of {len(record.SeriesInstanceUIDs):,} series are gone: their patients were '
        if gone
        else ""
    )
    parts = [
        f'<h1>{name}</h1><p class="id">Frozen on {record.created_at:%Y-%m-%d} by {escape(record.created_by)}.<br>',
        f"<code>{record.id}</code></p>",
        f"{withdrawn}withdrawn. What follows is about those that are left.</p>" if gone else "",
        _list_facts(record, summary),
        '<div class="columns">',
        _section("Modalities", _table_groups(summary.modalities)),
        _section("Body parts", _table_groups(summary.parts)),
        _section(
            "Sex", _table_counts({SEXES.get(sex, sex): count for sex, count in summary.sexes.items()}, "patients")
        ),
        _section("Age at the first study", _describe_ages(summary)),
        "</div>",
        _section("Scanners", _table_groups(summary.scanners)),
        _section("Sites", _table_groups(summary.sites)),
        _section("Labels", _describe_labels(record, summary)),
        _section("How the images vary", _table_ranges(summary)),
        _section("What is missing", _table_gaps(summary)),
        _section("Privacy", _describe_privacy(record, summary)),
        _section("Use and citation", _describe_use(record, licence)),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}: data card</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>{"".join(parts)}</body>'
        "</html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def _list_facts(record: DatasetRecord, summary: Summary) -> str:
    facts = {
        "patients": f"{summary.patients:,}",
        "studies": f"{summary.studies:,}",
        "series": f"{summary.series:,}",
        "images": f"{summary.frames:,}",
        "label versions": f"{record.n_labels:,}",
        "files": f"{record.n_instances + record.n_labels:,}",
        "size": _write_size(record.size_bytes),
    }
    return f'<ul class="facts">{"".join(f"<li><b>{value}</b>{word}</li>" for word, value in facts.items())}</ul>'


def _write_size(size_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} TB"


def _table(kinds: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose columns hold text (``t``), bars (``b``) or numbers (``n``)."""

    def write(tag: str, cells: Sequence[str]) -> str:
        marked = zip(kinds, cells, strict=True)
        return f"<tr>{''.join(f'<{tag} class={kind}>{text}</{tag}>' for kind, text in marked)}</tr>"

    return f"<table>{write('th', head)}{''.join(write('td', row) for row in rows)}</table>"


def _bar(count: int, most: int) -> str:
    return f'<div style="width:{100 * count / max(most, 1):.1f}%"></div>'


def _table_groups(groups: Sequence[Group]) -> str:
    most = max((group.series for group in groups), default=1)
    rows = (
        (escape(group.value), _bar(group.series, most), f"{group.series:,}", f"{group.patients:,}") for group in groups
    )
    return _table("tbnn", ("", "", "series", "patients"), rows)


def _table_counts(counts: Mapping[str, int], word: str) -> str:
    most = max(counts.values(), default=1)
    rows = ((escape(value), _bar(count, most), f"{count:,}") for value, count in counts.items())
    return _table("tbn", ("", "", word), rows)


def _describe_ages(summary: Summary) -> str:
    counts = {age.replace("-", "–"): count for age, count in summary.ages.items()}
    if summary.unknown_ages:
        counts["not said"] = summary.unknown_ages
    return _table_counts(counts, "patients")


def _describe_labels(record: DatasetRecord, summary: Summary) -> str:
    told = f"{summary.labelled:,} of {summary.series:,} series are labelled; label versions: {record.n_labels:,}."
    return f"<p>{told}</p>{_table_groups(summary.structures) if summary.structures else ''}"


def _table_ranges(summary: Summary) -> str:
    rows = (
        (each.modality, each.keyword, each.unit, f"{each.low:g}", f"{each.middle:g}", f"{each.high:g}")
        for each in summary.ranges
    )
    return _table("tttnnn", ("modality", "attribute", "unit", "lowest", "median", "highest"), rows)


def _table_gaps(summary: Summary) -> str:
    if not summary.gaps:
        return "<p>Every series has all of the attributes that are looked for.</p>"
    rows = (
        (gap.keyword, gap.modality or "all", f"{gap.missing:,} of {gap.of:,}", f"{100 * gap.missing / gap.of:.0f} %")
        for gap in summary.gaps
    )
    return _table("ttnn", ("attribute", "modality", "series without it", ""), rows)


def _describe_privacy(record: DatasetRecord, summary: Summary) -> str:
    profiles = "".join(
        f"<li>De-identified by profile {escape(name)} <code>{escape(sha256)}</code></li>"
        for name, sha256 in record.profiles
    )
    flags = "".join(
        f"<li>Flag <b>{escape(flag.value)}</b> on {flag.series:,} series of {flag.patients:,} patients"
        f"{': ' + FLAGS[flag.value] if flag.value in FLAGS else ''}</li>"
        for flag in summary.flags
    )
    return f"<ul>{profiles or '<li>No profile is recorded.</li>'}{flags}</ul>"


def _describe_use(record: DatasetRecord, licence: str) -> str:
    terms = f"<p>{escape(licence)}</p>"
    cited = f"<p>Cite it as</p><p><code>{escape(record.citation)}</code></p>"
    made = (
        f"<p>The id is the hash of the content: <code>catalog.dataset({record.id!r}).verify()</code> reads every byte "
        "again. Whoever has the files can do it without the house: it is the SHA-256 of the line "
        f"<code>{RULE}</code> followed by one line <code>object &lt;sha256&gt;</code> per file, "
        "<code>label &lt;sha256&gt;</code> per label version and <code>profile &lt;name&gt; &lt;sha256&gt;</code> "
        "per profile, sorted.</p>"
    )
    return f"{terms}{cited}{made}"
