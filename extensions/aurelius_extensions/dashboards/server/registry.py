"""The registry of dashboards: the notebooks in a folder, each with a title, a description and its roles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aurelius_catalog.access.person import Person
from aurelius_extensions.errors import DashboardDenied, UnknownDashboard


@dataclass(frozen=True)
class Dashboard:
    """One dashboard, as its notebook's metadata describe it under ``aurelius``.

    ``roles`` are the roles it is meant for; empty means everyone who may use the service. This decides who may open
    the page, not what is seen in it: that is decided where the data lie.
    """

    name: str
    title: str
    description: str
    roles: frozenset[str]

    def is_for(self, person: Person) -> bool:
        """Whether this person may open the dashboard."""
        return not self.roles or bool(self.roles & person.roles)


def list_dashboards(folder: Path, person: Person) -> list[Dashboard]:
    """Return the dashboards of a folder that are for this person, by title."""
    dashboards = [dashboard for dashboard in _read_all(folder) if dashboard.is_for(person)]
    return sorted(dashboards, key=lambda each: each.title)


def get_dashboard(folder: Path, name: str, person: Person) -> Dashboard:
    """Return one dashboard.

    Raises
    ------
    DashboardDenied
        When it is not for any of this person's roles.
    UnknownDashboard
        When no dashboard has this name.
    """
    for dashboard in _read_all(folder):
        if dashboard.name == name:
            if not dashboard.is_for(person):
                roles = " or ".join(sorted(dashboard.roles))
                raise DashboardDenied(
                    f"The page {dashboard.title!r} is for the role {roles}. Ask an administrator if you should have it."
                )
            return dashboard
    raise UnknownDashboard(f"There is no dashboard {name!r}. The list shows the ones there are for you.")


def _read_all(folder: Path) -> Iterator[Dashboard]:
    return (_read_dashboard(path) for path in folder.glob("*.ipynb"))


def _read_dashboard(path: Path) -> Dashboard:
    about = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("aurelius", {})
    return Dashboard(
        name=path.stem,
        title=about.get("title", path.stem.replace("-", " ").capitalize()),
        description=about.get("description", ""),
        roles=frozenset(about.get("roles", ())),
    )
