"""Scopes: each study has one number for its site and its set of projects, and a person sees some numbers.

There are at most a few hundred scopes, so whom a million series belong to is settled by a handful of numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, or_, select, true, update

from aurelius_catalog.access.person import Person
from aurelius_catalog.index.database import insert_row
from aurelius_catalog.index.schema import scope_projects, scopes, series, studies


@dataclass(frozen=True)
class Scope:
    """The site of some studies, and the projects they belong to."""

    site: str
    projects: tuple[str, ...]


def is_visible(person: Person) -> ColumnElement[bool]:
    """Return the condition that keeps the series a person may see (`Person.may_see`, as SQL)."""
    return true() if person.sees_everything else series.c.scope.in_(select(scopes.c.id).where(may_see(person)))


def may_see(person: Person) -> ColumnElement[bool]:
    """Return the condition that keeps the scopes a person may see."""
    if person.sees_everything:
        return true()
    return or_(scopes.c.site.in_(sorted(person.sites)), in_projects(person.projects))


def in_projects(projects: Iterable[str]) -> ColumnElement[bool]:
    """Return the condition that keeps the scopes of studies that belong to one of these projects."""
    return scopes.c.id.in_(select(scope_projects.c.scope).where(scope_projects.c.project.in_(sorted(projects))))


def list_scopes(connection: Connection, *conditions: ColumnElement[Any]) -> dict[int, Scope]:
    """Return the scopes that meet the conditions, by number."""
    members = scopes.outerjoin(scope_projects, scope_projects.c.scope == scopes.c.id)
    listed = select(scopes.c.id, scopes.c.site, scope_projects.c.project).select_from(members).where(*conditions)
    found: dict[int, Scope] = {}
    for number, site, project in connection.execute(listed.order_by(scope_projects.c.project)).all():
        before = found[number].projects if number in found else ()
        found[number] = Scope(site, before if project is None else (*before, project))
    return found


def assign_scope(connection: Connection, StudyInstanceUID: str, site: str, projects: Collection[str]) -> None:
    """Let a study, with all its series, belong to these projects and to no others."""
    number = _find_scope(connection, Scope(site, tuple(sorted(projects))))
    for table in (studies, series):
        this = table.c.StudyInstanceUID == StudyInstanceUID
        connection.execute(update(table).where(this, table.c.scope != number).values(scope=number))


def _find_scope(connection: Connection, wanted: Scope) -> int:
    for number, scope in list_scopes(connection, scopes.c.site == wanted.site).items():
        if scope == wanted:
            return number
    number = insert_row(connection, scopes, {"site": wanted.site})
    rows = [{"scope": number, "project": project} for project in wanted.projects]
    if rows:
        connection.execute(insert(scope_projects), rows)
    return number
