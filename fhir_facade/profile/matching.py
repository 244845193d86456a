"""When a JSON value is a fixed value, and when it fits a pattern.

https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.pattern_x_: a pattern's own parts must be
there; of a list each part of the pattern must be found in some item. True is not 1 here, as it is in Python.
"""

from __future__ import annotations

from typing import Any


def same(value: Any, fixed: Any) -> bool:
    """Whether two JSON values are the same, whatever the order of keys."""
    if isinstance(value, dict) and isinstance(fixed, dict):
        return value.keys() == fixed.keys() and all(same(value[key], fixed[key]) for key in fixed)
    if isinstance(value, list) and isinstance(fixed, list):
        return len(value) == len(fixed) and all(map(same, value, fixed))
    return isinstance(value, bool) == isinstance(fixed, bool) and bool(value == fixed)


def fits(value: Any, pattern: Any) -> bool:
    """Whether a JSON value has all that a pattern says."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(key in value and fits(value[key], pattern[key]) for key in pattern)
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(fits(item, part) for item in value) for part in pattern)
    return same(value, pattern)
