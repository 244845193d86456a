"""The functions of FHIRPath, one row each: http://hl7.org/fhirpath/N1/#functions and R4's own.

What R4 names and nothing here can answer (elementDefinition, slice, checkModifiers) is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from fhir_facade.profile.fhirpath import Evaluator, Items, Scope, is_a, test_type, truth
from fhir_facade.profile.fhirpath_arguments import (
    Apply,
    Arguments,
    Function,
    argument,
    each_item,
    of_counted,
    of_one,
    of_texts,
    text_argument,
)
from fhir_facade.profile.fhirpath_scalars import (
    absolute,
    converts,
    converts_to_quantity,
    join,
    log,
    matches,
    matches_full,
    math,
    power,
    real,
    replace_matches,
    replaced,
    rounded,
    split,
    substring,
    to_boolean,
    to_chars,
    to_decimal,
    to_integer,
    to_moment,
    to_quantity,
    to_string,
)
from fhir_facade.profile.fhirpath_syntax import Call, Expression, FhirPathError, Name
from fhir_facade.profile.fhirpath_values import (
    Item,
    all_children,
    boolean,
    equal,
    integer,
    item_of,
    number,
    string,
)

# existence


def _empty(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return [boolean(not focus)]


def _exists(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return [boolean(bool(_where(ev, focus, arguments, scope) if arguments else focus))]


def _all(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return [boolean(all(truth(found) is True for _, found in each_item(ev, focus, arguments[0], scope)))]


def _of_booleans(every: bool, wanted: bool) -> Apply:
    def apply(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
        answers = [item.value is wanted for item in focus]
        return [boolean(all(answers) if every else any(answers))]

    return apply


def _subset(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return [boolean(_within(ev, focus, ev.run(arguments[0], scope.this, scope)))]


def _superset(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return [boolean(_within(ev, ev.run(arguments[0], scope.this, scope), focus))]


def _within(ev: Evaluator, few: Items, many: Items) -> bool:
    ev.count(len(few) * len(many))
    return all(any(equal(item, each) is True for each in many) for item in few)


def _count(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return [integer(len(focus))]


def _distinct(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return ev.distinct(focus)


def _is_distinct(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return [boolean(len(ev.distinct(focus)) == len(focus))]


# filtering and parts


def _where(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return [item for item, found in each_item(ev, focus, arguments[0], scope) if truth(found) is True]


def _select(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return [each for _, found in each_item(ev, focus, arguments[0], scope) for each in found]


def _repeat(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    kept: Items = []
    waiting = focus
    while waiting:
        found = [each for _, items in each_item(ev, waiting, arguments[0], scope) for each in items]
        ev.count(len(found) * (len(kept) + 1))
        waiting = ev.distinct([item for item in found if not any(equal(item, each) is True for each in kept)])
        kept += waiting
    return kept


def _of_type(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    wanted = _type_name(arguments[0])
    return [item for item in focus if is_a(item.type, wanted)]


def _type_name(tree: Expression) -> str:
    if isinstance(tree, Name):
        return tree.name if tree.base is None else f"{_type_name(tree.base)}.{tree.name}"
    raise FhirPathError("a type is expected")


def _as(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return test_type("as", focus, _type_name(arguments[0]))


def _is(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return test_type("is", focus, _type_name(arguments[0]))


def _single(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return [ev.single(focus)] if focus else []


def _slice(function: Callable[[Items, int], Items]) -> Apply:
    def apply(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
        given = argument(ev, arguments[0], scope) if arguments else integer(1)
        count = number(given) if given else None
        if count is None:
            raise FhirPathError("a number is expected")
        return function(focus, max(int(count), 0))

    return apply


def _intersect(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    other = ev.run(arguments[0], scope.this, scope)
    ev.count(len(focus) * len(other))
    return ev.distinct([item for item in focus if any(equal(item, each) is True for each in other)])


def _exclude(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    other = ev.run(arguments[0], scope.this, scope)
    ev.count(len(focus) * len(other))
    return [item for item in focus if not any(equal(item, each) is True for each in other)]


def _union(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return ev.distinct([*focus, *ev.run(arguments[0], scope.this, scope)])


def _combine(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return [*focus, *ev.run(arguments[0], scope.this, scope)]


def _children(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    found = [child for item in focus for child in all_children(item)]
    ev.count(len(found))
    return found


def _descendants(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    found: Items = []
    level = focus
    while level:
        level = _children(ev, level, (), scope)
        found += level
    return found


def _iif(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    inner = Scope(focus, scope.index, scope.total) if focus else scope
    if truth(ev.run(arguments[0], focus, inner)) is True:
        return ev.run(arguments[1], focus, inner)
    return ev.run(arguments[2], focus, inner) if len(arguments) > 2 else []


def _aggregate(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    total = ev.run(arguments[1], scope.this, scope) if len(arguments) > 1 else []
    for place, item in enumerate(focus):
        ev.count()
        total = ev.run(arguments[0], [item], Scope([item], place, total))
    return total


def _trace(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return focus


def _not(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    answer = truth(focus)
    return [] if answer is None else [boolean(not answer)]


# R4


def _extension(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    url = text_argument(ev, arguments[0], scope)
    found = []
    for item in focus:
        held = item.value if isinstance(item.value, dict) else item.twin or {}
        listed = held.get("extension")
        for each in listed if isinstance(listed, list) else ():
            ev.count()
            if url and isinstance(each, dict) and each.get("url") == url:
                found.append(Item(each, "Extension", "Extension"))
    return found


def _has_value(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return [boolean(len(focus) == 1 and focus[0].value is not None and not isinstance(focus[0].value, dict))]


def _get_value(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return focus if _has_value(ev, focus, arguments, scope)[0].value else []


def _resolve(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    found = []
    for item in focus:
        reference = item.value.get("reference") if isinstance(item.value, dict) else item.value
        resource = ev.environment.resolve(reference) if isinstance(reference, str) else None
        if resource is not None:
            found.append(item_of(resource, "Resource"))
    return found


def _member_of(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    url = text_argument(ev, arguments[0], scope)
    answer = ev.environment.member_of(ev.single(focus).value, url) if focus and url else None
    return [] if answer is None else [boolean(answer)]


def _conforms_to(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    url = text_argument(ev, arguments[0], scope)
    answer = ev.environment.conforms_to(ev.single(focus).value, url) if focus and url else None
    return [] if answer is None else [boolean(answer)]


def _html_checks(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return [boolean(all(ev.environment.narrative(item.value) for item in focus))]


def _type(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    found = []
    for item in focus:
        space, name = ("System", item.type[7:]) if item.type.startswith("System.") else ("FHIR", item.type)
        found.append(Item({"namespace": space, "name": name}, "System.TypeInfo"))
    return found


def _moment_now(part: slice, kind: str) -> Apply:
    def apply(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
        now = ev.environment.now
        if now is None:
            raise FhirPathError("no time is known here: the answer must not depend on the clock")
        return [Item(now.isoformat(timespec="milliseconds")[part], kind)]

    return apply


def _refused(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    raise FhirPathError("this function is not supported")


FUNCTIONS: Mapping[str, Function] = {
    "empty": Function(0, 0, _empty),
    "exists": Function(0, 1, _exists),
    "all": Function(1, 1, _all),
    "allTrue": Function(0, 0, _of_booleans(True, True)),
    "anyTrue": Function(0, 0, _of_booleans(False, True)),
    "allFalse": Function(0, 0, _of_booleans(True, False)),
    "anyFalse": Function(0, 0, _of_booleans(False, False)),
    "subsetOf": Function(1, 1, _subset),
    "supersetOf": Function(1, 1, _superset),
    "count": Function(0, 0, _count),
    "distinct": Function(0, 0, _distinct),
    "isDistinct": Function(0, 0, _is_distinct),
    "where": Function(1, 1, _where),
    "select": Function(1, 1, _select),
    "repeat": Function(1, 1, _repeat),
    "ofType": Function(1, 1, _of_type),
    "as": Function(1, 1, _as),
    "is": Function(1, 1, _is),
    "single": Function(0, 0, _single),
    "first": Function(0, 0, _slice(lambda items, _: items[:1])),
    "last": Function(0, 0, _slice(lambda items, _: items[-1:])),
    "tail": Function(0, 0, _slice(lambda items, _: items[1:])),
    "skip": Function(1, 1, _slice(lambda items, count: items[count:])),
    "take": Function(1, 1, _slice(lambda items, count: items[:count])),
    "intersect": Function(1, 1, _intersect),
    "exclude": Function(1, 1, _exclude),
    "union": Function(1, 1, _union),
    "combine": Function(1, 1, _combine),
    "children": Function(0, 0, _children),
    "descendants": Function(0, 0, _descendants),
    "iif": Function(2, 3, _iif),
    "aggregate": Function(1, 2, _aggregate),
    "trace": Function(1, 2, _trace),
    "not": Function(0, 0, _not),
    "toBoolean": Function(0, 0, of_one(to_boolean)),
    "toInteger": Function(0, 0, of_one(to_integer)),
    "toDecimal": Function(0, 0, of_one(to_decimal)),
    "toString": Function(0, 0, of_one(to_string)),
    "toDate": Function(0, 0, of_one(to_moment("Date"))),
    "toDateTime": Function(0, 0, of_one(to_moment("DateTime"))),
    "toTime": Function(0, 0, of_one(to_moment("Time"))),
    "toQuantity": Function(0, 1, to_quantity),
    "convertsToBoolean": Function(0, 0, converts(to_boolean)),
    "convertsToInteger": Function(0, 0, converts(to_integer)),
    "convertsToDecimal": Function(0, 0, converts(to_decimal)),
    "convertsToString": Function(0, 0, converts(to_string)),
    "convertsToDate": Function(0, 0, converts(to_moment("Date"))),
    "convertsToDateTime": Function(0, 0, converts(to_moment("DateTime"))),
    "convertsToTime": Function(0, 0, converts(to_moment("Time"))),
    "convertsToQuantity": Function(0, 1, converts_to_quantity),
    "startsWith": Function(1, 1, of_texts(lambda held, other: [boolean(held.startswith(other))])),
    "endsWith": Function(1, 1, of_texts(lambda held, other: [boolean(held.endswith(other))])),
    "contains": Function(1, 1, of_texts(lambda held, other: [boolean(other in held)])),
    "indexOf": Function(1, 1, of_texts(lambda held, other: [integer(held.find(other))])),
    "matches": Function(1, 1, of_counted(matches)),
    "matchesFull": Function(1, 1, of_counted(matches_full)),
    "replace": Function(2, 2, of_counted(replaced, 2)),
    "replaceMatches": Function(2, 2, of_counted(replace_matches, 2)),
    "upper": Function(0, 0, of_texts(lambda held: [string(held.upper())], 0)),
    "lower": Function(0, 0, of_texts(lambda held: [string(held.lower())], 0)),
    "trim": Function(0, 0, of_texts(lambda held: [string(held.strip())], 0)),
    "length": Function(0, 0, of_texts(lambda held: [integer(len(held))], 0)),
    "toChars": Function(0, 0, of_counted(to_chars, 0)),
    "split": Function(1, 1, of_counted(split)),
    "substring": Function(1, 2, substring),
    "join": Function(0, 1, join),
    "abs": Function(0, 0, of_one(absolute)),
    "ceiling": Function(0, 0, math(lambda value: int(Decimal(value).to_integral_value(ROUND_CEILING)))),
    "floor": Function(0, 0, math(lambda value: int(Decimal(value).to_integral_value(ROUND_FLOOR)))),
    "truncate": Function(0, 0, math(int)),
    "round": Function(0, 1, rounded),
    "sqrt": Function(0, 0, math(lambda value: Decimal(value).sqrt())),
    "exp": Function(0, 0, math(lambda value: real(value, value < 1000).exp())),
    "ln": Function(0, 0, math(lambda value: real(value, value > 0).ln())),
    "log": Function(1, 1, log),
    "power": Function(1, 1, power),
    "extension": Function(1, 1, _extension),
    "hasValue": Function(0, 0, _has_value),
    "getValue": Function(0, 0, _get_value),
    "resolve": Function(0, 0, _resolve),
    "memberOf": Function(1, 1, _member_of),
    "conformsTo": Function(1, 1, _conforms_to),
    "htmlChecks": Function(0, 0, _html_checks),
    "type": Function(0, 0, _type),
    "now": Function(0, 0, _moment_now(slice(None), "System.DateTime")),
    "today": Function(0, 0, _moment_now(slice(0, 10), "System.Date")),
    "timeOfDay": Function(0, 0, _moment_now(slice(11, 23), "System.Time")),
    "elementDefinition": Function(0, 0, _refused),
    "slice": Function(2, 2, _refused),
    "checkModifiers": Function(0, 9, _refused),
}
"""Function by name."""


def functions_of(tree: Any) -> Iterator[str]:
    """The names of the functions that an expression calls."""
    if isinstance(tree, Call):
        yield tree.name
    for name in getattr(tree, "__dataclass_fields__", ()):
        held = getattr(tree, name)
        for each in held if isinstance(held, tuple) else (held,):
            if hasattr(each, "__dataclass_fields__"):
                yield from functions_of(each)
