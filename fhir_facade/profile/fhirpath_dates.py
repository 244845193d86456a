"""Dates and times moved by a quantity of time, http://hl7.org/fhirpath/N1/#datetime-arithmetic."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from fhir_facade.profile.fhirpath_syntax import FhirPathError
from fhir_facade.profile.fhirpath_values import CALENDAR, Item, Quantity, moment

MONTHS: Mapping[str, int] = {"a": 12, "mo": 1}
SECONDS: Mapping[str, Decimal | int] = {
    "wk": 604_800,
    "d": 86_400,
    "h": 3600,
    "min": 60,
    "s": 1,
    "ms": Decimal("0.001"),
}
SHORTEST = {"a": 1, "mo": 2, "wk": 3, "d": 3, "h": 4, "min": 5, "s": 6, "ms": 6}


def shifted(item: Item, amount: Quantity, at: int = 0) -> list[Item]:
    """A date, dateTime or time moved; what is finer than the value says is rounded down. [] beyond all years."""
    unit = CALENDAR.get(amount.unit, amount.unit)
    if unit not in SHORTEST or (amount.unit in ("a", "mo") and amount.unit not in CALENDAR):
        raise FhirPathError(f"'{amount.unit}' is no unit of time that a date is moved by", at)
    if unit not in ("s", "ms"):
        amount = Quantity(Decimal(int(amount.value)), amount.unit)
    said = moment(item.value)
    if said is None:
        return []
    parts, zone = said
    try:
        moved = _clock(parts, amount, unit) if item.system == "Time" else _moved(parts, amount, unit)
    except (ValueError, OverflowError):
        return []
    return [Item(_written(moved, len(parts), zone, item), item.type)]


def _clock(parts: list[Any], amount: Quantity, unit: str) -> datetime:
    if unit not in ("h", "min", "s", "ms"):
        raise ValueError(unit)
    hour, minute, second = [*parts, 0, 0][:3]
    start = datetime(2000, 1, 1, int(hour), int(minute), tzinfo=UTC) + timedelta(seconds=float(second))
    return start + timedelta(seconds=float(amount.value * SECONDS[unit]))


def _moved(parts: list[Any], amount: Quantity, unit: str) -> datetime:
    year, month, day, hour, minute, second = [*parts, 1, 1, 0, 0, 0][: len(parts)] + [1, 1, 0, 0, 0][len(parts) - 1 :]
    start: datetime = datetime(int(year), int(month), int(day), int(hour), int(minute), tzinfo=UTC) + timedelta(
        seconds=float(second)
    )
    if unit in MONTHS:
        return _by_months(start, int(amount.value) * MONTHS[unit])
    seconds = amount.value * SECONDS[unit]
    if len(parts) < SHORTEST[unit] and len(parts) < 3:
        days = int(seconds / 86_400)
        return _by_months(start, int(days / 365) * 12 if len(parts) == 1 else int(days / 30))
    return start + timedelta(seconds=float(seconds))


def _by_months(start: datetime, months: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return start.replace(year=year, month=month + 1, day=day)


def _written(at: datetime, precision: int, zone: str, item: Item) -> str:
    fraction = f".{at.microsecond // 1000:03}" if "." in item.value or at.microsecond else ""
    clock = f"{at.hour:02}:{at.minute:02}:{at.second:02}{fraction}"
    if item.system == "Time":
        return clock if precision >= 3 else clock[: 3 * precision - 1]
    day = f"{at.year:04}-{at.month:02}-{at.day:02}"
    if precision <= 3:
        return day[: (4, 7, 10)[precision - 1]] + ("T" if item.value.endswith("T") else "")
    return f"{day}T{clock if precision >= 6 else clock[: 3 * (precision - 3) - 1]}{zone}"
