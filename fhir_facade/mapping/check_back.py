"""Prove that what a mapping shows can be read back: guards, keys of lists, originals, reasons for absence."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from fhir_facade.mapping.findings import Finding, finding, nearest
from fhir_facade.mapping.forward import carried, is_primitive, is_whole, path_of
from fhir_facade.mapping.ir import (
    Coded,
    Condition,
    Constant,
    Copy,
    Derive,
    Each,
    MappingRules,
    Rule,
    Step,
)  # fmt: skip
from fhir_facade.mapping.kinds import ChildList, Field, Kind, Kinds
from fhir_facade.mapping.required import spoken_of
from fhir_facade.terminology.lists import code_lists

Scope = tuple[Each | None, tuple[Rule, ...]]
"""The rows of a record (None), or those of a list."""


def check_back(mapping: MappingRules, kind: Kind, kinds: Kinds, lost: Collection[str]) -> Iterator[Finding]:
    """What stands in the way of FHIR -> record; `lost` are the words of rows that were refused."""
    lists = [rule for rule in mapping.rules if isinstance(rule, Each)]
    scopes: list[Scope] = [(None, mapping.rules), *((each, each.rules) for each in lists)]
    yield from _guards(scopes, lost)
    yield from _guard_codes(scopes, kind, kinds)
    for child in kind.own_lists():
        yield from _aligned(child, [each for each in lists if each.child == child.name], mapping.ignored, lost)
    for each in lists:
        if each.emit and not each.records:
            yield finding(each.at, f"'emit' is for a list of records, and '{each.child}' is none")
    for each_or_none, rules in scopes:
        where = path_of(mapping.resource_type, each_or_none) if each_or_none else mapping.resource_type
        yield from _originals(rules, lost)
        yield from _absences(rules, where, root=each_or_none is None)


def check_emits(mapping: MappingRules, kind: Kind, known: Mapping[str, str]) -> Iterator[Finding]:
    """`emit` names a mapping of the kind of its list; `known` has the kind of every mapping by name."""
    for each in mapping.rules:
        if isinstance(each, Each) and each.emit and each.records:
            wanted = kind.children[each.child].records
            names = [name for name, of in known.items() if of == wanted]
            if each.emit not in names:
                yield finding(each.at, f"no mapping of {wanted} is called '{each.emit}'{nearest(each.emit, names)}")


# ---- guards


def _guards(scopes: list[Scope], lost: Collection[str]) -> Iterator[Finding]:
    """On the way back a guard is judged by its field, which therefore has a row that always works."""
    outer = _carried(scopes[0][1])
    told: set[int] = set()  # the guards of a group stand in all of its rows and are told of once
    for each, rules in scopes:
        own = outer
        if each is not None:
            alike = [other for other, _ in scopes if other is not None and other.child == each.child]
            own = {name for other in alike for name in (*other.key, other.order, *_carried(other.rules))}
        for rule in rules:
            for condition in () if isinstance(rule, Constant | Derive) or rule.only == "to-fhir" else rule.when:
                name = condition.field.removeprefix("^")
                sure = outer if condition.field.startswith("^") else own
                if name not in sure and id(condition) not in told and not spoken_of(name, lost):
                    told.add(id(condition))
                    why = "is carried by no unguarded row, so the guard cannot be judged on the way back"
                    yield finding(rule.at, f"guard field '{name}' {why}")


def _carried(rules: Iterable[Rule]) -> set[str]:
    """The fields that unguarded rows bring back."""
    return {name for rule in rules if not rule.when and rule.only != "to-fhir" for name in carried(rule)}


def _guard_codes(scopes: list[Scope], kind: Kind, kinds: Kinds) -> Iterator[Finding]:
    """The values that guards, filters and derived values ask for are codes of their fields' lists."""
    told: set[int] = set()
    for each, rules in scopes:
        inner = _fields(each, kind, kinds)
        tests = [(each.at, each.keep)] if each else []
        for rule in rules:
            choices = tuple(test for test, _ in rule.choices) if isinstance(rule, Derive) else ()
            tests.append((rule.at, rule.when + choices))
        for at, conditions in tests:
            for condition in conditions:
                if id(condition) not in told:
                    told.add(id(condition))
                    yield from _not_codes(at, condition, kind.fields if condition.field[0] == "^" else inner)


def _fields(each: Each | None, kind: Kind, kinds: Kinds) -> Mapping[str, Field]:
    child = kind.children.get(each.child) if each else None
    if child is None:
        return kind.fields
    return kinds[child.records].fields if child.records else child.fields


def _not_codes(at: str, condition: Condition, fields: Mapping[str, Field]) -> Iterator[Finding]:
    name = condition.field.removeprefix("^")
    listed = fields[name].code_list if name in fields else ""
    known = code_lists()[listed].codes if listed in code_lists() else None
    for value in condition.values if known is not None else ():
        if known is not None and value not in known:
            yield finding(at, f"guard '{name}': '{value}' is not in list {listed}{nearest(value, known)}")


# ---- lists


def _aligned(
    child: ChildList, eaches: list[Each], ignored: Mapping[str, str], lost: Collection[str]
) -> Iterator[Finding]:
    """The key of a list's items is seen in the resource, as a value or as their order.

    Rows that show some of the items need not say it when others show them all.
    """
    whole = [each for each in eaches if is_whole(each)] or eaches
    if not whole:
        return
    shown = {each.order for each in whole} | {
        name for each in whole for rule in each.rules if rule.only != "to-fhir" for name in carried(rule)
    }
    hidden = [name for name in child.key if name not in shown]
    missed = [name for name in hidden if f"{child.name}.{name}" not in ignored and not spoken_of(name, lost)]
    for name in missed:
        order = f"say 'order: {name}', or " if child.fields[name].type == "integer" else ""
        yield finding(whole[0].at, f"key field '{name}' of list '{child.name}' is not shown: {order}map it")
    unseen = any(name.startswith(f"{child.name}.") for name in ignored)
    if unseen and not missed and len(hidden) == len(child.key):
        why = "has fields that are not shown and no key that is: items cannot be aligned on the way back"
        yield finding(whole[0].at, f"list '{child.name}' {why}")


# ---- values


def _originals(rules: tuple[Rule, ...], lost: Collection[str]) -> Iterator[Finding]:
    """`original: path` names the row in which the field's own code stands."""
    for rule in rules:
        if not isinstance(rule, Coded) or rule.original in ("", "beside") or spoken_of(rule.field, lost):
            continue
        paths = [_text(other) for other in rules if other is not rule and _keeps(other, rule)]
        if rule.original not in paths:
            why = f"no row that always stands beside this one writes {rule.field}'s own code there"
            yield finding(rule.at, f"'original: {rule.original}': {why}{nearest(rule.original, paths)}")


def _keeps(other: Rule, rule: Coded) -> bool:
    """Whether a row writes the own code of another row's field, at least wherever that one writes."""
    if other.only == "to-fhir" or not set(other.when) <= set(rule.when):
        return False
    if isinstance(other, Copy):
        return other.fields == (rule.field,)
    return isinstance(other, Coded) and other.code_map is None and other.field == rule.field


def _text(rule: Rule) -> str:
    """A path as the mapping file writes it."""
    return ".".join(map(_step, rule.path))


def _step(step: Step) -> str:
    return f"{step.name}({step.label})" if step.url else f"{step.name}[{step.label}]" if step.label else step.name


def _absences(rules: tuple[Rule, ...], where: str, *, root: bool) -> Iterator[Finding]:
    """A reason for absence has one place to stand, and is not waiting for data that never comes."""
    for rule in rules:
        if not rule.absent:
            continue
        others = [other for other in rules if other is not rule]
        if not rule.path:
            yield finding(rule.at, "'absent' cannot stand on a list item that is a value: give the list rows")
        elif rule.only == "from-fhir":
            yield finding(rule.at, "'absent' means nothing in a row that is only: from-fhir")
        elif is_primitive(rule, path_of(where, rule)) and rule.path[-1].many:
            yield finding(rule.at, "'absent' cannot stand on a repeating primitive")
        elif any(_beside(other, rule) for other in others):
            yield finding(rule.at, f"'absent' cannot stand here: another row writes in '_{rule.path[-1].name}'")
        elif not (root and len(rule.path) == 1) and not any(_completed(other, rule) for other in others):
            said = "is written only beside data, and no other row writes data there"
            yield finding(rule.at, f"'absent' of '{_text(rule)}' {said}")


def _beside(other: Rule, rule: Rule) -> bool:
    """Whether a row writes extensions of the primitive that another fills."""
    here = len(rule.path)
    behind = other.path[here - 1 :]
    return other.path[: here - 1] == rule.path[:-1] and bool(behind) and behind[0].name == f"_{rule.path[-1].name}"


def _completed(other: Rule, rule: Rule) -> bool:
    """Whether a row writes data into the object that another's element belongs to."""
    depth = len(rule.path) - 1
    data = not isinstance(other, Constant | Derive) and other.only != "from-fhir"
    return data and len(other.path) > depth and other.path[:depth] == rule.path[:-1]
