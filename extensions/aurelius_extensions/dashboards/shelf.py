"""Which dashboards there are: the notebooks in a folder, each with a title, a line about it and its roles."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from aurelius_catalog.person import Person
from aurelius_extensions.errors import UnknownDashboard


@dataclass(frozen=True)
class Dashboard:
    """One dashboard, as its notebook's metadata describe it under ``aurelius``.

    ``roles`` are the roles it is meant for; empty means everybody who may use the service. This decides what is
    offered, not what is seen: rows are filtered in the store.
    """

    name: str
    title: str
    description: str
    roles: frozenset[str]

    def is_for(self, person: Person) -> bool:
        """Whether the dashboard is offered to this person."""
        return not self.roles or bool(self.roles & person.roles)


def list_dashboards(folder: Path, person: Person) -> list[Dashboard]:
    """Return the dashboards of a folder that are for this person, by title."""
    found = (_read_dashboard(path) for path in folder.glob("*.ipynb"))
    return sorted((dashboard for dashboard in found if dashboard.is_for(person)), key=lambda each: each.title)


def get_dashboard(folder: Path, name: str, person: Person) -> Dashboard:
    """Return one dashboard.

    Raises
    ------
    UnknownDashboard
        When there is none of this name, or it is not for this person.
    """
    for dashboard in list_dashboards(folder, person):
        if dashboard.name == name:
            return dashboard
    raise UnknownDashboard(f"There is no dashboard {name!r} for you. The list shows the ones there are.")


def _read_dashboard(path: Path) -> Dashboard:
    about = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("aurelius", {})
    return Dashboard(
        name=path.stem,
        title=about.get("title", path.stem.replace("-", " ").capitalize()),
        description=about.get("description", ""),
        roles=frozenset(about.get("roles", ())),
    )
