"""What a person asks, as conditions on the tables of the index, their rights among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from aurelius_catalog.person import Person
from aurelius_catalog.schema import INDEXED, INDEXED_WHERE_PRESENT, scopes, series
from aurelius_catalog.scopes import may_see
from aurelius_catalog.search.conditions import is_open, match
from aurelius_catalog.search.keywords import SCOPES, SERIES, SPECIAL, find_column
from aurelius_catalog.search.special import count_results, match_scope, match_special
from aurelius_catalog.search.words import check_words, match_words

#: More scopes than this are named by a question of their own.
_MANY = 1000
_INDEXED = {*INDEXED, *INDEXED_WHERE_PRESENT, "Modality", "SeriesInstanceUID", "StudyInstanceUID"}
#: Attributes that the index of scopes holds beside them.
_WITH_SCOPE = ("scope", "Modality", "BodyPartExamined", "StudyDate")


@dataclass(frozen=True, eq=False)
class Condition:
    """One condition on a series.

    Parameters
    ----------
    keyword
        What it is about.
    expression
        As an index answers it.
    check
        As it is asked of a row that is at hand.
    indexed
        Whether an index answers it by itself.
    single
        Whether it is met by one value only, so that the index of the attribute has the hits in order.
    words
        As SQLite's full text is asked itself.
    at_most
        What is quicker counted than the hits, and not less.
    """

    keyword: str
    expression: ColumnElement[bool]
    check: ColumnElement[bool]
    indexed: bool = False
    single: bool = False
    words: ColumnElement[bool] | None = None
    at_most: Select[Any] | None = None


@dataclass(frozen=True)
class Question:
    """What must be true of every series found."""

    conditions: tuple[Condition, ...]

    @property
    def expressions(self) -> list[ColumnElement[bool]]:
        """All conditions, for a database that plans by itself."""
        return [each.expression for each in self.conditions]

    @property
    def groups(self) -> list[tuple[Condition, ...]]:
        """The sets of conditions that one index answers together."""
        named = {each.keyword: each for each in self.conditions}
        groups: list[tuple[Condition, ...]] = [
            (each,) for each in self.conditions if each.indexed and each.keyword != "Modality"
        ]
        if "scope" in named:
            groups.append(tuple(named[keyword] for keyword in _WITH_SCOPE if keyword in named))
        if "Modality" in named and named["Modality"].indexed:
            groups.append(tuple(named[keyword] for keyword in _WITH_SCOPE[1:3] if keyword in named))
        return groups

    @property
    def in_order(self) -> tuple[Condition, ...]:
        """Conditions whose index has the series that meet them in the order of arrival."""
        named = {each.keyword: each for each in self.conditions}
        pair = tuple(named[keyword] for keyword in _WITH_SCOPE[1:3] if keyword in named)
        if len(pair) == 2 and all(each.single for each in pair):
            return pair
        return next(((each,) for each in self.conditions if each.single and each.keyword != "Modality"), ())


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
            expression = match_special(keyword, value, dialect)
            if keyword == "text" and dialect == "sqlite":
                asked.append(Condition(keyword, expression, check_words(value), words=match_words(value)))
            else:
                indexed, at_most = value is not False, count_results(keyword)
                asked.append(Condition(keyword, expression, expression, indexed=indexed, at_most=at_most))
        else:
            asked.append(_read_attribute(keyword, value, find_column(keyword, columns), dialect))
    return Question((*_choose_scopes(connection, wanted), *asked))


def _read_attribute(keyword: str, value: object, column: ColumnElement[Any], dialect: str) -> Condition:
    expression = match(column, keyword, value, dialect)
    listed = value if isinstance(value, (list, set, frozenset)) else [value]
    # An index is of use for whatever begins somewhere: not for *FLAIR, and not for what is absent.
    begins = all(each is not None and str(each)[:1] not in ("*", "?") for each in listed)
    indexed = begins and keyword in _INDEXED
    single = indexed and isinstance(value, (str, int, float)) and not is_open(column, keyword, value)
    return Condition(keyword, expression, expression, indexed, single)


def _choose_scopes(connection: Connection, wanted: list[ColumnElement[bool]]) -> list[Condition]:
    """Name the scopes that rights, project and site leave; nothing if that is all of them."""
    if not wanted:
        return []
    chosen = select(scopes.c.id).where(*wanted)
    everything = select(func.count()).select_from(scopes.alias()).scalar_subquery()
    found = connection.execute(chosen.add_columns(everything)).all()
    if found and len(found) == found[0][1]:
        return []
    numbers = [row[0] for row in found]
    among = series.c.scope.in_(numbers if len(numbers) < _MANY else chosen)
    return [Condition("scope", among, among)]
