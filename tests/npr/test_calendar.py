"""Days as Norway counts them."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest

from fhir_facade.npr import calendar


@pytest.mark.parametrize(
    ("year", "month", "day"), [(1961, 4, 2), (1999, 4, 4), (2008, 3, 23), (2024, 3, 31), (2025, 4, 20), (2038, 4, 25)]
)
def test_easter(year: int, month: int, day: int) -> None:
    assert calendar.easter_sunday(year) == date(year, month, day)


def test_the_public_holidays_of_2024() -> None:
    told = sorted(day.strftime("%m-%d") for day in calendar.public_holidays(2024))
    assert told == ("01-01 03-28 03-29 03-31 04-01 05-01 05-09 05-17 05-19 05-20 12-25 12-26".split())


def test_working_days_over_easter() -> None:
    assert calendar.working_days_between("2024-03-27", "2024-04-02") == 1
    assert calendar.working_days_between("2024-04-02", "2024-03-27") == -1
    assert calendar.working_days_between("2024-03-01", "2024-03-15") == 10
    assert calendar.working_days_between("2024-03-01", "2024-03-02") == 0


def test_working_days_are_those_that_are_counted_one_by_one() -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    numbers = random.Random(seed)
    for _ in range(200):
        first = date(1990, 1, 1) + timedelta(days=numbers.randrange(20_000))
        last = first + timedelta(days=numbers.randrange(800))
        counted = sum(calendar.is_working_day(first + timedelta(days=n)) for n in range(1, (last - first).days + 1))
        assert calendar.working_days_between(first.isoformat(), last.isoformat()) == counted


def test_the_clock_is_local() -> None:
    assert calendar.clock("2024-07-01T22:00:00Z") == "00:00"
    assert calendar.day("2024-07-01T22:00:00Z") == "2024-07-02"
    assert calendar.clock("2024-12-01T23:00:00Z") == "00:00"
    assert calendar.clock("2024-07-01T09:10:00.5") == "09:10"
    assert calendar.clock("2024-07-01") is None
    assert calendar.day("no date") is None


def test_ages_and_hours() -> None:
    assert calendar.years_between("2008-03-05", "2024-03-04") == 15
    assert calendar.years_between("2008-03-05", "2024-03-05") == 16
    assert calendar.hours_between("2024-03-04T10:00:00", "2024-03-05T12:30:00") == 26.5
    assert calendar.days_between("2024-02-28T23:00:00", "2024-03-01T01:00:00") == 2
