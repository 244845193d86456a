"""Rules written as Python: FHIRPath over record graphs, in its three values (http://hl7.org/fhirpath/N1/#boolean-logic).

The text of an expression is parsed by the house's own parser; every name is resolved by the record files, every
comparison is of like values, and what comes out is loops and comparisons over dicts. A comparison with a missing value
is neither true nor false. The functions beside FHIRPath's own stand in functions.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fhir_facade.mapping.kinds import ChildList, Kind
from fhir_facade.npr.places import Place, RuleFault, Value, field_of, unknown
from fhir_facade.npr.rule_writer import RuleWriter, Words
from fhir_facade.profile.conditions import TRUE, both, negated
from fhir_facade.profile.fhirpath_syntax import Binary, Call, Expression, FhirPathError, Name, parse

KEPT, BROKEN, UNKNOWN, APART, ELSEWHERE, SPARED = 0, 1, 2, 3, 4, 5
"""What a rule answers: kept, broken, cannot know; apart, it is not asked here; elsewhere, it is of another sector;
spared, it is broken in a way that the registry does not act on."""

Judge = Callable[[Any, Any, Any], int]


@dataclass(frozen=True)
class Compiled:
    """A rule for one kind of record: the judge (graph, record, item), the fields that it looks at, the kinds of
    other records that it looks at, and the fields without whose value it cannot be kept."""

    judge: Judge
    fields: tuple[str, ...]
    others: frozenset[str]
    demands: tuple[str, ...]
    text: str = field(repr=False, default="")


def compiled(
    words: Words, number: str, record: str, when: str, require: str, sector: str = "", acts: str = ""
) -> Compiled:
    """The judge of a rule over a record kind, or over a list of it ("kind.list"); RuleFault, RecordFault.

    It is asked where `when` is true, as of where(). `sector` is the condition that the record is of the rule's sector:
    where that is nothing, and `require` is not true, the answer cannot be known.
    `acts` is when the registry acts on a broken rule; always when it is left out.
    """
    kind, child = _over(words, record)
    writer = RuleWriter(words, Place("i", kind, child, "r"))
    try:
        demands = tuple(name for name in _demanded(parse(require)) if field_of(writer.root, name))
        asked = writer.condition(parse(when), writer.root) if when else TRUE
        among = writer.condition(parse(sector), writer.root) if sector else TRUE
        held = writer.condition(parse(require), writer.root)
        acting = writer.condition(parse(acts), writer.root) if acts else TRUE
    except FhirPathError as error:
        raise RuleFault(str(error)) from None
    source = writer.source
    name = re.sub(r"\W", "_", f"{number}_{record}").lower()
    with source.block(f"def {name}(g, r, i):"):
        for condition, answer in ((among.false, ELSEWHERE), (negated(asked.true), APART)):
            if condition != "False":
                with source.block(f"if {condition}:"):
                    source.line(f"return {answer}")
        with source.block(f"if {held.true}:"):
            source.line(f"return {KEPT}")
        with source.block(f"if {both(held.false, among.true)}:"):
            source.line(f"return {BROKEN} if {acting.true} else {SPARED}")
        source.line(f"return {UNKNOWN}")
    judge = source.compile(name, f"npr {name}")
    return Compiled(judge, tuple(dict.fromkeys(writer.used)), frozenset(writer.seen), demands, source.text)


def _demanded(tree: Expression) -> Iterator[str]:
    """The names that must have a value for an expression to be true: those whose exists() is a part of an `and`."""
    match tree:
        case Binary(operator="and", left=left, right=right):
            yield from _demanded(left)
            yield from _demanded(right)
        case Call(name="exists", base=Name(base=None, name=name), arguments=()):
            yield name


def told(words: Words, kind: Kind, expression: str) -> Callable[[Any, Any], Any]:
    """The function (graph, record) that gives the single value of an expression; RuleFault."""
    return _expression(words, kind, expression, RuleWriter.one)


def told_all(words: Words, kind: Kind, expression: str) -> Callable[[Any, Any], list[Any]]:
    """The function (graph, record) that gives all values of an expression; RuleFault."""
    return _expression(words, kind, expression, RuleWriter.many)


def _expression(
    words: Words, kind: Kind, expression: str, form: Callable[[RuleWriter, Value], str]
) -> Callable[[Any, Any], Any]:
    writer = RuleWriter(words, Place("r", kind, None, "r"))
    source = writer.source
    text = form(writer, writer.value(parse(expression), writer.root))
    with source.block("def told(g, r):"):
        source.line(f"return {text}")
    made: Callable[[Any, Any], Any] = source.compile("told", f"npr {kind.name} {expression}")
    return made


@dataclass(frozen=True)
class Values:
    """What an expression gives, seen from a record or item: `read` (graph, record, item) → the values that are there.

    `kind` and `child` name the kind, and the list of it, that they are of where they are records; else `kind` is "".
    """

    read: Callable[[Any, Any, Any], list[Any]]
    kind: str
    child: str


def values(words: Words, record: str, expression: str) -> Values:
    """The values of an expression over a record kind, or over a list of it ("kind.list"); RuleFault."""
    kind, child = _over(words, record)
    writer = RuleWriter(words, Place("i", kind, child, "r"))
    source = writer.source
    try:
        found = writer.value(parse(expression), writer.root)
        text = writer.many(found)
    except FhirPathError as error:
        raise RuleFault(str(error)) from None
    with source.block("def values(g, r, i):"):
        source.line(f"return {text}")
    name, _, inside = found.place.label.partition(".") if found.place else ("", "", "")
    return Values(source.compile("values", f"npr {record} {expression}"), name, inside)


class RecordFault(RuleFault):
    """A rule about a record that there is not."""


def _over(words: Words, record: str) -> tuple[Kind, ChildList | None]:
    """The kind, and the list of it, that a rule is about."""
    name, _, child = record.partition(".")
    kind = words.kinds.by_name.get(name)
    if kind is None:
        raise RecordFault(*unknown("the record files", name, iter(words.kinds.by_name)).args)
    found = kind.children.get(child) if child else None
    if child and (found is None or found.records):
        raise RecordFault(*unknown(name, child, (each.name for each in kind.own_lists())).args)
    return kind, found
