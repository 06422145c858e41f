"""The filter of a search: keywords and a person's rights, as conditions on the tables of the index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from aurelius_catalog.access.person import Person
from aurelius_catalog.index.schema import (
    BESIDE,
    BESIDE_RESULTS,
    BESIDE_SCOPE,
    BY_SCOPE,
    INDEXED,
    INDEXED_WHERE_PRESENT,
    scopes,
    series,
)
from aurelius_catalog.index.visibility import may_see
from aurelius_catalog.search.conditions import is_open, match, match_numbers
from aurelius_catalog.search.full_text import check_words, match_words
from aurelius_catalog.search.keywords import SCOPES, SERIES, SPECIAL, find_column
from aurelius_catalog.search.special import RESULTS_OF, has_results, match_scope, match_special

_INDEXED = {*INDEXED, *INDEXED_WHERE_PRESENT, "Modality", "SeriesInstanceUID", "StudyInstanceUID"}
_BY_MODALITY = ("Modality", "BodyPartExamined")


@dataclass(frozen=True, eq=False)
class Condition:
    """One condition on a series.

    Parameters
    ----------
    keyword
        The attribute.
    expression
        The condition as an index answers it.
    check
        The condition on a row that is already read.
    indexed
        Whether an index answers it by itself.
    single
        Whether it is met by one value only, so that the index of the attribute has the hits in order.
    words
        The condition on SQLite's full-text table itself.
    """

    keyword: str
    expression: ColumnElement[bool]
    check: ColumnElement[bool]
    indexed: bool = False
    single: bool = False
    words: ColumnElement[bool] | None = None


@dataclass(frozen=True)
class Start:
    """Conditions that one index answers together.

    Parameters
    ----------
    conditions
        The conditions.
    beside
        Keywords of the other attributes in the index, for which no row need be read.
    """

    conditions: tuple[Condition, ...]
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchFilter:
    """The conditions that every series found meets."""

    conditions: tuple[Condition, ...]

    @property
    def expressions(self) -> list[ColumnElement[bool]]:
        """All conditions, for a database that plans by itself."""
        return [each.expression for each in self.conditions]

    @property
    def starts(self) -> list[Start]:
        """The sets of conditions that one index answers together."""
        named = {each.keyword: each for each in self.conditions}
        starts = [
            Start((each,), BESIDE_RESULTS if each.keyword in RESULTS_OF else BESIDE)
            for each in self.conditions
            if each.indexed and each.keyword != "Modality"
        ]
        if "scope" in named:
            starts.append(Start(tuple(named[keyword] for keyword in BY_SCOPE if keyword in named), BESIDE_SCOPE))
        if "Modality" in named and named["Modality"].indexed:
            starts.append(Start(tuple(named[keyword] for keyword in _BY_MODALITY if keyword in named)))
        return starts

    @property
    def orders(self) -> list[tuple[Condition, ...]]:
        """The conditions whose index has the series that meet them in the order of arrival; the last is empty."""
        named = {each.keyword: each for each in self.conditions}
        pair = tuple(named[keyword] for keyword in _BY_MODALITY if keyword in named)
        alone: list[tuple[Condition, ...]] = [
            (each,) for each in self.conditions if each.single and each.keyword != "Modality"
        ]
        return [*([pair] if len(pair) == 2 and all(each.single for each in pair) else []), *alone, ()]


def read_filter(
    connection: Connection,
    person: Person,
    keywords: Mapping[str, object],
    columns: dict[str, ColumnElement[Any]] = SERIES,
) -> SearchFilter:
    """Turn keywords and rights into conditions.

    Raises
    ------
    InvalidRequest
        For an unknown keyword, or a value that it cannot have.
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
            elif keyword in RESULTS_OF and value is not False:
                with_results = has_results(keyword)
                asked.append(Condition(keyword, with_results, with_results, indexed=True))
                if value is not True:
                    asked.append(Condition(f"{keyword} of a name", expression, expression))
            else:
                asked.append(Condition(keyword, expression, expression, indexed=keyword == "text"))
        else:
            asked.append(_read_attribute(keyword, value, find_column(keyword, columns), dialect))
    return SearchFilter((*_choose_scopes(connection, wanted), *asked))


def _read_attribute(keyword: str, value: object, column: ColumnElement[Any], dialect: str) -> Condition:
    expression = match(column, keyword, value, dialect)
    listed = value if isinstance(value, (list, set, frozenset)) else [value]
    # An index is of use for whatever begins somewhere: not for *FLAIR, and not for what is absent.
    begins = all(each is not None and str(each)[:1] not in ("*", "?") for each in listed)
    indexed = begins and keyword in _INDEXED
    single = indexed and isinstance(value, (str, int, float)) and not is_open(column, keyword, value)
    return Condition(keyword, expression, expression, indexed, single)


def _choose_scopes(connection: Connection, wanted: list[ColumnElement[bool]]) -> list[Condition]:
    """Limit the search to the scopes that rights, project and site leave; no condition if that is all of them."""
    if not wanted:
        return []
    chosen = select(scopes.c.id).where(*wanted)
    everything = select(func.count()).select_from(scopes.alias()).scalar_subquery()
    found = connection.execute(chosen.add_columns(everything)).all()
    if found and len(found) == found[0][1]:
        return []
    among = match_numbers(series.c.scope, [row[0] for row in found], connection.dialect.name)
    return [Condition("scope", among, among)]
