"""Retain Longitudinal Temporal Information with Modified Dates (PS3.15 section E.3.6).

Every date of a patient moves back by the same whole number of days, so times of day stay what they are and every
interval stays exact: to the second between two moments, to the day between two dates.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
#: Dates as ACR-NEMA wrote them.
_DOTTED = re.compile(r"([0-9]{4})\.([0-9]{2})\.([0-9]{2})")
_MOMENT = re.compile(r"([0-9]{4})([0-9]{2})?([0-9]{2})?([0-9]{0,6}(?:\.[0-9]{1,6})?)([+-][0-9]{4})?")
_TIME = re.compile(r"[0-9]{2}:?([0-9]{2})?:?([0-9]{2})?(\.[0-9]{1,6})?")
OFFSET = re.compile(r"[+-][0-9]{4}")


def shift_date(text: str, days: int) -> str | None:
    """Return a DA value moved back, or None where the value is not a date."""
    match = _DATE.fullmatch(text) or _DOTTED.fullmatch(text)
    return _move(match[1], match[2], match[3], days) if match else None


def shift_moment(text: str, days: int) -> str | None:
    """Return a DT value moved back, with its time, precision and offset from UTC; None where it is not a DT value.

    A year or a month alone is moved as its first day and written as precise as it was.
    """
    match = _MOMENT.fullmatch(text)
    if not match:
        return None
    year, month, day, time, offset = match.groups()
    moved = _move(year, month or "01", day or "01", days)
    if moved is None or (time and not day):
        return None
    return moved[: 4 + len(month or "") + len(day or "")] + time + (offset or "")


def keep_time(text: str) -> str | None:
    """Return a TM value as it is, or None where it is not a TM value."""
    return text if _TIME.fullmatch(text) else None


def _move(year: str, month: str, day: str, days: int) -> str | None:
    try:
        moved = date(int(year), int(month), int(day)) - timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return f"{moved.year:04d}{moved.month:02d}{moved.day:02d}"
