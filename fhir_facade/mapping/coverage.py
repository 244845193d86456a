"""What the examples of a mapping must show between them: every field, branch, guard, list and unknown code once.

A demand that no example meets is a finding at the row that makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_facade.contracts import Record
from fhir_facade.mapping.codecs import holds
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
from fhir_facade.mapping.kinds import Field, Kind, Kinds

MANY = 2  # items that a list needs to show that each becomes an element of its own

Scope = tuple[Record, Record]
"""What a row sees: the record or list item, and the record around it."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Something that at least one example must show; `met` judges a complete record.

    `child` and `fields` say on what it depends, for those who make examples: the list ("" the record itself) and the
    fields; `values` are values that may help, and `word` is a name for such an example.
    """

    at: str
    said: str
    word: str
    child: str
    fields: tuple[str, ...]
    values: tuple[str, ...]
    met: Callable[[Record], bool]


@dataclass(frozen=True)
class Place:
    """Where rows stand: the whole record, or a list of it with the items that the list row shows."""

    fields: Mapping[str, Field]
    outer: Mapping[str, Field]
    each: Each | None = None

    @property
    def child(self) -> str:
        return self.each.child if self.each else ""

    def scopes(self, record: Record) -> Iterator[Scope]:
        """What the rows see of a record, once for each item."""
        if self.each is None:
            yield record, record
        elif all(holds(test, record) for test in self.each.when):
            items = [item for item in items_of(record, self.child) if all(holds(test, item) for test in self.each.keep)]
            yield from ((item, record) for item in (items[:1] if self.each.first else items))

    def is_always_there(self, name: str) -> bool:
        known = self.outer if name.startswith("^") else self.fields
        field = known.get(name.removeprefix("^"))
        return field is not None and field.required == "always"

    def is_certain(self, test: Condition) -> bool:
        """Whether no record can fail a test: that a field is there which always is."""
        return not test.values and self.is_always_there(test.field)


def uncovered(mapping: MappingRules, kind: Kind, kinds: Kinds, records: Sequence[Record]) -> list[Finding]:
    """The demands that no record meets; records are complete (see Kinds.complete)."""
    return [
        finding(demand.at, demand.said)
        for demand in demands(mapping, kind, kinds)
        if not any(map(demand.met, records))
    ]  # fmt: skip


def demands(mapping: MappingRules, kind: Kind, kinds: Kinds) -> list[Demand]:
    """All demands of a mapping, in file order, each once."""
    own = {kind.version, kind.changed}  # what the store keeps stands in no example
    rules = [rule for rule in mapping.rules if not (isinstance(rule, Copy) and own & set(rule.fields))]
    found: dict[str, Demand] = {}
    for demand in _of_rules(rules, Place(kind.fields, kind.fields), kind, kinds):
        found.setdefault(demand.said, demand)
    return list(found.values())


def items_of(record: Record, child: str) -> list[Record]:
    """The items of a list of a record."""
    return list(record.get(child) or ())


def value_in(scope: Scope, field: str) -> Any:
    """The value of a field as a row sees it; "^field" is the record around."""
    return scope[1].get(field[1:]) if field.startswith("^") else scope[0].get(field)


def holds_in(scope: Scope, test: Condition) -> bool:
    """Whether a condition of a row is true."""
    if test.field.startswith("^"):
        return holds(replace(test, field=test.field[1:]), scope[1])
    return holds(test, scope[0])


def _of_rules(rules: Iterable[Rule], place: Place, kind: Kind, kinds: Kinds) -> Iterator[Demand]:
    for rule in rules:
        yield from _guarded(rule, place)
        match rule:
            case Each():
                yield from _listed(rule)
                child = kind.children[rule.child]
                fields = kinds[child.records].fields if child.records else child.fields
                yield from _of_rules(rule.rules, Place(fields, kind.fields, rule), kind, kinds)
            case Derive():
                yield from _branches(rule, place)
            case Copy():
                yield from _first_of(rule, place)
            case Coded():
                yield from _filled(rule, place, (rule.field, rule.system_field, rule.version_field))
                yield from _unmapped(rule, place)
            case Identify():
                yield from _filled(rule, place, (rule.field, rule.system_field, rule.assigner_field))
            case Refer() | Logical() | Custom():
                yield from _filled(rule, place, (rule.field,))
            case Key() | Constant():
                pass


def _named(place: Place, name: str) -> str:
    return f"{place.child}.{name}" if place.child else name


def _reaches(rule: Rule, scope: Scope) -> bool:
    return all(holds_in(scope, test) for test in rule.when)


def _words(tests: Iterable[Condition]) -> str:
    return ", ".join(f"{test.field}: {' or '.join(test.values) or 'present'}" for test in tests)


def _guarded(rule: Rule, place: Place) -> Iterator[Demand]:
    """Both sides of a guard."""
    if not rule.when:
        return
    yield from _two_sides(rule.at, place, rule.when, "the guard", lambda record: place.scopes(record))


def _two_sides(
    at: str, place: Place, tests: tuple[Condition, ...], what: str, scopes: Callable[[Record], Iterable[Scope]]
) -> Iterator[Demand]:
    fields, values = tuple(test.field for test in tests), tuple(value for test in tests for value in test.values)
    said = f"{what} {{{_words(tests)}}}{f' of {place.child}' if place.child else ''}"

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
            if _reaches(rule, scope) and taken in run:
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
                _reaches(rule, scope)
                and value_in(scope, name) is not None
                and all(value_in(scope, earlier) is None for earlier in rule.fields[:number])
                for scope in place.scopes(record)
            )

        instead = f" without {' and '.join(rule.fields[:number])}" if number else ""
        said = f"no example fills '{_named(place, name)}'{instead}"
        yield Demand(rule.at, said, f"med-{name.removeprefix('^')}", place.child, rule.fields[: number + 1], (), met)
        if place.is_always_there(name):
            return


def _filled(rule: Rule, place: Place, names: Iterable[str]) -> Iterator[Demand]:
    for name in names:
        if not name or name.startswith("$"):
            continue

        def met(record: Record, name: str = name) -> bool:
            return any(_reaches(rule, scope) and value_in(scope, name) is not None for scope in place.scopes(record))

        said = f"no example fills '{_named(place, name)}'"
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
        values = [value_in(scope, rule.field) for scope in place.scopes(record) if _reaches(rule, scope)]
        return any(value is not None and value not in code_map.targets for value in values)

    lacks = f"a code outside code map {code_map.name} (unmapped: {code_map.unmapped})"
    said = f"no example of '{_named(place, rule.field)}' with {lacks}"
    yield Demand(rule.at, said, "ukjent-kode", place.child, (rule.field,), ("ZZ9",), met)
