"""What a person asks, as conditions on the tables of the index, their rights among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from aurelius_catalog.person import Person
from aurelius_catalog.schema import scopes, series
from aurelius_catalog.scopes import may_see
from aurelius_catalog.search.conditions import match
from aurelius_catalog.search.keywords import SCOPES, SERIES, SPECIAL, find_column
from aurelius_catalog.search.special import match_scope, match_special

#: More scopes than this are named by a question of their own.
_MANY = 1000


@dataclass(frozen=True)
class Question:
    """What must be true of every series found."""

    conditions: tuple[ColumnElement[bool], ...]


def read_question(
    connection: Connection,
    person: Person,
    keywords: Mapping[str, object],
    columns: dict[str, ColumnElement[Any]] = SERIES,
) -> Question:
    """Turn keywords and rights into conditions.

    Raises
    ------
    InvalidRequest
        For a keyword that nobody knows, or a value that it cannot have.
    """
    dialect = connection.dialect.name
    asked = []
    wanted = [] if person.sees_everything else [may_see(person)]
    for keyword, value in keywords.items():
        if keyword in SCOPES:
            wanted.append(match_scope(keyword, value, dialect))
        elif keyword in SPECIAL:
            asked.append(match_special(keyword, value, dialect))
        else:
            asked.append(match(find_column(keyword, columns), keyword, value, dialect))
    return Question((*_choose_scopes(connection, wanted), *asked))


def _choose_scopes(connection: Connection, wanted: list[ColumnElement[bool]]) -> list[ColumnElement[bool]]:
    """Name the scopes that rights, project and site leave; nothing if that is all of them."""
    if not wanted:
        return []
    chosen = select(scopes.c.id).where(*wanted)
    numbers = list(connection.execute(chosen).scalars())
    if len(numbers) == connection.execute(select(func.count()).select_from(scopes)).scalar_one():
        return []
    return [series.c.scope.in_(numbers if len(numbers) < _MANY else chosen)]
