"""What the examples of a mapping must show between them: every field, branch, guard, list and code once.

A demand that no example meets is a finding at the row that makes it. coverage_values.py has those on single values,
coverage_inbound.py those on what comes from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from fhir_facade.contracts import Record, Resource
from fhir_facade.mapping.coverage_inbound import unsent
from fhir_facade.mapping.coverage_values import branches, codes_of, guards, numbers, rows_of_table
from fhir_facade.mapping.demand import Demand, Place, Scope, holds_in, items_of, named, reaches, value_in, words
from fhir_facade.mapping.findings import Finding, finding
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
    Refer,
    Rule,
)  # fmt: skip
from fhir_facade.mapping.kinds import Kind, Kinds

MANY = 2  # items that a list needs to show that each becomes an element of its own


def uncovered(
    mapping: MappingRules,
    kind: Kind,
    kinds: Kinds,
    records: Sequence[Record],
    sent: Sequence[tuple[Resource, Record]] = (),
) -> list[Finding]:
    """The demands that no record meets; records are complete (see Kinds.complete).

    `sent` are the examples from outside: what was sent, and what is stored then.
    """
    missing = [demand for demand in demands(mapping, kind, kinds) if not any(map(demand.met, records))]
    outside = [finding(demand.rule.at, demand.said) for demand in unsent(mapping, sent)]
    return [*(finding(demand.at, demand.said) for demand in missing), *outside]


def demands(mapping: MappingRules, kind: Kind, kinds: Kinds) -> list[Demand]:
    """All demands of a mapping, in file order, each once."""
    own = {kind.version, kind.changed}  # what the store keeps stands in no example
    rules = [rule for rule in mapping.rules if not (isinstance(rule, Copy) and own & set(rule.fields))]
    found: dict[str, Demand] = {}
    for demand in _of_rules(rules, Place(kind.fields, kind.fields), kind, kinds):
        found.setdefault(demand.said, demand)
    return list(found.values())


def _of_rules(rules: Iterable[Rule], place: Place, kind: Kind, kinds: Kinds) -> Iterator[Demand]:
    rules = list(rules)
    yield from numbers(rules, place)
    for rule in rules:
        yield from _guarded(rule, place)
        match rule:
            case Each():
                yield from _listed(rule)
                child = kind.children[rule.child]
                fields = kinds[child.records].fields if child.records else child.fields
                inner = Place(fields, kind.fields, rule)
                whole = replace(inner, each=replace(rule, keep=(), first=False))
                yield from guards(rule, rule.keep, whole, "'only'")
                yield from _of_rules(rule.rules, inner, kind, kinds)
            case Derive():
                yield from _branches(rule, place)
                yield from branches(rule, place)
            case Copy():
                yield from _first_of(rule, place)
            case Coded():
                yield from _filled(rule, place, (rule.field, rule.system_field, rule.version_field))
                yield from _unmapped(rule, place)
                yield from codes_of(rule, place)
                yield from rows_of_table(rule, place)
            case Identify():
                yield from _filled(rule, place, (rule.field, rule.system_field, rule.assigner_field))
                yield from rows_of_table(rule, place)
            case Refer() | Logical() | Custom():
                yield from _filled(rule, place, (rule.field,))
            case Key() | Constant():
                pass


def _guarded(rule: Rule, place: Place) -> Iterator[Demand]:
    """Both sides of a guard."""
    if not rule.when:
        return
    yield from _two_sides(rule.at, place, rule.when, "the guard", lambda record: place.scopes(record))
    yield from guards(rule, rule.when, place, "the guard")


def _two_sides(
    at: str, place: Place, tests: tuple[Condition, ...], what: str, scopes: Callable[[Record], Iterable[Scope]]
) -> Iterator[Demand]:
    fields, values = tuple(test.field for test in tests), tuple(value for test in tests for value in test.values)
    said = f"{what} {{{words(tests)}}}{f' of {place.child}' if place.child else ''}"

    def is_true(record: Record) -> bool:
        return any(all(holds_in(scope, test) for test in tests) for scope in scopes(record))

    def is_false(record: Record) -> bool:
        return any(not all(holds_in(scope, test) for test in tests) for scope in scopes(record))

    word = "-".join(fields)
    yield Demand(at, f"no example in which {said} holds", f"med-{word}", place.child, fields, values, is_true)
    if not all(map(place.is_certain, tests)):
        yield Demand(at, f"no example in which {said} does not hold", f"uten-{word}", place.child, fields, (), is_false)


def _listed(rule: Each) -> Iterator[Demand]:
    """A list with several items; with `only`, an item that is shown and one that is not."""
    name = rule.child
    yield Demand(
        rule.at, f"no example has {MANY} items in the list '{name}'", f"flere-{name}", name, (), (),
        lambda record: len(items_of(record, name)) >= MANY,
    )  # fmt: skip
    if rule.keep:
        whole = Place({}, {}, replace(rule, keep=(), first=False))
        yield from _two_sides(rule.at, whole, rule.keep, "'only'", lambda record: whole.scopes(record))


def _branches(rule: Derive, place: Place) -> Iterator[Demand]:
    """Each value that a derived constant may take, the last one too; a run of codes of one field is one branch."""
    runs: list[list[int]] = []
    for number, (test, value) in enumerate(rule.choices):
        last = rule.choices[runs[-1][-1]] if runs else None
        if last is not None and (last[0].field, last[1]) == (test.field, value) and test.values:
            runs[-1].append(number)
        else:
            runs.append([number])
        if place.is_certain(test):
            break
    else:
        runs.append([len(rule.choices)])
    for count, run in enumerate(runs, 1):
        yield _branch(rule, place, count, run)


def _branch(rule: Derive, place: Place, count: int, run: list[int]) -> Demand:
    """Branch number `count`, which is made of the choices in `run`; the one behind the last is `otherwise`."""
    tests = [test for test, _ in rule.choices]

    def met(record: Record) -> bool:
        for scope in place.scopes(record):
            taken = next((index for index, test in enumerate(tests) if holds_in(scope, test)), len(tests))
            if reaches(rule, scope) and taken in run:
                return True
        return False

    shown = _shown(rule.choices[run[0]][1] if run[0] < len(tests) else rule.otherwise)
    name = rule.path[-1].name if rule.path else place.child
    fields = tuple(dict.fromkeys(test.field for test in tests[: run[-1] + 1]))
    values = tuple(value for test in tests[run[0] : run[-1] + 1] for value in test.values)
    said = f"no example takes branch {count} ({shown or 'nothing'}) of {rule.path_text or place.child}"
    return Demand(rule.at, said, f"{name}-{shown or 'ingen'}", place.child, fields, values, met)


def _shown(value: Any) -> str:
    """A constant in a few letters: itself, or the code of a coding or concept."""
    if isinstance(value, dict):
        return str(value.get("coding", [value])[0].get("code", ""))
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _first_of(rule: Copy, place: Place) -> Iterator[Demand]:
    """Each of the fields of a plain value as the one that is used."""
    for number, name in enumerate(rule.fields):

        def met(record: Record, number: int = number, name: str = name) -> bool:
            return any(
                reaches(rule, scope)
                and value_in(scope, name) is not None
                and all(value_in(scope, earlier) is None for earlier in rule.fields[:number])
                for scope in place.scopes(record)
            )

        instead = f" without {' and '.join(rule.fields[:number])}" if number else ""
        said = f"no example fills '{named(place, name)}'{instead}"
        yield Demand(rule.at, said, f"med-{name.removeprefix('^')}", place.child, rule.fields[: number + 1], (), met)
        if place.is_always_there(name):
            return


def _filled(rule: Rule, place: Place, names: Iterable[str]) -> Iterator[Demand]:
    for name in names:
        if not name or name.startswith("$"):
            continue

        def met(record: Record, name: str = name) -> bool:
            return any(reaches(rule, scope) and value_in(scope, name) is not None for scope in place.scopes(record))

        said = f"no example fills '{named(place, name)}'"
        yield Demand(rule.at, said, f"med-{name.removeprefix('^')}", place.child, (name,), (), met)


def _unmapped(rule: Coded, place: Place) -> Iterator[Demand]:
    """A code that a code map lacks, unless a guard keeps all such codes away."""
    code_map = rule.code_map
    if code_map is None:
        return
    guards = [*rule.when, *(place.each.keep if place.each else ())]
    if any(test.field == rule.field and test.values and set(test.values) <= set(code_map.targets) for test in guards):
        return

    def met(record: Record) -> bool:
        values = [value_in(scope, rule.field) for scope in place.scopes(record) if reaches(rule, scope)]
        return any(value is not None and value not in code_map.targets for value in values)

    lacks = f"a code outside code map {code_map.name} (unmapped: {code_map.unmapped})"
    said = f"no example of '{named(place, rule.field)}' with {lacks}"
    yield Demand(rule.at, said, "ukjent-kode", place.child, (rule.field,), ("ZZ9",), met)
