"""Prove a mapping before it is used: what can only be judged over whole files. All findings at once.

Faults of single rows (unknown path, field, datatype, reference target) are found while the file is read; see load.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from fhir_facade.definitions import definitions
from fhir_facade.mapping.check_back import check_back
from fhir_facade.mapping.check_bindings import check_bindings
from fhir_facade.mapping.findings import Finding, finding, nearest
from fhir_facade.mapping.forward import writing
from fhir_facade.mapping.ir import (
    Coded,
    Condition,
    Constant,
    Derive,
    Each,
    Key,
    MappingRules,
    Rule,
    declared_profiles,
    fields_of,
)
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.mapping.required import required, spoken_of
from fhir_facade.yaml_text import Table


def check(mapping: MappingRules, kinds: Kinds, table: Table, lost: Collection[str] = ()) -> list[Finding]:
    """Return what is wrong with one mapping as a whole.

    `lost` are the words of rows that were refused: what they may have been about is not reported as missing too.
    """
    kind = kinds[mapping.kind]
    return [
        *_no_id(mapping, table, lost),
        *_coverage(mapping, kind, kinds, table, lost),
        *check_back(mapping, kind, kinds, lost),
        *_bindings(writing(mapping.rules), mapping.resource_type),
        *check_bindings(mapping, kind, kinds),
        *_invertible(mapping.rules),
        *_twice(writing(mapping.rules), mapping.resource_type),
        *required(mapping, kind, kinds, lost),
    ]


def _no_id(mapping: MappingRules, table: Table, lost: Collection[str]) -> Iterator[Finding]:
    """A resource is read by its id, so one row makes it, whatever the guards."""
    if not any(isinstance(rule, Key) for rule in mapping.rules) and not spoken_of("id", lost):
        yield Finding(mapping.file, table.at("rules"), "no row makes the id: {epj: $key, fhir: id, as: id}")


def every(rules: Iterable[Rule]) -> Iterator[Rule]:
    """All rules, those inside lists too."""
    for rule in rules:
        yield rule
        if isinstance(rule, Each):
            yield from every(rule.rules)


def _coverage(
    mapping: MappingRules, kind: Kind, kinds: Kinds, table: Table, lost: Collection[str]
) -> Iterator[Finding]:
    """Every field and every list goes somewhere, or is ignored with a reason; no ignore is stale."""
    used, listed = used_fields(mapping, kind)
    unused = [("field", name) for name in kind.fields if name not in used]
    lost = {*lost, *(set(mapping.ignored) - set(kind.fields) - set(kind.children))}
    for name, child in kind.children.items():
        if name not in listed:
            unused.append(("list", name))
            continue
        for inner in () if child.records else child.fields:
            if inner not in listed[name] and inner not in child.key:
                unused.append(("field", f"{name}.{inner}"))
    for what, name in unused:
        if name not in mapping.ignored and not any(spoken_of(part, lost) for part in (name, name.split(".")[-1])):
            said = f"{what} '{name}' goes nowhere: map it, or ignore it with a reason"
            yield Finding(mapping.file, table.at("mapping"), said)
    yield from _stale(mapping, kind, used, listed, table)


def _stale(
    mapping: MappingRules, kind: Kind, used: set[str], listed: dict[str, set[str]], table: Table
) -> Iterator[Finding]:
    ignore = table.get("ignore", table)
    for name, why in mapping.ignored.items():
        line = ignore.at(name)
        outer, _, inner = name.partition(".")
        child = kind.children.get(outer)
        if not why.strip():
            yield Finding(mapping.file, line, f"'{name}' is ignored without a reason")
        known = child.fields if child and inner else {**kind.fields, **kind.children}
        if (inner or outer) not in known or (inner and child is None):
            near = nearest(inner or outer, known)
            yield Finding(mapping.file, line, f"ignored field '{name}' does not exist in {kind.name}{near}")
        elif name in used or name in listed or (inner and inner in listed.get(outer, ())):
            yield Finding(mapping.file, line, f"'{name}' is mapped, so it must not stand under ignore")


def used_fields(mapping: MappingRules, kind: Kind) -> tuple[set[str], dict[str, set[str]]]:
    """The fields that rules read, and for each list of the record the fields of its items.

    A field is not read by the guard of a row that only declares a profile.
    """
    used: set[str] = set()
    listed: dict[str, set[str]] = {}
    for rule in mapping.rules:
        if declared_profiles((rule,)):
            continue
        if isinstance(rule, Each):
            inside = listed.setdefault(rule.child, set())
            for inner in every(rule.rules):
                for name in fields_of(inner):
                    (used if name.startswith("^") else inside).add(name.removeprefix("^"))
            inside.update(condition.field for condition in rule.keep)
            inside.update([rule.order] if rule.order else [])
        if isinstance(rule, Key):
            used.update(kind.key)
        used.update(fields_of(rule))
    return used, listed


def _bindings(rules: Iterable[Rule], root: str) -> Iterator[Finding]:
    """Codes that a rule writes stand in the element's required binding; else a finding at the rule or the map."""
    for rule in rules:
        where = ".".join([root, *(step.name for step in rule.path)])
        if isinstance(rule, Each):
            yield from _bindings(rule.rules, where)
            continue
        element = definitions().element(where)
        bound = element.binding if element else None
        codes = definitions().codes(bound.value_set) if bound and bound.strength == "required" else None
        if codes is None or bound is None:
            continue
        plain = {code for _, code in codes}
        for system, code in _written(rule):
            if (system, code) not in codes if system else code not in plain:
                name, near = bound.value_set.rsplit("/", 1)[-1], nearest(code, plain)
                said = f"{rule.path_text or where}: '{code}' is not in required binding {name}{near}"
                yield finding(rule.at, said)


def _written(rule: Rule) -> Iterator[tuple[str, str]]:
    """The codes that a rule may write: (system, "" for a plain code, code)."""
    values: list[Any] = []
    match rule:
        case Constant():
            values = [rule.value]
        case Derive():
            values = [*(value for _, value in rule.choices), rule.otherwise]
        case Coded() if rule.code_map is not None:
            for target in rule.code_map.targets.values():
                yield "" if rule.shape == "code" else target.system, target.code
    for value in values:
        if isinstance(value, str):
            yield "", value
        elif isinstance(value, dict):
            for coding in value.get("coding", [value]):
                yield coding["system"], coding["code"]


def _invertible(rules: Iterable[Rule]) -> Iterator[Finding]:
    """A map with two codes for one target needs the original beside it, or a choice of where to go back."""
    for rule in every(rules):
        if isinstance(rule, Coded) and rule.code_map and not rule.original and not rule.code_map.invertible:
            code, owns = next(iter(rule.code_map.clashes.items()))
            yield finding(
                rule.at,
                f"code map {rule.code_map.name} is not invertible ({' and '.join(owns)} -> {code}): "
                "add 'original: beside' or a 'reverse' choice",
            )


def _twice(rules: tuple[Rule, ...], root: str) -> Iterator[Finding]:
    """Two rules for one single element are a fault unless their guards exclude each other.

    The forms of a choice are one element: a value is a Coding or a text, not both.
    """
    seen: dict[str, Rule] = {}
    for rule in rules:
        where = ".".join([root, *(step.name for step in rule.path)])
        if isinstance(rule, Each):
            yield from _twice(rule.rules, where)
        if not rule.path or rule.path[-1].many:
            continue
        element = definitions().element(where)
        last = element.path.rsplit(".", 1)[-1] if element and element.path.endswith("[x]") else rule.path[-1].name
        place = "/".join([*(f"{step.name}[{step.label}]" for step in rule.path[:-1]), last])
        if place in seen and not _exclusive(seen[place].when, rule.when):
            yield finding(rule.at, f"'{rule.path_text}' is already written at {seen[place].at}")
        seen.setdefault(place, rule)


def _exclusive(one: tuple[Condition, ...], other: tuple[Condition, ...]) -> bool:
    return any(
        a.field == b.field and a.values and b.values and not set(a.values) & set(b.values) for a in one for b in other
    )
