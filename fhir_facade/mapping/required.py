"""Prove that every element R4 requires is there, whatever the record: at the root and in every object rules make."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from fhir_facade.definitions import definitions
from fhir_facade.mapping.findings import Finding, finding, nearest
from fhir_facade.mapping.forward import writing
from fhir_facade.mapping.ir import (
    Constant,
    Copy,
    Derive,
    Each,
    Key,
    MappingRules,
    Rule,
    carries_nothing,
    fields_of,
)  # fmt: skip
from fhir_facade.mapping.kinds import Field, Kind, Kinds


def required(
    mapping: MappingRules,
    kind: Kind,
    kinds: Kinds,
    lost: Collection[str] = (),
    demands: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """Findings for required elements that no row makes, or that only rows with absent values make.

    `lost` are the words of rows that were refused: an element that they speak of is not missed as well. `demands` are
    the paths that a profile requires, each with what a finding says behind it; then those alone are judged.
    """
    first = mapping.rules[0].at if mapping.rules else f"{mapping.file}:1"
    root = Object(
        writing(mapping.rules), mapping.resource_type, _always(kind.fields), first, lost, demands, nested=False
    )
    yield from _walk(root, kind, kinds)


@dataclass(frozen=True, slots=True)
class Object:
    """The rules of one object, its FHIR path, which fields its record always has, and where it begins."""

    rules: tuple[Rule, ...]
    where: str
    always: Mapping[str, bool]
    at: str
    lost: Collection[str]
    demands: Mapping[str, str] | None
    nested: bool = True

    def asks_for(self, name: str) -> bool:
        """Whether a child must be there: R4 says so, or the profile where one is judged."""
        element = definitions().element(f"{self.where}.{name}")
        if element is None or name == "url":
            return False
        return element.min > 0 if self.demands is None else self._demand(name) is not None

    def _demand(self, name: str) -> str | None:
        element = definitions().element(f"{self.where}.{name}")
        last = element.path.rsplit(".", 1)[-1] if element else name
        demands = self.demands or {}
        return demands.get(f"{self.where}.{name}", demands.get(f"{self.where}.{last}" if last.endswith("[x]") else ""))

    def named(self, name: str) -> str:
        """The path of a child as R4 defines it: occurrence[x], whatever its type."""
        element = definitions().element(f"{self.where}.{name}")
        return element.path if element and element.path.endswith("[x]") else f"{self.where}.{name}"

    def why(self, name: str) -> str:
        """What a finding says at its end: who asks."""
        return self._demand(name) or ""


def spoken_of(name: str, words: Collection[str]) -> bool:
    """Whether a name is among words, or so like one that it may be meant."""
    return name in words or bool(nearest(name, words))


def _always(fields: Mapping[str, Field]) -> dict[str, bool]:
    return {name: field.required == "always" for name, field in fields.items()} | {"$key": True}


def _walk(here: Object, kind: Kind, kinds: Kinds) -> Iterator[Finding]:
    by_name: dict[str, list[Rule]] = {}
    for rule in here.rules:
        if rule.path:
            by_name.setdefault(rule.path[0].name, []).append(rule)
    for name in definitions().children(here.where):
        if not here.asks_for(name) or _other_choice(here.where, name, by_name):
            continue
        own = by_name.get(name, [])
        if spoken_of(name, here.lost):
            continue
        if not own:
            yield finding(here.at, f"required element {here.named(name)} is made by no row{here.why(name)}")
        elif not any(_made(rule, here.always) for rule in own) and not (here.nested and _alone(own, here.rules)):
            names = ", ".join(sorted({field for rule in own for field in fields_of(rule)})) or "a guard"
            said = f"required element {here.where}.{name} may be missing: {names} can be absent{here.why(name)}"
            yield finding(own[0].at, said)
    for inner in _inside(here, kind, kinds):
        yield from _walk(inner, kind, kinds)


def _inside(here: Object, kind: Kind, kinds: Kinds) -> Iterator[Object]:
    """The objects that the rules of this one make: list items, and what stands behind longer paths."""
    groups: dict[tuple[str, str], list[Rule]] = {}
    for rule in here.rules:
        if isinstance(rule, Each) and rule.rules and rule.rules[0].path and len(rule.path) == 1:
            child = kind.children.get(rule.child)
            item = kinds[child.records].fields if child and child.records else child.fields if child else {}
            yield Object(
                rule.rules, f"{here.where}.{rule.path[0].name}", _always(item), rule.at, here.lost, here.demands
            )
        elif len(rule.path) > 1:
            groups.setdefault((rule.path[0].name, rule.path[0].label), []).append(rule)
    for (name, _), group in groups.items():
        shorter = tuple(replace(rule, path=rule.path[1:]) for rule in group)
        yield Object(shorter, f"{here.where}.{name}", here.always, group[0].at, here.lost, here.demands)


def _sure(rule: Rule, always: Mapping[str, bool]) -> bool:
    """Whether a rule writes something for every record."""
    if rule.when or rule.absent:
        return not rule.when
    match rule:
        case Constant() | Key():
            return True
        case Derive():
            return rule.otherwise is not None
        case Copy():
            return any(always.get(name, False) for name in rule.fields)
        case Each():
            return False
        case _:
            return all(always.get(name, False) for name in fields_of(rule)[:1])


def _made(rule: Rule, always: Mapping[str, bool]) -> bool:
    """A constant deep in an object, or a reason for absence, is written only beside data: it guarantees nothing."""
    if len(rule.path) < 2:
        return _sure(rule, always)
    return not carries_nothing(rule) and _sure(replace(rule, absent=""), always)


def guaranteed(rule: Rule, fields: Mapping[str, Field]) -> bool:
    """Whether a row of the record itself writes something for every record."""
    return _made(rule, _always(fields))


def _alone(own: list[Rule], rules: tuple[Rule, ...]) -> bool:
    """Whether the object exists only when the element does: nothing else in it carries data."""
    return all(rule in own or carries_nothing(rule) for rule in rules)


def _other_choice(where: str, name: str, by_name: Mapping[str, list[Rule]]) -> bool:
    """Whether a required choice (value[x]) is made under another of its names."""
    element = definitions().element(f"{where}.{name}")
    if element is None or not element.path.endswith("[x]"):
        return False
    stem = element.path.rsplit(".", 1)[-1].removesuffix("[x]")
    chosen = [other for other in by_name if other.startswith(stem)]
    return name not in chosen and (bool(chosen) or not name.endswith("String"))
