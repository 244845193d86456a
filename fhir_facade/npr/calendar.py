"""Days as Norway counts them: local clock, public holidays and working days. Pure functions over ISO 8601 texts.

Public holidays: lov om helligdager og helligdagsfred and lov om 1. og 17. mai. A working day is Monday to Friday
without public holidays.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Oslo")
FIXED = ((1, 1), (5, 1), (5, 17), (12, 25), (12, 26))
FROM_EASTER = (-3, -2, 0, 1, 39, 49, 50)
"""Maundy Thursday, Good Friday, Easter, Easter Monday, Ascension, Whit Sunday and Whit Monday."""

PLAIN = 19
"""Letters of a time with seconds and without offset, which is local."""


@lru_cache(maxsize=1 << 14)
def moment(text: str) -> datetime | None:
    """A date or time on the local clock; None when it is none. An offset is turned into local time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is None else found.astimezone(ZONE).replace(tzinfo=None)


@lru_cache(maxsize=1 << 14)
def instant(text: str) -> datetime | None:
    """A date or time as an instant; None when it is none. Without an offset it is local, and the first of a doubled
    autumn hour."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo is not None else found.replace(tzinfo=ZONE)).astimezone(UTC)


def day(text: str) -> str | None:
    """The local calendar day of a date or time."""
    found = moment(text)
    return None if found is None else found.date().isoformat()


def clock(text: str) -> str | None:
    """Hours and minutes on the local clock, HH:MM."""
    found = moment(text) if "T" in text else None
    return None if found is None else found.strftime("%H:%M")


def days_between(one: str, other: str) -> int | None:
    """Calendar days from one day to another, which is the number of nights; negative when the other is before."""
    first, second = moment(one), moment(other)
    return None if first is None or second is None else (second.date() - first.date()).days


def hours_between(one: str, other: str) -> float | None:
    """Hours that pass from one time to another."""
    first, second = instant(one), instant(other)
    return None if first is None or second is None else (second - first).total_seconds() / 3600


def years_between(one: str, other: str) -> int | None:
    """Whole years from one day to another, as ages are counted."""
    first, second = moment(one), moment(other)
    if first is None or second is None:
        return None
    return second.year - first.year - ((second.month, second.day) < (first.month, first.day))


def working_days_between(one: str, other: str) -> int | None:
    """Working days after the first day, up to and with the second; negative when the second is before."""
    first, second = moment(one), moment(other)
    if first is None or second is None:
        return None
    if second < first:
        return -_working_days(second.date(), first.date())
    return _working_days(first.date(), second.date())


def is_working_day(on: date) -> bool:
    """Whether a day is Monday to Friday and no public holiday."""
    return on.weekday() < 5 and on not in public_holidays(on.year)


@lru_cache(maxsize=512)
def public_holidays(year: int) -> frozenset[date]:
    """The public holidays of a year."""
    easter = easter_sunday(year)
    moving = {easter + timedelta(days=days) for days in FROM_EASTER}
    return frozenset(moving | {date(year, month, number) for month, number in FIXED})


def easter_sunday(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (the anonymous algorithm of 1876)."""
    a, b, c = year % 19, year // 100, year % 100
    d = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    e = (32 + 2 * (b % 4) + 2 * (c // 4) - d - c % 4) % 7
    f = d + e - 7 * ((a + 11 * d + 22 * e) // 451) + 114
    return date(year, f // 31, f % 31 + 1)


@lru_cache(maxsize=1 << 14)
def _working_days(first: date, last: date) -> int:
    """Working days after `first`, up to and with `last`: whole weeks have five, less the holidays in them."""
    days = (last - first).days
    weeks, rest = divmod(days, 7)
    count = weeks * 5 + sum((first + timedelta(days=n)).weekday() < 5 for n in range(1, rest + 1))
    holidays = (held for year in range(first.year, last.year + 1) for held in public_holidays(year))
    return count - sum(first < held <= last and held.weekday() < 5 for held in holidays)
