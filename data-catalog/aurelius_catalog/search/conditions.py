"""One keyword of a search and its value, as SQL.

======================================== =====================================================
value                                    finds
======================================== =====================================================
``"CT"``                                 equal
``["CT", "MR"]`` (a list or a set)       any of these
``(1.0, 2.5)`` (a tuple)                 a closed range; None leaves an end open
``"T2*"``, ``"*FLAIR?"``                 wildcards (PS3.4 section C.2.2.2.4), in texts
``"20200101-20201231"``, ``"20200101-"`` a range of dates or times (PS3.4 section C.2.2.2.5)
``None``                                 series that lack the attribute
======================================== =====================================================
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from functools import cache
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from sqlalchemy import ARRAY, BigInteger, ColumnElement, Float, Integer, and_, any_, func, literal, or_, select, true

from aurelius_catalog.dicom.json_header import write_json
from aurelius_catalog.errors import InvalidRequest
from aurelius_catalog.index.schema import Moment

_LISTS = (list, set, frozenset)
#: Letters that mean themselves in a LIKE pattern only after a backslash.
_LIKE = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_", "*": "%", "?": "_"})
_GLOB = str.maketrans({"[": "[[]"})
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def match(column: ColumnElement[Any], keyword: str, value: object, dialect: str) -> ColumnElement[bool]:
    """Return the condition that a column fits a value.

    Parameters
    ----------
    column
        The column.
    keyword
        Its name, which tells dates apart and stands in errors.
    value
        As in the table above; over JSON a range is ``{"from": low, "to": high}``.
    dialect
        ``sqlite`` or ``postgresql``.

    Raises
    ------
    InvalidRequest
        If the value is of a kind that the attribute cannot have.
    """
    if isinstance(value, _LISTS):
        return _match_any(column, keyword, list(value), dialect)
    if isinstance(value, tuple):
        if len(value) != 2:
            raise InvalidRequest(f"{keyword}: a tuple is a range (low, high); put several values into a list.")
        return _match_range(column, keyword, *value)
    if isinstance(value, Mapping):
        if not set(value) <= {"from", "to"}:
            raise InvalidRequest(f"{keyword}: a range is written as {{'from': low, 'to': high}}.")
        return _match_range(column, keyword, value.get("from"), value.get("to"))
    if value is None:
        return column.is_(None)
    if isinstance(value, str) and is_open(column, keyword, value):
        if _is_date_or_time(keyword):
            low, _, high = value.partition("-")
            return _match_range(column, keyword, low or None, high or None)
        return _match_wildcard(column, value, dialect)
    return column == convert(column, keyword, value)


def match_numbers(column: ColumnElement[Any], numbers: Sequence[int], dialect: str) -> ColumnElement[bool]:
    """Return the condition that a column holds one of many numbers, as one parameter.

    With a parameter for each number, every list would be a new statement to parse and plan, which takes longer than
    the search.
    """
    if dialect == "sqlite":
        return column.in_(select(func.json_each(write_json(list(numbers))).table_valued("value").c.value))
    return column == any_(literal(list(numbers), ARRAY(Integer)))


def is_open(column: ColumnElement[Any], keyword: str, value: object) -> bool:
    """Whether a text matches many values: a range of dates or times, or a wildcard, which no UID and no number has."""
    if not isinstance(value, str):
        return False
    if _is_date_or_time(keyword):
        return "-" in value and not _ISO_DATE.fullmatch(value)
    is_text = not isinstance(column.type, (Integer, Float, Moment)) and not keyword.endswith("UID")
    return is_text and ("*" in value or "?" in value)


def convert(column: ColumnElement[Any], keyword: str, value: object) -> object:
    """Return a value as the column holds it.

    Raises
    ------
    InvalidRequest
        If the column cannot hold it.
    """
    if isinstance(column.type, Moment):
        return _read_moment(keyword, value)
    if isinstance(column.type, (Integer, Float)):
        return _read_number(column, keyword, value)
    if isinstance(value, datetime) or (isinstance(value, date) and _is_date_or_time(keyword)):
        return value.strftime("%Y%m%d")
    if isinstance(value, time):
        return value.strftime("%H%M%S")
    if keyword == "PatientAge" and isinstance(value, int) and not isinstance(value, bool):
        return f"{value:03d}Y"
    if not isinstance(value, str):
        raise InvalidRequest(f"{keyword} is a text; {type(value).__name__} is none.")
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InvalidRequest(f"{keyword}: the text holds a character that no database keeps.")
    return value.replace("-", "") if _ISO_DATE.fullmatch(value) and _is_date_or_time(keyword) else value


def _match_any(column: ColumnElement[Any], keyword: str, values: list[object], dialect: str) -> ColumnElement[bool]:
    if any(isinstance(value, (list, set, frozenset)) for value in values):
        raise InvalidRequest(f"{keyword}: a list holds values, not further lists.")
    special = [value for value in values if not _is_plain(column, keyword, value)]
    plain = [convert(column, keyword, value) for value in values if _is_plain(column, keyword, value)]
    conditions = [match(column, keyword, value, dialect) for value in special]
    return or_(column.in_(plain), *conditions) if conditions else column.in_(plain)


def _is_plain(column: ColumnElement[Any], keyword: str, value: object) -> bool:
    if value is None or isinstance(value, (tuple, Mapping)):
        return False
    return not is_open(column, keyword, value)


def _match_range(column: ColumnElement[Any], keyword: str, low: object, high: object) -> ColumnElement[bool]:
    conditions = []
    if low is not None:
        conditions.append(column >= convert(column, keyword, low))
    if high is not None:
        end = convert(column, keyword, high)
        conditions.append(column <= (_fill_end(keyword, str(end)) if _is_date_or_time(keyword) else end))
    if keyword == "PatientAge" and conditions:
        conditions.append(_of_one_unit(column, low, high))
    return and_(*conditions) if conditions else column.is_not(None)


def _of_one_unit(column: ColumnElement[Any], low: object, high: object) -> ColumnElement[bool]:
    """Keep ages of the unit that the range is in (PS3.5 section 6.2: 018M, 045Y); they do not sort across units."""
    units = {str(end)[-1] if isinstance(end, str) else "Y" for end in (low, high) if end is not None}
    if len(units) != 1 or not units <= set("DWMY"):
        raise InvalidRequest("PatientAge: give both ends in one unit, such as (40, 60) or ('006M', '018M').")
    return column.like(f"%{units.pop()}")


def _match_wildcard(column: ColumnElement[Any], pattern: str, dialect: str) -> ColumnElement[bool]:
    if "\0" in pattern or any("\ud800" <= letter <= "\udfff" for letter in pattern):
        raise InvalidRequest("A wildcard pattern holds a character that no database keeps.")
    if not pattern.strip("*"):
        return true()
    if dialect == "sqlite":  # its LIKE ignores case and cannot use an index; GLOB has neither fault
        return column.op("GLOB", is_comparison=True)(pattern.translate(_GLOB))
    return column.like(pattern.translate(_LIKE), escape="\\")


def _fill_end(keyword: str, end: str) -> str:
    """Extend the end of a range to full precision: to the end of that hour, of that month, of that year."""
    if keyword.endswith("Date"):
        return end.ljust(8, "9")
    return end if "." in end else f"{end.ljust(6, '9')}.999999"


@cache
def _is_date_or_time(keyword: str) -> bool:
    tag = tag_for_keyword(keyword)
    return tag is not None and dictionary_VR(tag) in ("DA", "TM")


def _read_number(column: ColumnElement[Any], keyword: str, value: object) -> int | float:
    whole = isinstance(column.type, Integer)
    largest = 2**63 if isinstance(column.type, BigInteger) or not whole else 2**31
    try:
        number = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or abs(number) >= largest:
        raise InvalidRequest(f"{keyword} is a number; this is none that it can be.")
    if not whole:
        return number
    if not number.is_integer():
        raise InvalidRequest(f"{keyword} is a whole number.")
    return int(value) if isinstance(value, int) else int(number)


def _read_moment(keyword: str, value: object) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidRequest(f"{keyword} is a moment, written like 2026-01-31 or 2026-01-31T12:00.") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise InvalidRequest(f"{keyword} is a moment, written like 2026-01-31 or 2026-01-31T12:00.")
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise InvalidRequest(f"{keyword} lies outside of all calendars.") from None
