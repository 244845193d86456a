"""What compiled rules do with single values: a missing one makes the answer nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from fhir_facade.npr.calendar import instant

SORTED = (10, 19)
"""Dates, and local times with seconds: texts of one length that sort as the moments do."""


def ask(function: Callable[..., Any], *values: Any) -> Any:
    """A function of values, nothing when one of them is missing."""
    for value in values:
        if value is None:
            return None
    return function(*values)


def equal(one: Any, other: Any) -> bool | None:
    """Whether two values are equal; times are compared as moments."""
    found = order(one, other)
    return None if found is None else found == 0


def order(one: Any, other: Any) -> int | None:
    """-1, 0 or 1; nothing when it cannot be said."""
    if one is None or other is None:
        return None
    if isinstance(one, str) and (len(one) not in SORTED or len(one) != len(other)):
        first, second = instant(one), instant(other)
        if first is not None and second is not None:
            return (first > second) - (first < second)
    return int(one > other) - int(one < other)


def within(one: Any, many: Sequence[Any]) -> bool | None:
    """Whether a value is one of several."""
    return None if one is None else one in many


def is_distinct(values: Sequence[Any]) -> bool:
    """Whether no value stands twice."""
    return len(set(values)) == len(values)


def plus(one: Any, other: Any) -> Any:
    """A sum."""
    return None if one is None or other is None else one + other


def minus(one: Any, other: Any) -> Any:
    """A difference."""
    return None if one is None or other is None else one - other


def part(text: str, start: int, length: int | None = None) -> str:
    """A part of a text, http://hl7.org/fhirpath/N1/#substringstart-integer-length-integer-string."""
    return text[start:] if length is None else text[start : start + length]


def whole(text: str) -> int | None:
    """The whole number that a text writes."""
    return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII) else None


def finder(search: Callable[[str], Any]) -> Callable[[Any], bool]:
    """The test whether a pattern is found in a text."""
    return lambda text: search(str(text)) is not None


def starter(start: str) -> Callable[[Any], bool]:
    """The test whether a text begins so."""
    return lambda text: str(text).startswith(start)
