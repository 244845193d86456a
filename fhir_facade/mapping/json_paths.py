"""Where the values of a resource stand, as FHIRPath, and where two resources differ.

A choice is written as FHIRPath has it: deceasedDateTime is `deceased.ofType(dateTime)`; an extension has its url.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fhir_facade.definitions import definitions

ABSENT = "(nothing)"


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two values differ; what is missing on one side is "(nothing)"."""

    path: str
    expected: Any
    got: Any

    def __str__(self) -> str:
        return f"{self.path}: expected {_said(self.expected)}, got {_said(self.got)}"


def _said(value: Any) -> str:
    return str(value) if value is ABSENT else repr(value)


def differences(expected: Any, got: Any, at: str, element: str = "") -> Iterator[Difference]:
    """Every place where `got` is not `expected`, item by item in lists; `at` is the path of both.

    `element` is the element path behind `at` when both are FHIR; "" for records, whose fields are named as they are.
    """
    if isinstance(expected, dict) and isinstance(got, dict):
        for name in dict.fromkeys([*expected, *got]):
            path, below = step(at, element, name) if element else (f"{at}.{name}", "")
            yield from differences(expected.get(name, ABSENT), got.get(name, ABSENT), path, below)
    elif isinstance(expected, list) and isinstance(got, list):
        for place in range(max(len(expected), len(got))):
            one = expected[place] if place < len(expected) else ABSENT
            other = got[place] if place < len(got) else ABSENT
            yield from differences(one, other, f"{at}[{place}]", element)
    elif expected != got or isinstance(expected, bool) != isinstance(got, bool):
        yield Difference(at, expected, got)


def leaves(value: Any, at: str, element: str) -> Iterator[tuple[str, str, Any]]:
    """(FHIRPath without indexes, element path, value) of every plain value of a resource, in document order."""
    if isinstance(value, dict):
        for name, inner in value.items():
            path, below = step(at, element, name)
            if name in ("extension", "modifierExtension"):
                for item in inner:
                    rest = {key: part for key, part in item.items() if key != "url"}
                    yield from leaves(rest, f"{path}('{item.get('url', '')}')", below)
            else:
                yield from leaves(inner, path, below)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, at, element)
    else:
        yield at, element, value


@lru_cache(maxsize=8192)
def step(at: str, element: str, name: str) -> tuple[str, str]:
    """The FHIRPath and the element path of the JSON member `name`; `_gender` holds what is said of `gender`."""
    plain = name.removeprefix("_")
    below = f"{element}.{plain}"
    found = definitions().element(below)
    if found is not None and found.path.endswith("[x]") and len(found.types) == 1:
        stem = found.path.rsplit(".", 1)[-1].removesuffix("[x]")
        return f"{at}.{stem}.ofType({found.types[0]})", below
    return f"{at}.{plain}", below
