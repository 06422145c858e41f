"""The query plan: the condition to begin with, so that every search is answered from an index.

Neither database knows how often values occur together, and SQLite not even how often one occurs. So the hits of each
condition with an index are counted, up to a bound, which takes a millisecond. If one has few, all of its hits are read;
if all have many, series are read in their order until the page is full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select, true

from aurelius_catalog.index.schema import series
from aurelius_catalog.search.full_text import WORDS
from aurelius_catalog.search.search_filter import Condition, SearchFilter, Start

#: Entries of an index that are counted, and rows that are read one by one, at most.
FEW = 30_000
#: With fewer hits than this, rows are read rather than the full text asked.
SELDOM = 2_000
#: The cost of reading a row, in entries of an index.
_ROW_COST = 2
#: Hits may be clustered, so a walk may have to go further than the average.
_CLUSTERING = 5
#: Conditions whose hits are likely to be clustered.
_TOGETHER = ("text", "received_at")
#: Where hits are too many to sort and too far away to walk to: the last series of the first try, then of the second.
_REACHES = (20_000, None)
#: The share of series that a condition without an index is thought to keep.
_GUESS = 0.3


@dataclass(frozen=True)
class QueryPlan:
    """The conditions to begin with (none: the first series of all), and how to get results in order.

    ``reaches`` are the last series to read at each try, until a page is full; None: all of them.
    """

    first: tuple[Condition, ...]
    rest: tuple[Condition, ...]
    walk: bool
    reaches: tuple[int | None, ...] = (None,)

    def narrow(self, statement: Select[Any]) -> Select[Any]:
        """Add the conditions to a statement on series so that no other index than the chosen one is used."""
        # A planner looks for an index for whatever is compared with a column, but not for what is true of a comparison.
        rest = [each.check.is_(true()) for each in self.rest]
        if self._words is not None:
            statement = statement.join_from(WORDS, series, series.c.id == WORDS.c.rowid)
            return statement.where(self._words, *rest)
        return statement.where(*[each.expression for each in self.first], *rest)

    @property
    def order(self) -> ColumnElement[Any]:
        """The order of arrival, written so that the database sorts, or so that it walks."""
        if self._words is not None:
            return WORDS.c.rowid
        return series.c.id if self.walk else series.c.id + 0

    @property
    def _words(self) -> ColumnElement[bool] | None:
        """The condition on SQLite's full-text table, which has its hits in order and is best asked directly."""
        return self.first[0].words if len(self.first) == 1 else None


def make_plan(connection: Connection, search_filter: SearchFilter, wanted: int | None) -> QueryPlan:
    """Choose where to begin.

    Parameters
    ----------
    connection
        To the index.
    search_filter
        The conditions of the search.
    wanted
        How many series from the first one on are needed; None: all of them.
    """
    text = next((each for each in search_filter.conditions if each.words is not None), None)
    starts = search_filter.starts
    if not starts:
        return _walk(search_filter, () if text is None else (text,))
    dialect = connection.dialect.name
    most = [SELDOM] * len(starts)
    total, counted = _count(connection, starts, most)
    if min(counted) > SELDOM:
        if dialect != "sqlite":
            return _leave(search_filter)
        if text is not None:
            return _walk(search_filter, (text,))
        most = [int(FEW / _weigh(search_filter, start)) for start in starts]
        total, counted = _count(connection, starts, most)
    too_many, cost, fewest, best = min(
        (
            (count > bound, count * _weigh(search_filter, start), count, start.conditions)
            for count, bound, start in zip(counted, most, starts, strict=True)
        ),
        key=lambda each: each[:3],
    )
    rest = tuple(each for each in search_filter.conditions if each not in best)
    if not total or (not too_many and fewest <= min(SELDOM, wanted or SELDOM)):
        return QueryPlan(best, rest, walk=False)
    if wanted is None:
        return QueryPlan(best, rest, walk=False)
    known = {start.conditions: count for start, count in zip(starts, counted, strict=True)}
    ordered = min(search_filter.orders, key=lambda order: known.get(order, total))
    steps = wanted * known.get(ordered, total) / _guess_hits(search_filter, best, total, known)
    if not too_many and cost <= _CLUSTERING * (1 + _ROW_COST) * steps:
        return QueryPlan(best, rest, walk=False)
    return _walk(search_filter, ordered) if dialect == "sqlite" else _leave(search_filter)


def _walk(search_filter: SearchFilter, first: tuple[Condition, ...]) -> QueryPlan:
    return QueryPlan(first, tuple(each for each in search_filter.conditions if each not in first), walk=True)


def _leave(search_filter: SearchFilter) -> QueryPlan:
    """Leave the plan to PostgreSQL, which knows how often values occur, but not that some are clustered."""
    if any(each.keyword in _TOGETHER for each in search_filter.conditions):
        return QueryPlan(search_filter.conditions, (), walk=False, reaches=_REACHES)
    return QueryPlan(search_filter.conditions, (), walk=True)


def _weigh(search_filter: SearchFilter, start: Start) -> float:
    """Return the cost of a hit of a start: little if its index holds the other attributes of the search."""
    rest = [each.keyword for each in search_filter.conditions if each not in start.conditions]
    held = sum(keyword in start.beside for keyword in rest)
    return 1 if held == len(rest) else 1 + _ROW_COST * _GUESS**held


def _guess_hits(
    search_filter: SearchFilter, best: tuple[Condition, ...], total: int, counted: dict[tuple[Condition, ...], int]
) -> float:
    """Estimate how many series meet all conditions, taken as independent."""
    hits, counted_in = float(counted[best]), set(best)
    for group, count in counted.items():
        if not counted_in.intersection(group):
            hits *= count / total
            counted_in.update(group)
    return max(hits * _GUESS ** sum(each not in counted_in for each in search_filter.conditions), 1e-3)


def _count(connection: Connection, starts: Sequence[Start], most: Sequence[int]) -> tuple[int, list[int]]:
    """Return about how many series there are, and of each start how many hits, counted to one more than ``most``."""
    asked = [select(func.max(series.c.id)).scalar_subquery()]
    for start, bound in zip(starts, most, strict=True):
        found = select(series.c.id).where(*[each.expression for each in start.conditions]).limit(bound + 1).subquery()
        asked.append(select(func.count()).select_from(found).scalar_subquery())
    total, *counted = connection.execute(select(*asked)).one()
    return total or 0, list(counted)
