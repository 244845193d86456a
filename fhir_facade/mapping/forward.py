"""What of a mapping works forward: the rows that write, their reasons for absence, and what they may hide.

The judge and both compiled engines read rules through here, so that they agree on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from fhir_facade.definitions import definitions
from fhir_facade.mapping.codecs import ABSENT_REASON
from fhir_facade.mapping.ir import (
    Coded,
    Condition,
    Copy,
    Custom,
    Derive,
    Each,
    Identify,
    Key,
    Logical,
    Refer,
    Rule,
    carries_nothing,
    fields_of,
)  # fmt: skip
from fhir_facade.outcome import Issue


@dataclass(frozen=True, slots=True)
class Absence(Derive):
    """The data-absent-reason of a row: written, and told, where none of the row's fields has a value.

    Like every derived value it carries nothing: away from the root it only completes an object that has data.
    """

    issue: Issue


@dataclass(frozen=True, slots=True)
class Hidden:
    """A field, or (`many`) a list, that guarded rows alone show; told where it has a value and no guard holds."""

    field: str
    many: bool
    guards: tuple[tuple[Condition, ...], ...]
    issue: Issue

    @property
    def reads(self) -> list[str]:
        """The fields that decide it."""
        return [self.field, *(condition.field for guard in self.guards for condition in guard)]


Hiding = Mapping[int, tuple[Hidden, ...]]
"""What may be hidden in the record itself (RECORD), and in the items that an `each` shows, by its id()."""

RECORD = 0


def writing(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules that write the resource, those inside lists too; rows `only: from-fhir` are left out."""
    out: list[Rule] = []
    for rule in rules:
        if isinstance(rule, Each) and rule.rules:
            inner = writing(rule.rules)
            if inner:
                out.append(rule if inner == rule.rules else replace(rule, rules=inner))
        elif rule.only != "from-fhir":
            out.append(rule)
    return tuple(out)


def forward(rules: Iterable[Rule], where: str) -> tuple[Rule, ...]:
    """The rules that write the resource, each `absent` followed by the rule that writes its reason."""
    return tuple(_with_absences(writing(rules), where))


def _with_absences(rules: Iterable[Rule], where: str) -> Iterator[Rule]:
    for rule in rules:
        here = path_of(where, rule)
        if isinstance(rule, Each):
            yield replace(rule, rules=tuple(_with_absences(rule.rules, here)))
            continue
        yield rule
        if rule.absent:
            yield absence(rule, here)


def path_of(where: str, rule: Rule) -> str:
    """The element that a rule fills, as the R4 table names it."""
    return ".".join([where, *(step.name.removeprefix("_") for step in rule.path)])


def is_primitive(rule: Rule, element: str) -> bool:
    """Whether a rule fills a primitive element, whose extensions stand beside it in JSON."""
    match rule:
        case Copy() | Key():
            return True
        case Coded():
            return rule.shape == "code"
        case Custom():
            found = definitions().element(element)
            return bool(found and found.types and found.types[0][0].islower())
        case _:
            return False


def absence(rule: Rule, element: str) -> Absence:
    """The rule that says why the element of `rule` is absent: at `_name` for a primitive, else at the element."""
    last = rule.path[-1]
    if is_primitive(rule, element):
        last = replace(last, name=f"_{last.name}")
    said = {"extension": [{"url": ABSENT_REASON, "valueCode": rule.absent}]}
    choices = tuple((Condition(name), None) for name in presence(rule))
    issue = Issue("value-absent", "", {"field": " | ".join(named(rule)), "reason": rule.absent, "at": rule.at})
    return Absence((*rule.path[:-1], last), rule.when, rule.at, choices, said, issue)


def presence(rule: Rule) -> tuple[str, ...]:
    """The fields of which one must have a value for the rule to write."""
    return ("$" + rule.link,) if isinstance(rule, Refer) else named(rule)


def named(rule: Rule) -> tuple[str, ...]:
    """The fields that a rule is about, without those that only choose among systems."""
    match rule:
        case Copy():
            return rule.fields
        case Coded() | Identify() | Logical() | Refer() | Custom():
            return (rule.field,)
        case _:
            return ()


def carried(rule: Rule) -> tuple[str, ...]:
    """The fields whose values a rule writes: its own, those beside it, and the parts of a key or reference."""
    if carries_nothing(rule):
        return ()
    parts = tuple(name for name, _ in rule.parts) if isinstance(rule, Key | Refer) else ()
    return (*fields_of(replace(rule, when=())), *parts)


def hiding(rules: Iterable[Rule]) -> Hiding:
    """What guards may hide in the record and in the items of its lists; `rules` are those that write."""
    rules = tuple(rules)
    found = {RECORD: tuple(_hidden(rules, ()))}
    lists: dict[str, list[Each]] = {}
    for rule in rules:
        if isinstance(rule, Each):
            lists.setdefault(rule.child, []).append(rule)
    for eaches in lists.values():
        whole = [each for each in eaches if is_whole(each)]
        rows = [row for each in whole for row in each.rules]
        known = {each.order for each in whole}
        for each in eaches:
            if not is_whole(each):
                found[id(each)] = tuple(_hidden([*each.rules, *rows], known | {each.order}))
            elif each is whole[0]:  # what all that show the whole list hide is told once
                found[id(each)] = tuple(_hidden(rows, known))
    return found


def is_whole(each: Each) -> bool:
    """Whether an `each` shows every item of its list, whatever the record."""
    return not (each.keep or each.when or each.first)


def _hidden(rules: Iterable[Rule], known: Iterable[str]) -> Iterator[Hidden]:
    rules = tuple(rules)
    shown = {name for rule in rules if not rule.when for name in _shown(rule)} | set(known)
    guarded: dict[str, list[Rule]] = {}
    for rule in rules:
        for name in _shown(rule) if rule.when else ():
            if name not in shown and name[0] not in "$^":
                guarded.setdefault(name, []).append(rule)
    for name, found in guarded.items():
        guards = tuple(dict.fromkeys(rule.when for rule in found))
        facts = {"field": name, "guards": " | ".join(map(said_of, guards)), "at": found[0].at}
        yield Hidden(name, isinstance(found[0], Each), guards, Issue("value-hidden", "", facts))


def _shown(rule: Rule) -> tuple[str, ...]:
    return (rule.child,) if isinstance(rule, Each) else carried(rule)


def is_hidden(hidden: Hidden, read: Callable[[str], str], test: Callable[[Condition], str]) -> str:
    """The expression that a field has a value and that none of the guards of its rows holds."""
    there = read(hidden.field) if hidden.many else f"{read(hidden.field)} is not None"
    return f"{there} and not ({' or '.join(' and '.join(map(test, guard)) for guard in hidden.guards)})"


def said_of(guards: Iterable[Condition]) -> str:
    """Guards as the mapping file writes them: {secret: [1], other: }."""
    return "{" + ", ".join(f"{each.field}: {list(each.values) or ''}".replace("'", "") for each in guards) + "}"
