"""Read the rules one by one, in plain Python: slow, obvious, and the judge of every compiled engine.

Lineage is made of the same steps, with every value marked as it is written; see lineage.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, assert_never

from fhir_facade.contracts import Record, Resource
from fhir_facade.mapping.codecs import (
    Unusable,
    coded_value,
    custom_json,
    holds,
    holds_data,
    identifier_json,
    primitive,
)  # fmt: skip
from fhir_facade.mapping.forward import RECORD, Absence, Hidden, Hiding, forward, hiding
from fhir_facade.mapping.ir import (
    Coded,
    Condition,
    Constant,
    Copy,
    Custom,
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

Mark = Callable[[Rule, "Sight", Any], Any]
"""What is written for the value that a rule gives: the value itself, or the same shape with more known of it."""


def unmarked(rule: Rule, sight: Sight, value: Any) -> Any:
    """The value itself."""
    return value


@dataclass(frozen=True, slots=True)
class Sight:
    """What a rule can see: the record or list item, the record around it; where issues go, what guards may hide.

    `place` is the item's place in the record (`helsepersonell[2]`), "" for the record itself.
    """

    record: Record
    around: Record
    issues: list[Issue]
    hiding: Hiding
    mark: Mark = unmarked
    place: str = ""

    def get(self, field: str) -> Any:
        return self.around.get(field[1:]) if field.startswith("^") else self.record.get(field)


def interpret(mapping: MappingRules, record: Record, issues: list[Issue]) -> Resource:
    """Return the resource; what could not be written is added to `issues`."""
    resource: Resource = {"resourceType": mapping.resource_type}
    steps(mapping, record, resource, issues)
    return resource


def steps(
    mapping: MappingRules, record: Record, resource: Resource, issues: list[Issue], mark: Mark = unmarked
) -> None:
    """Fill the resource rule by rule; what each of them writes is marked."""
    rules = forward(mapping.rules, mapping.resource_type)
    sight = Sight(record, record, issues, hiding(rules), mark)
    tell_hidden(sight.hiding[RECORD], sight)
    fill(rules, sight, resource, root=True)


def tell_hidden(fields: tuple[Hidden, ...], sight: Sight) -> None:
    """Raise an issue for each value that no row shows, because of guards."""
    for hidden in fields:
        value = sight.get(hidden.field)
        there = bool(value) if hidden.many else value is not None
        if there and not any(all(holds_in(sight, condition) for condition in guard) for guard in hidden.guards):
            sight.issues.append(hidden.issue)


def fill(rules: tuple[Rule, ...], sight: Sight, target: dict[str, Any], *, root: bool) -> None:
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
            apply(rule, sight, target, places)
    for rule in later:
        parent = rule.path[-2].name if len(rule.path) > 1 else ""
        if holds_data(parent_of(target, rule.path, places), parent):
            apply(rule, sight, target, places)
    prune(target)


def apply(rule: Rule, sight: Sight, target: dict[str, Any], places: Places) -> None:
    """Write what one rule says into `target`, if its guards hold."""
    if not all(holds_in(sight, condition) for condition in rule.when):
        return
    if isinstance(rule, Each):
        apply_each(rule, sight, target, places)
        return
    value, extra = value_of(rule, sight)
    if value is not None:
        put(target, rule.path, sight.mark(rule, sight, value), places)
        if isinstance(rule, Absence):
            sight.issues.append(rule.issue)
    if extra is not None:
        last = rule.path[-1]
        put(target, (*rule.path[:-1], replace(last, name=f"_{last.name}")), sight.mark(rule, sight, extra), places)


def apply_each(rule: Each, sight: Sight, target: dict[str, Any], places: Places) -> None:
    items = list(enumerate(sight.record.get(rule.child) or ()))
    items = [(at, item) for at, item in items if all(holds(test, item) for test in rule.keep)]
    for at, item in items[:1] if rule.first else items:
        inner = Sight(item, sight.record, sight.issues, sight.hiding, sight.mark, f"{rule.child}[{at}]")
        tell_hidden(sight.hiding.get(id(rule), ()), inner)
        leaf = rule.rules[0] if rule.rules and not rule.rules[0].path else None
        if leaf is not None:
            value, _ = value_of(leaf, inner)
            if value is not None:
                put(target, rule.path, sight.mark(leaf, inner, value), places)
            continue
        part: dict[str, Any] = {}
        fill(rule.rules, inner, part, root=False)
        if holds_data(part):
            url = rule.path[-1].url
            put(target, rule.path, {"url": sight.mark(rule, inner, url), **part} if url else part, places)


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


def prune(value: dict[str, Any]) -> None:
    """Take away what was made and stayed empty."""
    for name, inner in list(value.items()):
        if isinstance(inner, list):
            inner[:] = [item for item in inner if holds_data(item, name)]
        for item in inner if isinstance(inner, list) else [inner]:
            if isinstance(item, dict):
                prune(item)
        if not holds_data(inner, name) or inner == []:
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
        case Custom():
            value = sight.get(rule.field)
            return (None if value is None else custom_json(rule, value, sight.issues)), None
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
