"""The worklist and the case as HTML, the same for the first paint and for the live page.

Everything from the catalog is escaped by the templates; nothing but the pseudonym says who the patient is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import jinja2

from aurelius_catalog.access.person import Action, Person
from aurelius_catalog.records import DecisionAction, SeriesRecord, WorklistRow
from aurelius_catalog.viewing.ohif_link import link_to_ohif

#: What the pane can show; one large slice first, for it is what is read.
PLANES = ("Axial", "Coronal", "Sagittal", "All")


@dataclass(frozen=True)
class Prior:
    """Another study of the same patient; ``row`` is what was found in it, if anything was looked for."""

    series: SeriesRecord
    row: WorklistRow | None
    change: str


def render_list(rows: Sequence[WorklistRow], person: Person, selected: int) -> str:
    """Return the left side: who looks, how much there is to do, and the rows in the store's order."""
    waiting = [row for row in rows if row.prediction.requires_review]
    done = [row for row in rows if not row.prediction.requires_review]
    template = _load_templates().get_template("list.html")
    return template.render(waiting=waiting, done=done, person=person, selected=selected)


def render_case(row: WorklistRow | None, priors: Sequence[Prior], person: Person, plane: str) -> str:
    """Return the head of the right side: the finding, the patient's other studies, and what can be decided."""
    template = _load_templates().get_template("case.html")
    return template.render(row=row, priors=priors, may_decide=person.may(Action.DECIDE), plane=plane, planes=PLANES)


def compare_volumes(now_mm3: float, before_mm3: float) -> str:
    """Say in words how a finding changed since a prior study."""
    if before_mm3 <= 0:
        return "new since then" if now_mm3 > 0 else "nothing then either"
    change = round(100 * (now_mm3 - before_mm3) / before_mm3)
    return f"{change:+d} % since then" if change else "unchanged since then"


def is_earlier(series: SeriesRecord, than: SeriesRecord) -> bool:
    """Whether a series is of an earlier study date; dates of one patient keep their distances when shifted."""
    return (series.StudyDate or "") < (than.StudyDate or "")


def format_date(value: str | None) -> str:
    """Write a DICOM date (PS3.5 section 6.2, VR DA) with dashes."""
    if not value or len(value) != 8:
        return "no date"
    return f"{value[:4]}-{value[4:6]}-{value[6:]}"


def format_volume(mm3: float) -> str:
    """Write a volume in the unit it is spoken of in."""
    return f"{mm3 / 1000:.2f} ml" if mm3 >= 1000 else f"{mm3:.0f} mm³"


def format_moment(moment: datetime) -> str:
    """Write a moment in the house's own time zone."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def format_patient(series: SeriesRecord) -> str:
    """Write sex and age, as far as they are known."""
    age = (series.PatientAge or "").lstrip("0").replace("Y", " y").replace("M", " mo")
    return " ".join(filter(None, [series.PatientSex, age]))


@cache
def _load_templates() -> jinja2.Environment:
    folder = Path(__file__).parent / "templates"
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters.update(
        date=format_date,
        volume=format_volume,
        moment=format_moment,
        ohif=link_to_ohif,
        patient=format_patient,
        percent=lambda share: f"{share:.0%}".replace("%", " %"),
    )
    templates.globals["ACCEPT"] = DecisionAction.ACCEPT
    return templates
