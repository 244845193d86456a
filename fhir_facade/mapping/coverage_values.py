"""What examples must show of values: every code of a code map, row of a table of systems, guard and branch, told apart.

Part of coverage.py. Each demand is met by a record in which a small fault of its row would show: a code that becomes
another, a branch that asks for another field, two branches in the wrong order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from fhir_facade.contracts import Record
from fhir_facade.mapping.demand import Demand, Place, Scope, holds_in, items_of, named, reaches, value_in, words
from fhir_facade.mapping.ir import Coded, Condition, Copy, Derive, Each, Identify, Rule, fields_of
from fhir_facade.mapping.kinds import Field
from fhir_facade.terminology.lists import code_lists

ELSEWHERE = "ZZ9"  # a code that no Norwegian list has
SHORT_LIST = 15  # codes: of a list no longer than this, each is tried against a guard

Seen = Callable[[Scope], bool]


def some(place: Place, seen: Seen) -> Callable[[Record], bool]:
    """Whether a row sees, somewhere in a record, what is asked for."""
    return lambda record: any(map(seen, place.scopes(record)))


def codes_of(rule: Coded, place: Place) -> Iterator[Demand]:
    """Every code of the row's code map that its guards let through."""
    allowed = [set(test.values) for test in guards_of(rule, place) if test.field == rule.field and test.values]
    for own in rule.code_map.targets if rule.code_map else ():
        if all(own in values for values in allowed):
            said = f"no example of '{named(place, rule.field)}' with code '{own}' of code map {_map(rule)}"
            yield _one_value(rule, place, rule.field, own, said, f"{rule.field}-koder")


def _map(rule: Coded) -> str:
    return rule.code_map.name if rule.code_map else ""


def guards_of(rule: Rule, place: Place) -> tuple[Condition, ...]:
    """The guards of a row and, in a list, those of the items that are shown."""
    return (*rule.when, *(place.each.keep if place.each else ()))


def _one_value(rule: Rule, place: Place, name: str, value: Any, said: str, word: str) -> Demand:
    def met(scope: Scope) -> bool:
        return reaches(rule, scope) and bool(value_in(scope, name) == value)

    hint = {**_passing(guards_of(rule, place)), name: value}
    return Demand(rule.at, said, word, place.child, tuple(hint), (), some(place, met), hint)


def _passing(tests: Iterable[Condition]) -> dict[str, Any]:
    """Values with which tests hold; a field that must only be there gets one from whoever makes the example."""
    return {test.field: test.values[0] for test in tests if test.values}


def rows_of_table(rule: Coded | Identify, place: Place) -> Iterator[Demand]:
    """Every row of the table that chooses the system of a code or identifier, and a choice that it lacks."""
    chooser = rule.system_field
    for chosen in (*rule.systems, None) if chooser else ():

        def met(scope: Scope, chosen: str | None = chosen) -> bool:
            found = value_in(scope, chooser)
            right = found == chosen if chosen is not None else found is not None and found not in rule.systems
            return right and reaches(rule, scope) and value_in(scope, rule.field) is not None

        which = f"the system '{chosen}'" if chosen is not None else "a system that its table lacks"
        said = f"no example of '{named(place, rule.field)}' with {which} in '{named(place, chooser)}'"
        hint = {chooser: ELSEWHERE if chosen is None else chosen}
        fields = (rule.field, chooser)
        yield Demand(rule.at, said, f"{chooser}-verdier", place.child, fields, (), some(place, met), hint)


def guards(rule: Rule, tests: Sequence[Condition], place: Place, what: str) -> Iterator[Demand]:
    """Each value that a guard asks for and others that it must not let through, its field alone, and its failing."""
    of = f"{what} {{{words(tests)}}}{f' of {place.child}' if place.child else ''}"
    for test in tests:
        others = [other for other in tests if other is not test]
        known, shown = _passing(others), _shown_by(rule, place)
        for value in (*test.values, *_outside(test, place)):

            def at_value(scope: Scope, test: Condition = test, value: str = value, others: Any = others) -> bool:
                return value_in(scope, test.field) == value and all(holds_in(scope, other) for other in others)

            said = f"no example in which {of} meets '{value}'"
            yield _guard(rule, tests, place, said, at_value, {**known, test.field: value})
        rivals = _rivals(test, place, {*fields_of(rule), *(each.field for each in tests)})

        def alone(scope: Scope, test: Condition = test, rivals: Any = rivals, shown: Any = shown) -> bool:
            seen = all(holds_in(scope, each) for each in tests) and _present(scope, shown)
            held = [value_in(scope, rival) for rival in rivals]
            return seen and not any(each in test.values if test.values else each is not None for each in held)

        def fails(scope: Scope, test: Condition = test, others: Any = others, shown: Any = shown) -> bool:
            rest = all(holds_in(scope, other) for other in others) and _present(scope, shown)
            return rest and not holds_in(scope, test)

        if rivals:
            said = f"no example in which only '{test.field}' has what {of} asks for"
            yield _guard(rule, tests, place, said, alone, {**known, **_passing([test]), **dict.fromkeys(rivals)})
        if shown and not place.is_certain(test):
            said = f"no example in which {of} fails by '{test.field}' and hides '{named(place, shown[0])}'"
            yield _guard(rule, tests, place, said, fails, {**known, test.field: None})


def _guard(
    rule: Rule, tests: Sequence[Condition], place: Place, said: str, seen: Seen, hint: Mapping[str, Any]
) -> Demand:
    """A demand on a guard. Of a list that shows one item alone, only a record with one item shows what is meant."""
    single = isinstance(rule, Each) and rule.first

    def met(scope: Scope) -> bool:
        return seen(scope) and (not single or len(items_of(scope[1], place.child)) == 1)

    word = f"{'-'.join(test.field.removeprefix('^') for test in tests)}-verdier"
    fields = tuple(dict.fromkeys([*(test.field for test in tests), *_shown_by(rule, place), *hint]))
    return Demand(rule.at, said, word, place.child, fields, (), some(place, met), hint)


def _shown_by(rule: Rule, place: Place) -> tuple[str, ...]:
    """The field that a guarded row shows; none for a constant or a list."""
    guarded = {test.field for test in rule.when}
    return () if isinstance(rule, Each | Derive) else tuple(each for each in fields_of(rule)[:1] if each not in guarded)


def _present(scope: Scope, names: Iterable[str]) -> bool:
    return all(value_in(scope, name) is not None for name in names)


def _outside(test: Condition, place: Place) -> list[str]:
    """Codes that a test must not let through: all others of a short list, else one of no list."""
    found = place.fields.get(test.field)
    if not test.values or found is None:
        return []
    listed = code_lists().get(found.code_list)
    if listed is None or len(listed.codes) > SHORT_LIST:
        return [ELSEWHERE] if found.type == "code" else []
    return [code for code in listed.codes if code not in test.values]


def _rivals(test: Condition, place: Place, but: Iterable[str]) -> list[str]:
    """Fields of the same type that a test could name by mistake, and that a record may lack."""
    mine = place.fields.get(test.field)
    return [] if mine is None else [name for name, each in place.fields.items() if _alike(mine, each, but)]


def _alike(mine: Field, other: Field, but: Iterable[str]) -> bool:
    same = other.type == mine.type and other.required != "always"
    return same and other.name != mine.name and other.name not in but


def branches(rule: Derive, place: Place) -> Iterator[Demand]:
    """Each branch of a derived value alone, each not taken where it would matter, and neighbours in their order."""
    at = rule.path_text or place.child
    for number, (test, value) in enumerate(rule.choices):
        later = [*(other for other in rule.choices[number + 1 :] if not _disjoint(test, other[0]))]
        matters = any(other != value for other in (*(other for _, other in later), rule.otherwise))
        if matters:
            yield _alone(rule, place, number, f"no example in which only {words([test])} decides {at}")
            if not place.is_certain(test):
                yield _not_taken(rule, place, number, f"no example in which {words([test])} fails and decides {at}")
        if place.is_certain(test):
            return
    for number, ((test, value), (next_test, next_value)) in enumerate(pairwise(rule.choices)):
        if value != next_value and not _disjoint(test, next_test):
            said = f"no example in which both {words([test])} and {words([next_test])} would decide {at}"
            yield _both(rule, place, number, said)


def _disjoint(one: Condition, other: Condition) -> bool:
    """Whether no record can pass both tests."""
    return one.field == other.field and bool(one.values and other.values) and not set(one.values) & set(other.values)


def _outcome(rule: Derive, scope: Scope, forced: Mapping[int, bool]) -> tuple[int, Any]:
    """The branch that a record takes and its value, if some of the tests came out as `forced` says."""
    for number, (test, value) in enumerate(rule.choices):
        if forced[number] if number in forced else holds_in(scope, test):
            return number, value
    return len(rule.choices), rule.otherwise


def _word(rule: Derive, place: Place) -> str:
    return f"{rule.path[-1].name if rule.path else place.child}-valg"


def _alone(rule: Derive, place: Place, number: int, said: str) -> Demand:
    test, value = rule.choices[number]
    tested = {each.field for each, _ in rule.choices}
    rivals = _rivals(test, place, tested)

    def met(scope: Scope) -> bool:
        if not reaches(rule, scope) or _outcome(rule, scope, {})[0] != number:
            return False
        held = [value_in(scope, rival) for rival in rivals]
        quiet = not any(each in test.values if test.values else each is not None for each in held)
        return quiet and _outcome(rule, scope, {number: False})[1] != value

    return _chosen(rule, place, said, met, number, dict.fromkeys([*tested, *rivals]))


def _not_taken(rule: Derive, place: Place, number: int, said: str) -> Demand:
    test, value = rule.choices[number]

    def met(scope: Scope) -> bool:
        there = not test.values or value_in(scope, test.field) is not None
        taken, given = _outcome(rule, scope, {})
        return there and reaches(rule, scope) and taken > number and given != value

    hint: dict[str, Any] = {each.field: None for each, _ in rule.choices}
    if test.values:
        hint[test.field] = ELSEWHERE
    return Demand(rule.at, said, _word(rule, place), place.child, _tested(rule), _values(rule), some(place, met), hint)


def _both(rule: Derive, place: Place, number: int, said: str) -> Demand:
    first, second = rule.choices[number][0], rule.choices[number + 1][0]

    def met(scope: Scope) -> bool:
        both = reaches(rule, scope) and _outcome(rule, scope, {})[0] == number
        return both and holds_in(scope, second)

    hint: dict[str, Any] = {each.field: None for each, _ in rule.choices}
    for test in (first, second):
        hint.pop(test.field)
        hint.update(_passing([test]))
    return Demand(rule.at, said, _word(rule, place), place.child, _tested(rule), _values(rule), some(place, met), hint)


def _chosen(rule: Derive, place: Place, said: str, met: Seen, number: int, absent: Mapping[str, Any]) -> Demand:
    """A demand for branch `number`; a later test that gives another value may have to hold besides."""
    test, value = rule.choices[number]
    hint = {**absent, **_passing([test])}
    if not test.values:
        hint.pop(test.field, None)
    later = [*rule.choices[number + 1 :]]
    if rule.otherwise == value and (other := next((each for each, given in later if given != value), None)):
        hint.pop(other.field, None)
        hint |= _passing([other])
    values = (*test.values, *(each for other, given in later if given != value for each in other.values))
    return Demand(rule.at, said, _word(rule, place), place.child, _tested(rule), values, some(place, met), hint)


def _tested(rule: Derive) -> tuple[str, ...]:
    return tuple(dict.fromkeys(test.field for test, _ in rule.choices))


def _values(rule: Derive) -> tuple[str, ...]:
    return tuple(value for test, _ in rule.choices for value in test.values)


def numbers(rules: Iterable[Rule], place: Place) -> Iterator[Demand]:
    """An example in which the numbers of a record or list item all differ, so that none can stand for another."""
    whole = [rule for rule in rules if isinstance(rule, Copy) and rule.codec == "integer"]
    found = dict.fromkeys(name for rule in whole for name in rule.fields)
    if len(found) < 2:
        return

    def met(record: Record) -> bool:
        for scope in items_of(record, place.child) if place.child else [record]:
            held = [scope.get(name) for name in found]
            if None not in held and len(set(held)) == len(held):
                return True
        return False

    said = f"no example in which the numbers {', '.join(named(place, name) for name in found)} all differ"
    hint = {name: number for number, name in enumerate(found, 1)}
    yield Demand(whole[0].at, said, "ulike-tall", place.child, tuple(found), (), met, hint)
