"""The data card of a frozen dataset: plain HTML without scripts, for whoever decides whether it fits their question."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

import jinja2

from aurelius_catalog.index.dataset_hash import RULE
from aurelius_catalog.local.dataset_summary import Summary
from aurelius_catalog.records import DatasetRecord

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
    sexes = {SEXES.get(sex, sex): count for sex, count in summary.sexes.items()}
    ages = {age.replace("-", "–"): count for age, count in summary.ages.items()}
    if summary.unknown_ages:
        ages["not said"] = summary.unknown_ages
    return _load_template().render(
        record=record,
        summary=summary,
        licence=licence,
        facts=_list_facts(record, summary),
        sexes=sexes,
        ages=ages,
        flag_words=FLAGS,
        rule=RULE,
    )


@cache
def _load_template() -> jinja2.Template:
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return pages.get_template("dataset_card.html")


def _list_facts(record: DatasetRecord, summary: Summary) -> dict[str, str]:
    return {
        "patients": f"{summary.patients:,}",
        "studies": f"{summary.studies:,}",
        "series": f"{summary.series:,}",
        "images": f"{summary.frames:,}",
        "label versions": f"{record.n_labels:,}",
        "files": f"{record.n_instances + record.n_labels:,}",
        "size": _write_size(record.size_bytes),
    }


def _write_size(size_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} TB"
