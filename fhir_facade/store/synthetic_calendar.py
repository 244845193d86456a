"""Days and clock times of the synthetic window as whole numbers, written out from tables.

A day is a count from the first day of the table, a moment is minutes since then on the Norwegian clock.
"""

from __future__ import annotations

from datetime import date, timedelta

DAY = 1440
BEFORE, AFTER = 800, 800  # days of the table outside the window: old referrals, plans still to come

CLOCKS = ("T00:01:00", *(f"T{m // 60:02}:{m % 60:02}:00" for m in range(1, DAY)))
"""Clock by minute; NPR takes 00:00 for a time that nobody knew, so midnight is written a minute late."""


class Calendar:
    """The window of the data: three whole years and what has gone of this one, from `first` to `last`."""

    def __init__(self, until: date) -> None:
        opening = date(until.year - 3, 1, 1)
        origin = opening - timedelta(days=BEFORE)
        self.year, self.origin = until.year, origin.toordinal()
        self.first, self.last = BEFORE, until.toordinal() - self.origin
        self.days = tuple(date.fromordinal(self.origin + day).isoformat() for day in range(self.last + AFTER))
        self.years = tuple(day[:4] for day in self.days)
        sundays = [day for day in range(len(self.days)) if self.weekday(day) == 6]
        self.spring = tuple(day for day in sundays if self._shifts(day, "-03-"))
        self.autumn = tuple(day for day in sundays if self._shifts(day, "-10-") and self.first <= day < self.last)
        self.spring_inside = tuple(day for day in self.spring if self.first <= day < self.last)

    def _shifts(self, day: int, month: str) -> bool:
        return month in self.days[day] and self.days[day][8:] > "24"

    def weekday(self, day: int) -> int:
        """0 is Monday."""
        return (self.origin + day - 1) % 7

    def workday(self, day: int) -> int:
        """The day itself, or the Monday after a weekend."""
        weekday = self.weekday(day)
        return day + 7 - weekday if weekday > 4 else day

    def at(self, moment: int) -> str:
        """Local date and time; the hour that spring skips is 03:00, the doubled hour its first pass."""
        day, minute = divmod(moment, DAY)
        if 120 <= minute < 180 and day in self.spring:
            minute = 180
        return self.days[day] + CLOCKS[minute]

    def week(self, day: int) -> str:
        """ISO week as NPR writes it: 2025-W07."""
        year, week, _ = date.fromordinal(self.origin + day).isocalendar()
        return f"{year}-W{week:02}"
