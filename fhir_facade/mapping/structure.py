"""Whether JSON has the structure of an R4 resource: known elements, lists where R4 repeats, the right JSON types.

What writing back rests on; values, bindings and profiles are not judged here.
JSON form of resources: https://hl7.org/fhir/R4/json.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_facade.definitions import Element, definitions
from fhir_facade.json_places import shortened
from fhir_facade.mapping.findings import nearest
from fhir_facade.outcome import Issue

DEEPEST = 48
"""Most levels of a resource; R4 resources have some ten, and extensions nest without end."""

NUMBERS = {"integer", "positiveInt", "unsignedInt"}


def structure_faults(resource: Any) -> list[Issue]:
    """Every fault of structure, with its FHIRPath; none for a resource of R4's form."""
    if not isinstance(resource, dict):
        return [_shape("", "an object with resourceType")]
    return list(_resource(resource, "", 0))


def _resource(value: dict[str, Any], at: str, depth: int) -> Iterator[Issue]:
    named = value.get("resourceType")
    types = definitions().resource_types
    if not isinstance(named, str) or named not in types:
        near = nearest(named, types) if isinstance(named, str) and named.isalpha() else ""
        yield Issue("element-not-r4", f"{at}.resourceType" if at else "", {"element": "resourceType", "nearest": near})
        return
    yield from _object(value, named, at or named, depth)


def _object(value: dict[str, Any], defined: str, at: str, depth: int) -> Iterator[Issue]:
    """The members of one object; `defined` is where R4 defines it, `at` where it stands."""
    if depth > DEEPEST:
        yield _shape(at, f"at most {DEEPEST} levels")
        return
    if not value:
        yield _shape(at, "an object with something in it")
    for name, inner in value.items():
        if name == "resourceType" and defined[:1].isupper() and "." not in defined:
            continue
        plain = name.removeprefix("_")
        element = definitions().element(f"{defined}.{plain}") if plain.isalnum() else None
        if element is None or len(element.types) != 1 or (name != plain and not _primitive(element)):
            shown = name if sum(map(str.isdigit, name)) < 6 else "..."
            near = nearest(plain, definitions().children(defined))
            yield Issue("element-not-r4", at, {"element": shortened(shown), "nearest": near})
        elif name != plain:
            yield from _companion(inner, element, f"{at}.{plain}", depth)
        else:
            yield from _member(inner, element, f"{defined}.{plain}", f"{at}.{plain}", depth)


def _member(value: Any, element: Element, defined: str, at: str, depth: int) -> Iterator[Issue]:
    if isinstance(value, list) != element.many:
        yield _shape(at, "a list" if element.many else "a single value")
        return
    if element.many and not value:
        yield _shape(at, "a list with something in it")
    for place, item in enumerate(value if element.many else [value]):
        here = f"{at}[{place}]" if element.many else at
        if _primitive(element):
            if item is None and element.many:
                continue  # its extensions stand in the companion
            yield from _value(item, element.types[0], here)
        elif not isinstance(item, dict):
            yield _shape(here, "an object")
        elif element.types[0] == "Resource":
            yield from _resource(item, here, depth + 1)
        else:
            yield from _object(item, defined, here, depth + 1)


def _companion(value: Any, element: Element, at: str, depth: int) -> Iterator[Issue]:
    """`_name`: the id and extensions of a primitive, or a list of them."""
    if isinstance(value, list) != element.many:
        yield _shape(at, "a list" if element.many else "an object")
        return
    for item in value if element.many else [value]:
        if isinstance(item, dict):
            yield from _object(item, "Element", at, depth + 1)
        elif item is not None or not element.many:
            yield _shape(at, "an object with id or extension")


def _value(value: Any, datatype: str, at: str) -> Iterator[Issue]:
    """The JSON type of a primitive; its format is the validator's."""
    if datatype == "boolean":
        fits, expected = isinstance(value, bool), "true or false"
    elif datatype in NUMBERS:
        fits, expected = isinstance(value, int) and not isinstance(value, bool), "a whole number"
    elif datatype == "decimal":
        fits, expected = isinstance(value, int | float) and not isinstance(value, bool), "a number"
    else:
        fits, expected = isinstance(value, str) and bool(value), "text"
    if not fits:
        yield _shape(at, expected)


def _primitive(element: Element) -> bool:
    """Whether an element is one JSON value: a primitive type of R4, or one of FHIRPath's own (ids, extension URLs)."""
    kind = definitions().kind(element.types[0])
    return kind == "primitive-type" or (kind is None and element.types[0].startswith("http"))


def _shape(at: str, expected: str) -> Issue:
    return Issue("element-shape", at, {"expected": expected})
