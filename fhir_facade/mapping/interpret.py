"""Read the rules one by one, in plain Python: slow, obvious, and the judge of every compiled engine.

It also knows where each element came from, which is what `explain` and lineage show.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, assert_never

from fhir_facade.contracts import Record, Resource
from fhir_facade.mapping.codecs import Unusable, coded_value, holds, identifier_json, primitive
from fhir_facade.mapping.ir import (
    Coded,
    Condition,
    Constant,
    Copy,
    Derive,
    Each,
    Identify,
    Key,
    Logical,
    MappingRules,
    Path,
    Refer,
    Rule,
    carries_nothing,
)  # fmt: skip
from fhir_facade.outcome import Issue


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where one element came from: FHIR path, record field, the record's value, mapping file:line, what was done."""

    path: str
    field: str
    value: Any
    at: str
    note: str


@dataclass(frozen=True, slots=True)
class Sight:
    """What a rule can see: the record or list item, the record around it, and where issues go."""

    record: Record
    around: Record
    issues: list[Issue]

    def get(self, field: str) -> Any:
        return self.around.get(field[1:]) if field.startswith("^") else self.record.get(field)


def interpret(mapping: MappingRules, record: Record, issues: list[Issue]) -> Resource:
    """Return the resource; what could not be written is added to `issues`."""
    resource: Resource = {"resourceType": mapping.resource_type}
    for _ in steps(mapping, record, resource, issues):
        pass
    return resource


def explain(mapping: MappingRules, record: Record) -> list[Lineage]:
    """Return where each element came from."""
    return list(steps(mapping, record, {"resourceType": mapping.resource_type}, []))


def steps(mapping: MappingRules, record: Record, resource: Resource, issues: list[Issue]) -> Iterator[Lineage]:
    """Fill the resource rule by rule, yielding the origin of every element as it is written."""
    yield from fill(mapping.rules, Sight(record, record, issues), resource, mapping.resource_type, root=True)


def fill(rules: tuple[Rule, ...], sight: Sight, target: dict[str, Any], at: str, *, root: bool) -> Iterator[Lineage]:
    """Apply rules to one object: first those that carry data, then constants where there is something to complete.

    At the root every rule is applied in file order, for the resource is there in any case.
    """
    places: Places = {}
    later = []
    for rule in rules:
        if carries_nothing(rule) and not (root and len(rule.path) == 1):
            later.append(rule)
        else:
            parent_of(target, rule.path, places)
            yield from apply(rule, sight, target, places, at)
    for rule in later:
        if holds_data(parent_of(target, rule.path, places)):
            yield from apply(rule, sight, target, places, at)
    prune(target)


def apply(rule: Rule, sight: Sight, target: dict[str, Any], places: Places, at: str) -> Iterator[Lineage]:
    """Write what one rule says into `target`, if its guards hold."""
    if not all(holds_in(sight, condition) for condition in rule.when):
        return
    if isinstance(rule, Each):
        yield from apply_each(rule, sight, target, places, at)
        return
    value, extra = value_of(rule, sight)
    path, field = f"{at}.{rule.path_text}", field_of(rule)
    if value is not None:
        put(target, rule.path, value, places)
        yield Lineage(path, field, sight.get(field), rule.at, type(rule).__name__)
    if extra is not None:
        last = rule.path[-1]
        put(target, (*rule.path[:-1], replace(last, name=f"_{last.name}")), extra, places)
        yield Lineage(path, field, sight.get(field), rule.at, "original code in an extension")


def apply_each(rule: Each, sight: Sight, target: dict[str, Any], places: Places, at: str) -> Iterator[Lineage]:
    here = f"{at}.{rule.path_text}"
    items = [item for item in sight.record.get(rule.child) or () if all(holds(test, item) for test in rule.only)]
    for item in items[:1] if rule.first else items:
        inner = Sight(item, sight.record, sight.issues)
        leaf = rule.rules[0] if rule.rules and not rule.rules[0].path else None
        if leaf is not None:
            value, _ = value_of(leaf, inner)
            if value is not None:
                put(target, rule.path, value, places)
                field = field_of(leaf)
                yield Lineage(here, field, inner.get(field), leaf.at, type(leaf).__name__)
            continue
        part: dict[str, Any] = {}
        found = list(fill(rule.rules, inner, part, here, root=False))
        if holds_data(part):
            url = rule.path[-1].url
            put(target, rule.path, {"url": url, **part} if url else part, places)
            yield from found


Places = dict[tuple[int, str], dict[str, Any]]
"""Which item of a repeating element a label stands for: (identity of the parent, name and label) → item."""


def parent_of(target: dict[str, Any], path: Path, places: Places) -> dict[str, Any]:
    """The object that the last step of a path belongs to; made, still empty, where it is not there yet."""
    for step in path[:-1]:
        if not step.many:
            target = target.setdefault(step.name, {})
            continue
        known = (id(target), f"{step.name}[{step.label}]")
        if known not in places:
            places[known] = {"url": step.url} if step.url else {}
            target.setdefault(step.name, []).append(places[known])
        target = places[known]
    return target


def put(target: dict[str, Any], path: Path, value: Any, places: Places) -> None:
    """Set a value at a path; a repeating last element gets one item more."""
    parent, last = parent_of(target, path, places), path[-1]
    if last.many:
        parent.setdefault(last.name, []).append(value)
    else:
        parent[last.name] = value


def holds_data(value: Any) -> bool:
    """Whether anything but an extension's url stands in a value."""
    if isinstance(value, dict):
        return any(holds_data(inner) for name, inner in value.items() if name != "url")
    return any(map(holds_data, value)) if isinstance(value, list) else True


def prune(value: dict[str, Any]) -> None:
    """Take away what was made and stayed empty."""
    for name, inner in list(value.items()):
        if isinstance(inner, list):
            inner[:] = [item for item in inner if holds_data(item)]
        for item in inner if isinstance(inner, list) else [inner]:
            if isinstance(item, dict):
                prune(item)
        if not holds_data(inner) or inner == []:
            del value[name]


def value_of(rule: Rule, sight: Sight) -> tuple[Any, dict[str, Any] | None]:
    """The JSON value that a rule gives, and the extensions of a primitive; None when there is nothing to write."""
    match rule:
        case Constant():
            return rule.value, None
        case Derive():
            return next((value for test, value in rule.choices if holds_in(sight, test)), rule.otherwise), None
        case Key():
            key = sight.get("$key")
            return (f"{rule.prefix}-{key}" if rule.prefix else key), None
        case Refer():
            key = sight.get("$" + rule.link)
            prefix = f"{rule.prefix}-" if rule.prefix else ""
            return (None if key is None else {"reference": f"{rule.to}/{prefix}{key}"}), None
        case Copy():
            return copied(rule, sight), None
        case Coded() | Identify() | Logical():
            value = sight.get(rule.field)
            return (None, None) if value is None else valued(rule, value, sight)
        case Each():
            raise AssertionError("lists are applied, not valued")
        case _:
            assert_never(rule)


def copied(rule: Copy, sight: Sight) -> Any:
    value = next((found for name in rule.fields if (found := sight.get(name)) is not None), None)
    if value is None:
        return None
    try:
        plain = primitive(rule.codec, rule.datatype, value)
        return f"{plain}{rule.suffix}" if rule.suffix else plain
    except Unusable as reason:
        sight.issues.append(
            Issue("value-not-usable", "", {"field": rule.fields[0], "reason": str(reason), "at": rule.at})
        )
        return None


def valued(rule: Coded | Identify | Logical, value: Any, sight: Sight) -> tuple[Any, dict[str, Any] | None]:
    match rule:
        case Coded():
            version = sight.get(rule.version_field) if rule.version_field else None
            chosen = sight.get(rule.system_field) if rule.system_field else None
            return coded_value(rule, value, chosen, version, sight.issues)
        case Identify():
            chosen = sight.get(rule.system_field) if rule.system_field else None
            assigner = sight.get(rule.assigner_field) if rule.assigner_field else None
            return identifier_json(rule, value, chosen, assigner), None
        case Logical():
            return {"type": rule.to, "identifier": {"system": rule.system.uri, "value": value}}, None
        case _:
            assert_never(rule)


def holds_in(sight: Sight, condition: Condition) -> bool:
    if condition.field.startswith("^"):
        return holds(replace(condition, field=condition.field[1:]), sight.around)
    return holds(condition, sight.record)


def field_of(rule: Rule) -> str:
    match rule:
        case Copy():
            return rule.fields[0]
        case Coded() | Identify() | Logical() | Refer():
            return rule.field
        case Key():
            return "$key"
        case Derive():
            return rule.choices[0][0].field if rule.choices else ""
        case Constant() | Each():
            return ""
        case _:
            assert_never(rule)
