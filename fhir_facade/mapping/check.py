"""Prove a mapping before it is used: what can only be judged over whole files. All findings at once.

Faults of single rows (unknown path, field, datatype, reference target) are found while the file is read; see load.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fhir_facade.definitions import definitions
from fhir_facade.mapping.findings import Finding, finding
from fhir_facade.mapping.ir import (
    Coded,
    Condition,
    Constant,
    Derive,
    Each,
    Key,
    MappingRules,
    Rule,
    fields_of,
)
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.mapping.required import required
from fhir_facade.mapping.source import Table


def check(mapping: MappingRules, kinds: Kinds, table: Table) -> list[Finding]:
    """Return what is wrong with one mapping as a whole."""
    kind = kinds[mapping.kind]
    return [
        *_coverage(mapping, kind, kinds, table),
        *_bindings(mapping.rules, mapping.resource_type),
        *_invertible(mapping.rules),
        *_twice(mapping.rules, mapping.resource_type, mapping.file),
        *required(mapping, kind, kinds),
    ]


def every(rules: Iterable[Rule]) -> Iterator[Rule]:
    """All rules, those inside lists too."""
    for rule in rules:
        yield rule
        if isinstance(rule, Each):
            yield from every(rule.rules)


def _coverage(mapping: MappingRules, kind: Kind, kinds: Kinds, table: Table) -> Iterator[Finding]:
    """Every field and every list goes somewhere, or is ignored with a reason; no ignore is stale."""
    used, listed = used_fields(mapping, kind)
    head = table.at("mapping")
    for name in kind.fields:
        if name not in used and name not in mapping.ignored:
            yield Finding(
                mapping.file, head, f"field '{name}' goes nowhere: map it, or ignore it with a reason"
            )
    for name, child in kind.children.items():
        if name not in listed:
            if name not in mapping.ignored:
                yield Finding(
                    mapping.file, head, f"list '{name}' goes nowhere: map it, or ignore it with a reason"
                )
            continue
        fields = () if child.records else child.fields
        for inner in fields:
            dotted = f"{name}.{inner}"
            if inner not in listed[name] and inner not in child.key and dotted not in mapping.ignored:
                yield Finding(
                    mapping.file, head, f"field '{dotted}' goes nowhere: map it, or ignore it with a reason"
                )
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
        if outer not in kind.fields and (child is None or (inner and inner not in child.fields)):
            yield Finding(mapping.file, line, f"ignored field '{name}' does not exist in {kind.name}")
        elif name in used or name in listed or (inner and inner in listed.get(outer, ())):
            yield Finding(mapping.file, line, f"'{name}' is mapped, so it must not stand under ignore")


def used_fields(mapping: MappingRules, kind: Kind) -> tuple[set[str], dict[str, set[str]]]:
    """The fields that rules read, and for each list of the record the fields of its items."""
    used: set[str] = set()
    listed: dict[str, set[str]] = {}
    for rule in mapping.rules:
        if isinstance(rule, Each):
            inside = listed.setdefault(rule.child, set())
            for inner in every(rule.rules):
                for name in fields_of(inner):
                    (used if name.startswith("^") else inside).add(name.removeprefix("^"))
            inside.update(condition.field for condition in rule.only)
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
        if codes is None:
            continue
        allowed = {code for _, code in codes}
        for at, code in _written(rule):
            if code not in allowed:
                name = bound.value_set.rsplit("/", 1)[-1] if bound else "?"
                yield finding(at, f"{rule.path_text}: '{code}' is not in required binding {name}")


def _written(rule: Rule) -> Iterator[tuple[str, str]]:
    """The codes that a rule may write, with where they stand."""
    values: list[object] = []
    match rule:
        case Constant():
            values = [rule.value]
        case Derive():
            values = [*(value for _, value in rule.choices), rule.otherwise]
        case Coded() if rule.code_map is not None:
            for target in rule.code_map.targets.values():
                yield rule.at, target.code
        case _:
            return
    for value in values:
        if isinstance(value, str):
            yield rule.at, value


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


def _twice(rules: tuple[Rule, ...], root: str, file: str) -> Iterator[Finding]:
    """Two rules for one single element are a fault unless their guards exclude each other."""
    seen: dict[str, Rule] = {}
    for rule in rules:
        if isinstance(rule, Each):
            yield from _twice(rule.rules, root, file)
        if not rule.path or rule.path[-1].many:
            continue
        place = "/".join(f"{step.name}[{step.label}]" for step in rule.path)
        if place in seen and not _exclusive(seen[place].when, rule.when):
            yield finding(rule.at, f"'{rule.path_text}' is already written at {seen[place].at}")
        seen.setdefault(place, rule)


def _exclusive(one: tuple[Condition, ...], other: tuple[Condition, ...]) -> bool:
    return any(
        a.field == b.field and a.values and b.values and not set(a.values) & set(b.values)
        for a in one
        for b in other
    )
