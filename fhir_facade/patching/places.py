"""Where in a resource the elements stand that a FHIRPath names: the path of keys and indexes in its JSON.

What leads from element to element is followed here: names, indexes and the functions of FUNCTIONS. What stands between
brackets of `where` is any FHIRPath, and is asked of the evaluator. http://hl7.org/fhirpath/N1/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from fhir_facade.contracts import Resource
from fhir_facade.definitions import definitions
from fhir_facade.profile.fhirpath import Environment, StepsExceeded, evaluate, truth
from fhir_facade.profile.fhirpath_syntax import (
    Call,
    Constant,
    Expression,
    FhirPathError,
    Index,
    Name,
    TypeTest,
    Variable,
    parse,
)
from fhir_facade.profile.fhirpath_values import Item, item_of

FUNCTIONS = ("where", "first", "last", "tail", "skip", "take", "single", "ofType", "as", "extension")


class Place(NamedTuple):
    """One element: its steps in the JSON, and what it is. A primitive with nothing but a twin has the value None."""

    steps: tuple[str | int, ...]
    item: Item

    @property
    def key(self) -> str:
        """The JSON name that it stands under."""
        return next((step for step in reversed(self.steps) if isinstance(step, str)), "")


def places_of(path: str, resource: Resource) -> list[Place]:
    """The places that a path leads to; FhirPathError when it is no path, or leads by what is not followed here."""
    root = item_of(resource, "Resource")
    environment = Environment(resource=resource, root_resource=resource)
    try:
        return list(_follow(parse(path), [Place((), root)], environment))
    except StepsExceeded:
        raise FhirPathError("it takes too many steps") from None


def _follow(tree: Expression, start: list[Place], environment: Environment) -> list[Place]:
    match tree:
        case Name(base=None, name=name) if start[0].item.type == name and not start[0].steps:
            return start
        case Name(base=base, name=name):
            found = start if base is None else _follow(base, start, environment)
            return [inner for each in found for inner in under(each, name)]
        case Index(base=base, index=Constant(literal)) if isinstance(literal.value, int):
            found = _follow(base, start, environment)
            return found[literal.value : literal.value + 1] if literal.value >= 0 else []
        case Call(base=base, name=name, arguments=arguments) if name in FUNCTIONS:
            found = start if base is None else _follow(base, start, environment)
            return _called(name, arguments, found, environment)
        case TypeTest(operator="as", operand=operand, type=type_name):
            return [each for each in _follow(operand, start, environment) if _is_of(each.item, type_name)]
        case Variable(name="resource" | "$this" | "%resource" | "this"):
            return start
    raise FhirPathError(f"only names, indexes and {', '.join(FUNCTIONS)} lead to a place")


def _called(name: str, arguments: Sequence[Expression], found: list[Place], environment: Environment) -> list[Place]:
    if name in ("first", "last", "tail", "single") and not arguments:
        if name == "single" and len(found) > 1:
            raise FhirPathError("one element is expected where there are several")
        return {"first": found[:1], "last": found[-1:], "tail": found[1:], "single": found}[name]
    if len(arguments) != 1:
        raise FhirPathError(f"{name}() has other arguments")
    argument = arguments[0]
    if name == "where":
        return [each for each in found if truth(evaluate(argument, each.item, each.item.path, environment)) is True]
    if name in ("ofType", "as"):
        type_name = argument.name if isinstance(argument, Name) else ""
        return [each for each in found if _is_of(each.item, type_name)]
    held = evaluate(argument, environment.resource, "Resource", environment)
    value = held[0].value if len(held) == 1 else None
    if name == "extension" and isinstance(value, str):
        inner = [one for each in found for one in under(each, "extension")]
        return [one for one in inner if isinstance(one.item.value, dict) and one.item.value.get("url") == value]
    if name in ("skip", "take") and isinstance(value, int) and value >= 0:
        return found[value:] if name == "skip" else found[:value]
    raise FhirPathError(f"{name}() has another argument")


def _is_of(item: Item, type_name: str) -> bool:
    return item.type == type_name or item.system == type_name or f"FHIR.{item.type}" == type_name


def under(place: Place, name: str) -> Iterator[Place]:
    """The places one level below under an element's name; of a choice those of whichever type stands there."""
    held, steps = place.item.value, place.steps
    path = place.item.path
    if not isinstance(held, dict):
        if place.item.twin is None:
            return
        held, path = place.item.twin, place.item.type
        steps = twin_steps(steps)
    key = key_in(held, path, name)
    if key is None:
        return
    values, twins = held.get(key), held.get(f"_{key}")
    at = f"{path}.{key}"
    if not isinstance(values, list) and not isinstance(twins, list):
        yield Place((*steps, key), item_of(values, at, twins if isinstance(twins, dict) else None))
        return
    listed: Sequence[Any] = values if isinstance(values, list) else ()
    beside: Sequence[Any] = twins if isinstance(twins, list) else ()
    for number in range(max(len(listed), len(beside))):
        value = listed[number] if number < len(listed) else None
        twin = beside[number] if number < len(beside) else None
        if value is not None or isinstance(twin, dict):
            yield Place((*steps, key, number), item_of(value, at, twin if isinstance(twin, dict) else None))


def twin_steps(steps: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The steps to the id and extensions of a primitive."""
    if isinstance(steps[-1], int):
        return (*steps[:-2], f"_{steps[-2]}", steps[-1])
    return (*steps[:-1], f"_{steps[-1]}")


def key_in(held: Any, path: str, name: str) -> str | None:
    """The JSON name that an element has in an object, if it is there."""
    if name in held or f"_{name}" in held:
        return name
    for each in held:
        plain = each.removeprefix("_")
        if plain.startswith(name) and plain[len(name) : len(name) + 1].isupper():
            element = definitions().element(f"{path}.{plain}")
            if element is not None and element.path.endswith(f"{name}[x]"):
                return str(plain)
    return None
