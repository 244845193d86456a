"""Where a value first differs from a fixed value or a pattern."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from fhir_facade.packages.elements import MISSING
from fhir_facade.profile.findings import shown
from fhir_facade.profile.matching import fits, same


class Difference(NamedTuple):
    """A place below the value (".coding[0].code", "" for the value itself), and what was expected and found there."""

    place: str
    expected: Any
    found: Any

    def facts(self) -> dict[str, str]:
        """What was expected and found, in English and Norwegian."""
        expected, found = (None if each is MISSING else shown(each) for each in (self.expected, self.found))
        return {
            "expected": expected or "nothing", "ventet": expected or "ingenting",
            "found": found or "nothing", "funnet": found or "ingenting",
        }  # fmt: skip


def from_fixed(value: Any, fixed: Any, place: str = "") -> Difference | None:
    """The first place where a value is not the fixed one; None when it is."""
    if isinstance(value, Mapping) and isinstance(fixed, Mapping):
        for key in (*fixed, *(key for key in value if key not in fixed)):
            one, other = value.get(key, MISSING), fixed.get(key, MISSING)
            if one is MISSING or other is MISSING:
                return Difference(f"{place}.{key}", other, one)
            found = from_fixed(one, other, f"{place}.{key}")
            if found:
                return found
        return None
    if isinstance(value, list) and isinstance(fixed, list) and len(value) == len(fixed):
        pairs = enumerate(zip(value, fixed, strict=True))
        return next((d for i, (one, other) in pairs if (d := from_fixed(one, other, f"{place}[{i}]"))), None)
    return None if same(value, fixed) else Difference(place, fixed, value)


def from_pattern(value: Any, pattern: Any, place: str = "") -> Difference | None:
    """The first place where a value lacks what a pattern asks for; None when it fits.

    Of a list the item that comes closest is told of: the one that differs at the deepest or latest place.
    """
    if fits(value, pattern):
        return None
    if isinstance(pattern, Mapping) and isinstance(value, Mapping):
        for key, wanted in pattern.items():
            if key not in value:
                return Difference(f"{place}.{key}", wanted, MISSING)
            found = from_pattern(value[key], wanted, f"{place}.{key}")
            if found:
                return found
    if isinstance(pattern, list) and isinstance(value, list):
        wanted = next(part for part in pattern if not any(fits(item, part) for item in value))
        if len(value) == 1:
            return from_pattern(value[0], wanted, f"{place}[0]")
        return Difference(place, wanted, value if value else MISSING)
    return Difference(place, pattern, value)
