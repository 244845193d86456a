"""Prove a mapping before it is used: what can only be judged over whole files. All findings at once.

Faults of single rows (unknown path, field, datatype, reference target) are found while the file is read; see load.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from fhir_facade.definitions import definitions
from fhir_facade.mapping.findings import Finding
from fhir_facade.mapping.ir import (
    Coded, Condition, Constant, Copy, Derive, Each, Key, MappingRules, Rule,
    carries_nothing, fields_of,
)  # fmt: skip
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.mapping.source import Table


def check(mapping: MappingRules, kinds: Kinds, table: Table) -> list[Finding]:
    """Return what is wrong with one mapping as a whole."""
    kind = kinds[mapping.kind]
    return [
        *_coverage(mapping, kind, kinds, table),
        *_bindings(mapping.rules, mapping.resource_type),
        *_invertible(mapping.rules),
        *_twice(mapping.rules, mapping.resource_type, mapping.file),
        *_required(mapping, kind, kinds),
    ]


def every(rules: Iterable[Rule]) -> Iterator[Rule]:
    """All rules, those inside lists too."""
    for rule in rules:
        yield rule
        if isinstance(rule, Each):
            yield from every(rule.rules)


def finding(at: str, message: str) -> Finding:
    file, _, line = at.rpartition(":")
    return Finding(file, int(line), message)


def _coverage(mapping: MappingRules, kind: Kind, kinds: Kinds, table: Table) -> Iterator[Finding]:
    """Every field and every list goes somewhere, or is ignored with a reason; no ignore is stale."""
    used, listed = used_fields(mapping, kind)
    head = table.at("mapping")
    for name in kind.fields:
        if name not in used and name not in mapping.ignored:
            yield Finding(mapping.file, head, f"field '{name}' goes nowhere: map it, or ignore it with a reason")
    for name, child in kind.children.items():
        if name not in listed:
            if name not in mapping.ignored:
                yield Finding(mapping.file, head, f"list '{name}' goes nowhere: map it, or ignore it with a reason")
            continue
        fields = () if child.records else child.fields
        for inner in fields:
            dotted = f"{name}.{inner}"
            if inner not in listed[name] and inner not in child.key and dotted not in mapping.ignored:
                yield Finding(mapping.file, head, f"field '{dotted}' goes nowhere: map it, or ignore it with a reason")
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
                assert bound is not None
                name = bound.value_set.rsplit("/", 1)[-1]
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
        a.field == b.field and a.values and b.values and not set(a.values) & set(b.values) for a in one for b in other
    )


def _required(mapping: MappingRules, kind: Kind, kinds: Kinds) -> Iterator[Finding]:
    """Elements that R4 requires are guaranteed, at the root and in every object that rules make."""

    def sure(rule: Rule, fields: dict[str, bool]) -> bool:
        if rule.when:
            return False
        match rule:
            case Constant() | Key():
                return True
            case Derive():
                return rule.otherwise is not None
            case Copy():
                return any(fields.get(name, False) for name in rule.fields)
            case Each():
                return False
            case _:
                return all(fields.get(name, False) for name in fields_of(rule)[:1])

    def made(rule: Rule, fields: dict[str, bool]) -> bool:
        """A constant deep in an object is written only beside data, so it guarantees nothing."""
        return sure(rule, fields) and not (len(rule.path) > 1 and carries_nothing(rule))

    def alone(own: list[Rule], rules: tuple[Rule, ...]) -> bool:
        """Whether the object exists only when the element does: nothing else in it carries data."""
        return all(rule in own or carries_nothing(rule) for rule in rules)

    def walk(
        rules: tuple[Rule, ...], where: str, fields: dict[str, bool], at: str, *, nested: bool = True
    ) -> Iterator[Finding]:
        by_name: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.path:
                by_name.setdefault(rule.path[0].name, []).append(rule)
        for name in definitions().children(where):
            element = definitions().element(f"{where}.{name}")
            if element is None or element.min < 1 or _is_choice_sibling(where, name, by_name) or name == "url":
                continue
            own = by_name.get(name, [])
            if not own:
                yield finding(at, f"required element {where}.{name} is made by no row")
            elif not any(made(rule, fields) for rule in own) and not (nested and alone(own, rules)):
                names = ", ".join(sorted({field for rule in own for field in fields_of(rule)})) or "a guard"
                yield finding(own[0].at, f"required element {where}.{name} may be missing: {names} can be absent")
        yield from inner(rules, where, fields)

    def inner(rules: tuple[Rule, ...], where: str, fields: dict[str, bool]) -> Iterator[Finding]:
        groups: dict[tuple[str, str], list[Rule]] = {}
        for rule in rules:
            if isinstance(rule, Each) and rule.rules and rule.rules[0].path and len(rule.path) == 1:
                child = kind.children.get(rule.child)
                item = kinds[child.records].fields if child and child.records else child.fields if child else {}
                known = {name: field.required == "always" for name, field in item.items()} | {"$key": True}
                yield from walk(rule.rules, f"{where}.{rule.path[0].name}", known, rule.at)
            elif len(rule.path) > 1:
                groups.setdefault((rule.path[0].name, rule.path[0].label), []).append(rule)
        for (name, _), group in groups.items():
            shorter = tuple(_shorten(rule) for rule in group)
            yield from walk(shorter, f"{where}.{name}", fields, group[0].at)

    fields = {name: field.required == "always" for name, field in kind.fields.items()} | {"$key": True}
    first = mapping.rules[0].at if mapping.rules else f"{mapping.file}:1"
    yield from walk(mapping.rules, mapping.resource_type, fields, first, nested=False)


def _is_choice_sibling(where: str, name: str, by_name: dict[str, list[Rule]]) -> bool:
    """Whether a required choice (value[x]) is made under another of its names."""
    element = definitions().element(f"{where}.{name}")
    if element is None or not element.path.endswith("[x]"):
        return False
    stem = element.path.rsplit(".", 1)[-1].removesuffix("[x]")
    chosen = [other for other in by_name if other.startswith(stem)]
    return name not in chosen and (bool(chosen) or not name.endswith("String"))


def _shorten(rule: Rule) -> Rule:
    return replace(rule, path=rule.path[1:])
