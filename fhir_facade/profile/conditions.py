"""Conditions of generated code in FHIRPath's three values: Python texts for true and for false.

What neither text says is nothing at all, or not known. http://hl7.org/fhirpath/N1/#boolean-logic
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from fhir_facade.profile.fhirpath_syntax import Binary, Constant, Expression
from fhir_facade.profile.fhirpath_values import SYSTEM, compare_moments

SAME_LENGTH = (10, 25)
"""Dates, and times with seconds and offset: the usual forms, which sort as texts."""


class NoForm(Exception):
    """An expression that has no form here."""


class Condition(NamedTuple):
    """Python conditions for true and for false; neither holds for nothing at all. `whole_true` and `whole_false`
    tell that a condition misses no case; what it says always holds."""

    true: str
    false: str
    whole_true: bool = True
    whole_false: bool = True


TRUE, FALSE = Condition("True", "False"), Condition("False", "True")
UNKNOWN = Condition("False", "False", False, False)
NOTHING = Condition("False", "False")


def order(one: str | None, other: str | None) -> int | None:
    """-1, 0 or 1 of two dates or times; None when it cannot be said."""
    if one is None or other is None:
        return None
    if len(one) == len(other) and len(one) in SAME_LENGTH and one[19:] == other[19:]:
        return (one > other) - (one < other)
    return compare_moments(one, other)


def both(one: str, other: str) -> str:
    if "False" in (one, other):
        return "False"
    return other if one == "True" else one if other == "True" else f"({one} and {other})"


def either(one: str, other: str) -> str:
    if "True" in (one, other):
        return "True"
    return other if one == "False" else one if other == "False" else f"({one} or {other})"


def negated(text: str) -> str:
    return {"True": "False", "False": "True"}.get(text) or f"(not {text})"


def swapped(one: Condition) -> Condition:
    return Condition(one.false, one.true, one.whole_false, one.whole_true)


def logic(operator: str, one: Condition, other: Condition) -> Condition:
    """and, or, xor or implies of two conditions."""
    if operator == "implies":
        return logic("or", swapped(one), other)
    true, false = both(one.true, other.true), both(one.false, other.false)
    whole_true, whole_false = one.whole_true and other.whole_true, one.whole_false and other.whole_false
    if operator == "and":
        return _settled(Condition(true, either(one.false, other.false), whole_true, whole_false))
    if operator == "or":
        return _settled(Condition(either(one.true, other.true), false, whole_true, whole_false))
    apart = either(both(one.true, other.false), both(one.false, other.true))
    whole = whole_true and whole_false
    return _settled(Condition(apart, either(true, false), whole, whole))


def _settled(one: Condition) -> Condition:
    return TRUE if one.true == "True" else FALSE if one.false == "True" else one


def after_for(clauses: tuple[str, ...]) -> tuple[str, ...]:
    """Clauses of a comprehension, which must begin with a loop."""
    return clauses if clauses and clauses[0].startswith("for") else ("for _ in (0,)", *clauses)


def literal(tree: Expression) -> str:
    if isinstance(tree, Constant) and tree.literal.kind == "string":
        return str(tree.literal.value)
    raise NoForm


def parts(tree: Expression) -> list[Constant]:
    if isinstance(tree, Binary) and tree.operator == "|":
        return [*parts(tree.left), *parts(tree.right)]
    if isinstance(tree, Constant):
        return [tree]
    raise NoForm


def plain(tree: Constant, type_name: str) -> str:
    """A literal as Python, when it is of the kind of a FHIR type."""
    kind, value, _ = tree.literal
    system = SYSTEM.get(type_name, "String")
    if kind == "string" and system == "String":
        return repr(str(value))
    if kind == "boolean" and system == "Boolean":
        return repr(value)
    if kind == "number" and system in ("Integer", "Decimal"):
        return repr(float(value) if isinstance(value, Decimal) else value)
    raise NoForm
