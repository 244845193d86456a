"""FHIRPath Patch, https://hl7.org/fhir/R4/fhirpatch.html: operations in a Parameters resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fhir_facade.definitions import Element, concrete_name, definitions
from fhir_facade.outcome import Issue, Refused
from fhir_facade.patching.budget import Budget
from fhir_facade.patching.left_empty import Emptied
from fhir_facade.patching.selecting import FUNCTIONS, NotSelecting, Spot, container, json_name, select
from fhir_facade.profile.fhirpath import Environment, Evaluator, StepsExceeded
from fhir_facade.profile.fhirpath_syntax import Expression, FhirPathError, Name, parse
from fhir_facade.profile.fhirpath_values import SYSTEM, item_of

STEPS = 200_000
"""Most steps that the paths of one patch may take together."""


class Filled(NamedTuple):
    """A value ready for its element: the JSON name, whether it is one of a list, the value and its twin."""

    key: str
    many: bool
    value: Any
    twin: Any


def fhirpath_patched(document: Any, patch: Any, budget: Budget) -> Any:
    """The resource with the operations carried out in order; Refused, with the place in the patch, when one fails."""
    listed = patch.get("parameter") if isinstance(patch, dict) and patch.get("resourceType") == "Parameters" else None
    if not isinstance(listed, list):
        raise Refused(Issue("patch-shape", "", {"expected": '{"resourceType": "Parameters", "parameter": [...]}'}))
    budget.check_operations(len(listed))
    work = Work(budget.copied(document), budget)
    for place, parameter in enumerate(listed):
        budget.at = f"Parameters.parameter[{place}]"
        work.carry_out(parameter)
    return work.emptied.cleared(work.document)


class Work:
    """A resource while it is patched."""

    def __init__(self, document: Any, budget: Budget) -> None:
        self.document = document
        self.budget = budget
        self.emptied = Emptied()
        self.root = Spot(item_of(document, ""), str(document.get("resourceType")))
        self.evaluator = Evaluator(Environment(resource=document, steps=STEPS), [self.root.item])
        self.parts: dict[str, dict[str, Any]] = {}

    def carry_out(self, parameter: Any) -> None:
        parts = parameter.get("part") if isinstance(parameter, dict) else None
        if not isinstance(parts, list) or parameter.get("name") != "operation":
            raise self.fault("patch-shape", expected='{"name": "operation", "part": [...]}')
        self.parts = {}
        for part in parts:
            name = part.get("name") if isinstance(part, dict) else None
            if not isinstance(name, str) or name in self.parts:
                raise self.fault("patch-shape", expected='{"name": ...}')
            self.parts[name] = part
        kind = self._text("type", "valueCode")
        if kind not in OPERATIONS:
            raise self.fault("patch-operation-unknown", known=sorted(OPERATIONS))
        OPERATIONS[kind](self)

    def fault(self, code: str, **facts: Any) -> Refused:
        return Refused(Issue(code, self.budget.at, facts))

    # the operations

    def add(self) -> None:
        spot = self._one(self._select(self._path()))
        held, path = self._opened(spot)
        self._put(held, path, self._text("name", "valueString"), self._part("value"), spot.said)

    def insert(self) -> None:
        spot, held, key = self._list()
        values, twins = aligned(held, key)
        place = self._number("index", len(values), f"{spot.said}.{key}")
        filled = self._filled(spot.item.path, key, self._part("value"), f"{spot.said}.{key}")
        values.insert(place, filled.value)
        twins.insert(place, filled.twin)
        store(held, key, values, twins)

    def delete(self) -> None:
        spots = self._select(self._path())
        if len(spots) > 1:
            raise self.fault("patch-path-count", count=len(spots), expected="0 - 1")
        for spot in spots:
            held = self._holder(spot)
            values, twins = aligned(held, spot.name)
            if spot.index is None:
                values, twins = [], []
            else:
                del values[spot.index], twins[spot.index]
            store(held, spot.name, values, twins)
            self.emptied.add(held)

    def replace(self) -> None:
        spot = self._one(self._select(self._path()))
        held = self._holder(spot)
        element = definitions().element(f"{spot.path}.{spot.name}")
        is_choice = element is not None and element.path.endswith("[x]")
        name = element.path.rpartition(".")[2].removesuffix("[x]") if element and is_choice else spot.name
        filled = self._filled(spot.path, name, self._part("value"), spot.said)
        if spot.index is not None:
            values, twins = aligned(held, spot.name)
            values[spot.index], twins[spot.index] = filled.value, filled.twin
            store(held, spot.name, values, twins)
            return
        store(held, spot.name, [], [])
        self._set(held, filled)

    def move(self) -> None:
        spot, held, key = self._list()
        values, twins = aligned(held, key)
        said = f"{spot.said}.{key}"
        source, target = (self._number(name, len(values) - 1, said) for name in ("source", "destination"))
        values.insert(target, values.pop(source))
        twins.insert(target, twins.pop(source))
        store(held, key, values, twins)

    # what an operation says

    def _part(self, name: str) -> dict[str, Any]:
        if name not in self.parts:
            raise self.fault("patch-member-missing", member=name)
        return self.parts[name]

    def _text(self, name: str, key: str) -> str:
        held = self._part(name).get(key, self._part(name).get("valueString"))
        if not isinstance(held, str):
            raise self.fault("patch-shape", expected=f'{{"name": "{name}", "{key}": "..."}}')
        return held

    def _number(self, name: str, most: int, said: str) -> int:
        held = self._part(name).get("valueInteger")
        if type(held) is not int:
            raise self.fault("patch-shape", expected=f'{{"name": "{name}", "valueInteger": 0}}')
        if not 0 <= held <= most:
            raise self.fault("patch-index", count=most if name == "index" else most + 1, place=said)
        return held

    def _path(self) -> Expression:
        try:
            return parse(self._text("path", "valueString"))
        except FhirPathError as error:
            raise self.fault("patch-path-form", position=error.position + 1) from None

    # what a path selects

    def _select(self, tree: Expression) -> list[Spot]:
        try:
            return select(tree, self.root, self.evaluator)
        except (FhirPathError, ArithmeticError) as error:
            raise self.fault("patch-path-form", position=getattr(error, "position", 0) + 1) from None
        except NotSelecting:
            raise self.fault("patch-path-not-selecting", known=FUNCTIONS) from None
        except (StepsExceeded, RecursionError):
            raise self.fault("patch-path-steps", limit=STEPS) from None

    def _one(self, spots: list[Spot]) -> Spot:
        if len(spots) != 1:
            raise self.fault("patch-path-count", count=len(spots), expected=1)
        return spots[0]

    def _holder(self, spot: Spot) -> dict[str, Any]:
        if spot.holder is None:
            raise self.fault("patch-path-not-selecting", known=FUNCTIONS)
        return spot.holder

    def _list(self) -> tuple[Spot, dict[str, Any], str]:
        """The element that holds the list that the path names, the object of its children, the list's JSON name."""
        tree = self._path()
        if not isinstance(tree, Name):
            raise self.fault("patch-not-list", place=self.root.said)
        spot = self.root if tree.base is None else self._one(self._select(tree.base))
        inside = container(spot)
        element = definitions().element(f"{inside[1]}.{tree.name}") if inside else None
        if inside is None or element is None:
            raise self.fault("patch-element-unknown", place=spot.said)
        if not element.many:
            raise self.fault("patch-not-list", place=f"{spot.said}.{tree.name}")
        return spot, inside[0], tree.name

    def _opened(self, spot: Spot) -> tuple[dict[str, Any], str]:
        """The object for an element's children; a primitive gets one beside its value."""
        inside = container(spot)
        if inside is not None:
            return inside
        held, twin = self._holder(spot), dict[str, Any]()
        if spot.index is None:
            held[f"_{spot.name}"] = twin
        else:
            values, twins = aligned(held, spot.name)
            twins[spot.index] = twin
            store(held, spot.name, values, twins)
        return twin, spot.item.type

    # values

    def _put(self, held: dict[str, Any], path: str, name: str, part: dict[str, Any], said: str) -> None:
        filled = self._filled(path, name, part, said)
        if filled.many:
            values, twins = aligned(held, filled.key)
            store(held, filled.key, [*values, filled.value], [*twins, filled.twin])
            return
        element = definitions().element(f"{path}.{filled.key}")
        base = element.path.rpartition(".")[2].removesuffix("[x]") if element else name
        there = json_name(held, path, base) if element and element.path.endswith("[x]") else filled.key
        if there in held or f"_{there}" in held:
            raise self.fault("patch-element-there", place=f"{said}.{base}")
        self._set(held, filled)

    def _set(self, held: dict[str, Any], filled: Filled) -> None:
        for key, value in ((filled.key, filled.value), (f"_{filled.key}", filled.twin)):
            if value is not None:
                held[key] = value

    def _filled(self, path: str, name: str, part: dict[str, Any], said: str) -> Filled:
        table = definitions()
        element = table.element(f"{path}.{name}") or table.element(f"{path}.{name}[x]")
        if element is None or name == "resourceType":
            raise self.fault("patch-element-unknown", place=said)
        parts = part.get("part")
        keys = {key.removeprefix("_") for key in part if key.removeprefix("_").startswith("value")}
        if len(keys) + (parts is not None) + ("resource" in part) != 1 or not isinstance(parts, list | None):
            raise self.fault("patch-shape", expected="value[x] | part")
        if parts is not None:
            if len(element.types) != 1 or table.kind(element.types[0]) != "complex-type":
                raise self.fault("patch-value-type", place=said, known=element.types)
            return Filled(name, element.many, self._built(f"{path}.{name}", parts, said), None)
        key = keys.pop() if keys else "resource"
        type_name = type_of(key)
        value, twin = part.get(key), part.get(f"_{key}")
        is_object = not is_primitive(type_name)
        shaped = isinstance(value, dict) if is_object else not isinstance(value, dict | list)
        if not shaped or not isinstance(twin, dict | None) or not takes(element, type_name):
            raise self.fault("patch-value-type", place=said, known=element.types)
        is_plain_choice = element.path.endswith("[x]") and table.element(f"{path}.{name}") is None
        final = concrete_name(name, type_name) if is_plain_choice else name
        depth = said.count(".") + 1
        return Filled(final, element.many, self.budget.copied(value, depth), self.budget.copied(twin, depth))

    def _built(self, path: str, parts: list[Any], said: str) -> dict[str, Any]:
        """An object of the elements that nested parts name."""
        held: dict[str, Any] = {}
        for part in parts:
            name = part.get("name") if isinstance(part, dict) else None
            if not isinstance(name, str):
                raise self.fault("patch-shape", expected='{"name": ...}')
            self._put(held, path, name, part, said)
        return held


def type_of(key: str) -> str:
    """The type that a value's JSON name says: string of valueString; Resource of resource."""
    tail = key.removeprefix("value")
    if key == "resource":
        return "Resource"
    lower = tail[:1].lower() + tail[1:]
    return lower if definitions().kind(lower) == "primitive-type" else tail


def is_primitive(type_name: str) -> bool:
    return definitions().kind(type_name) == "primitive-type"


def takes(element: Element, type_name: str) -> bool:
    """Whether an element takes a type. Outside choices any primitive of the same kind of JSON will do."""
    if type_name in element.types:
        return True
    if element.path.endswith("[x]"):
        return False
    return is_primitive(type_name) and any(
        is_primitive(t) and json_kind(t) == json_kind(type_name) for t in element.types
    )


def json_kind(type_name: str) -> str:
    system = SYSTEM.get(type_name, "")
    return system if system in ("Boolean", "Integer", "Decimal") else "text"


def aligned(held: dict[str, Any], key: str) -> tuple[list[Any], list[Any]]:
    """The values of a list and their twins, as many of each, with null where nothing is."""
    values, twins = (each if isinstance(each, list) else [] for each in (held.get(key), held.get(f"_{key}")))
    most = max(len(values), len(twins))
    return values + [None] * (most - len(values)), twins + [None] * (most - len(twins))


def store(held: dict[str, Any], key: str, values: list[Any], twins: list[Any]) -> None:
    """Set a list and its twins; a list that holds nothing is left out."""
    for name, listed in ((key, values), (f"_{key}", twins)):
        if any(each is not None for each in listed):
            held[name] = listed
        else:
            held.pop(name, None)


OPERATIONS: Mapping[str, Callable[[Work], None]] = {
    "add": Work.add,
    "insert": Work.insert,
    "delete": Work.delete,
    "replace": Work.replace,
    "move": Work.move,
}
