"""Where in a resource the elements stand that a simple FHIRPath selects.

https://hl7.org/fhir/R4/fhirpatch.html: a path is made of names, indexes and functions that only choose among elements.
What a filter asks is FHIRPath without limits, and the evaluator answers it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_facade.definitions import definitions
from fhir_facade.profile.fhirpath import Evaluator, Scope, is_a, truth
from fhir_facade.profile.fhirpath_syntax import (
    Call,
    Constant,
    Expression,
    Index,
    Name,
    TypeTest,
)
from fhir_facade.profile.fhirpath_values import Item, item_of

FUNCTIONS = ("where()", "first()", "last()", "ofType()", "as()", "extension()")


class NotSelecting(Exception):
    """The path has a part that gives no elements of the resource."""


@dataclass(slots=True)
class Spot:
    """An element: its item, the object that holds it, its JSON name there, and its place in a list (None: no list).

    `said` is its path in words, `path` where definitions know the holder; `holder` is None for the resource itself.
    """

    item: Item
    said: str
    holder: dict[str, Any] | None = None
    path: str = ""
    name: str = ""
    index: int | None = None


def select(tree: Expression, root: Spot, evaluator: Evaluator) -> list[Spot]:
    """The elements that a path selects from the resource; NotSelecting, FhirPathError or StepsExceeded."""
    match tree:
        case Name(None, name) if name[:1].isupper() and is_a(root.item.type, name):
            return [root]
        case Name(base, name):
            holders = [root] if base is None else select(base, root, evaluator)
            found = [child for holder in holders for child in below(holder, name)]
            evaluator.count(1 + len(found))
            return found
        case Index(base, Constant(literal)) if literal.kind == "number" and isinstance(literal.value, int):
            return select(base, root, evaluator)[literal.value : literal.value + 1]
        case TypeTest("as", operand, type_name):
            return [spot for spot in select(operand, root, evaluator) if is_a(spot.item.type, type_name)]
        case Call(base, name, arguments) if base is not None or name == "extension":
            found = [root] if base is None else select(base, root, evaluator)
            return _chosen(found, name, arguments, evaluator)
    raise NotSelecting


def _chosen(found: list[Spot], name: str, arguments: tuple[Expression, ...], evaluator: Evaluator) -> list[Spot]:
    match name, arguments:
        case "first", ():
            return found[:1]
        case "last", ():
            return found[-1:]
        case "where", (criterion,):
            return [spot for place, spot in enumerate(found) if _holds(criterion, spot.item, place, evaluator)]
        case (("ofType" | "as"), (Name(None, type_name) | Name(Name(None, "FHIR"), type_name),)):
            return [spot for spot in found if is_a(spot.item.type, type_name)]
        case "extension", (Constant(literal),) if literal.kind == "string":
            held = [child for spot in found for child in below(spot, "extension")]
            return [
                spot
                for spot in held
                if isinstance(spot.item.value, dict) and spot.item.value.get("url") == literal.value
            ]
    raise NotSelecting


def _holds(criterion: Expression, item: Item, place: int, evaluator: Evaluator) -> bool:
    return truth(evaluator.run(criterion, [item], Scope([item], place))) is True


def container(spot: Spot) -> tuple[dict[str, Any], str] | None:
    """The object that an element's children stand in, and its definition's path; None where there is none yet."""
    if isinstance(spot.item.value, dict):
        return spot.item.value, spot.item.path
    twin = spot.item.twin
    return (twin, spot.item.type) if isinstance(twin, dict) else None


def json_name(held: dict[str, Any], path: str, name: str) -> str:
    """The JSON name of an element that is there: valueQuantity for value; the name itself where nothing is."""
    if name in held or f"_{name}" in held:
        return name
    for key in held:
        plain = key.removeprefix("_")
        if plain.startswith(name) and plain != name:
            element = definitions().element(f"{path}.{plain}")
            if element is not None and element.path.endswith(f".{name}[x]"):
                return plain
    return name


def below(spot: Spot, name: str) -> Iterator[Spot]:
    """The elements of a name under another."""
    inside = container(spot)
    if inside is None or not isinstance(inside[0], dict):
        return
    held, path = inside
    key = json_name(held, path, name)
    values, twins = held.get(key), held.get(f"_{key}")
    said, where = f"{spot.said}.{name}", f"{path}.{key}"
    if not isinstance(values, list) and not isinstance(twins, list):
        if values is not None or twins is not None:
            yield Spot(item_of(values, where, twins if isinstance(twins, dict) else None), said, held, path, key)
        return
    listed = values if isinstance(values, list) else []
    beside = twins if isinstance(twins, list) else []
    for place in range(max(len(listed), len(beside))):
        value = listed[place] if place < len(listed) else None
        twin = beside[place] if place < len(beside) else None
        if value is None and not isinstance(twin, dict):
            continue
        item = item_of(value, where, twin if isinstance(twin, dict) else None)
        yield Spot(item, f"{said}[{place}]", held, path, key, place)
