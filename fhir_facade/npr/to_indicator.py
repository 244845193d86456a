"""Expressions of indicators written as Python functions (graph, record) → answer, with the kinds that they look at.

The language is that of rules (to_rule.py): three values, names resolved by the record files, types compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_facade.mapping.kinds import Kind, key_text
from fhir_facade.npr.places import Place, RuleFault
from fhir_facade.npr.rule_writer import RuleWriter, Words
from fhir_facade.profile.fhirpath_syntax import Expression, FhirPathError, parse

DATES = frozenset({"date", "dateTime"})
NUMBERS = frozenset({"integer"})
KINDS_ASKED = re.compile(r"\bg\.(?:of|all)\('(\w+)'").findall
"""The kinds of record that a compiled expression asks the graph for; the day that a code is judged on may be there."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An expression as a function: `ask` (graph, record) gives its answer, None where it is nothing; `seen` are the
    kinds of the other records that it looks at. `gives` is the kind of the record whose key is the answer, or ""."""

    ask: Callable[[Any, Any], Any]
    seen: frozenset[str]
    gives: str = ""


def truth(words: Words, kind: Kind, text: str) -> Asked:
    """Whether an expression holds of a record: True, False or None; RuleFault."""
    writer, tree = _begun(words, kind, text)
    held = writer.condition(tree, writer.root)
    return _function(writer, f"True if {held.true} else False if {held.false} else None", text)


def single(words: Words, kind: Kind, text: str, types: frozenset[str]) -> Asked:
    """The single value of an expression, which is of one of the types; RuleFault."""
    writer, tree = _begun(words, kind, text)
    found = writer.value(tree, writer.root)
    if found.type not in types:
        raise RuleFault(f"{' or '.join(sorted(types))} is expected, not {found.type}")
    return _function(writer, writer.one(found), text)


def named(words: Words, kind: Kind, text: str) -> Asked:
    """What an expression gives to group by: a text, or the key of a single record; RuleFault."""
    writer, tree = _begun(words, kind, text)
    found = writer.value(tree, writer.root)
    answer = writer.one(found)
    if found.place is None:
        return _function(writer, answer, text)
    to = found.place.kind
    asked = _function(writer, answer, text)
    return Asked(lambda graph, record: _key(to, asked.ask(graph, record)), asked.seen, to.name)


def _key(kind: Kind, record: Any) -> str | None:
    return None if record is None else key_text([record.get(part) for part in kind.key])


def _begun(words: Words, kind: Kind, text: str) -> tuple[RuleWriter, Expression]:
    try:
        return RuleWriter(words, Place("r", kind, None, "r")), parse(text)
    except FhirPathError as error:
        raise RuleFault(str(error)) from None


def _function(writer: RuleWriter, answer: str, text: str) -> Asked:
    source = writer.source
    with source.block("def asked(g, r):"):
        source.line(f"return {answer}")
    return Asked(source.compile("asked", f"indicator {text}"), frozenset(KINDS_ASKED(source.text)))
