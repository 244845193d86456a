"""+ - * / div and mod of FHIRPath: numbers, texts, quantities, dates. http://hl7.org/fhirpath/N1/#math"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fhir_facade.profile.fhirpath_dates import shifted
from fhir_facade.profile.fhirpath_syntax import LARGEST, FhirPathError
from fhir_facade.profile.fhirpath_values import CALENDAR, Item, Quantity, number, quantity_of, text

Items = list[Item]

MOST_DIGITS = 400
"""Digits before or after the point that a number may come to: beyond what JSON can say."""


def arithmetic(operator: str, one: Item, other: Item, at: int = 0) -> Items:
    """+ - * / div mod of numbers, texts, quantities and dates."""
    if operator == "+" and one.system == other.system == "String":
        return [text(one.value + other.value)]
    if one.system in ("Date", "DateTime", "Time") and operator in ("+", "-"):
        amount = quantity_of(other)
        if amount is None:
            raise FhirPathError("a quantity of time is expected", at)
        return shifted(one, amount if operator == "+" else Quantity(-amount.value, amount.unit), at)
    a, b = number(one), number(other)
    try:
        if a is None or b is None:
            return _of_quantities(operator, one, other, at)
        whole = one.system == other.system == "Integer"
        return fitting(_number(operator, a if whole else Decimal(a), b if whole else Decimal(b)))
    except ArithmeticError:
        return []


def fitting(value: int | Decimal) -> Items:
    """A number as an item, [] when it is beyond what there is, as N1 says of overflow: whole numbers have 32 bits."""
    if isinstance(value, int):
        return [Item(value, "System.Integer")] if -LARGEST <= value < LARGEST else []
    if not value.is_finite() or abs(value.adjusted()) > MOST_DIGITS:
        return [] if value else [Item(Decimal(0), "System.Decimal")]
    return [Item(value, "System.Decimal")]


def _number(operator: str, a: Any, b: Any) -> Any:
    if operator == "+":
        return a + b
    if operator == "-":
        return a - b
    if operator == "*":
        return a * b
    if operator == "/":
        return Decimal(a) / Decimal(b)
    if operator == "div":
        return int(Decimal(a) // Decimal(b))
    rest = Decimal(a) % Decimal(b)
    return int(rest) if isinstance(a, int) else rest


def _of_quantities(operator: str, one: Item, other: Item, at: int) -> Items:
    a, b = quantity_of(one), quantity_of(other)
    if a is None or b is None:
        raise FhirPathError(f"'{operator}' is not for {one.system or one.type} and {other.system or other.type}", at)
    same = CALENDAR.get(a.unit, a.unit) == CALENDAR.get(b.unit, b.unit)
    if operator in ("+", "-") and same:
        return _quantity(_number(operator, a.value, b.value), a.unit)
    if operator == "*" and "1" in (a.unit, b.unit):
        return _quantity(a.value * b.value, a.unit if b.unit == "1" else b.unit)
    if operator == "/" and (b.unit == "1" or same):
        return _quantity(a.value / b.value, "1" if same else a.unit)
    return []


def _quantity(value: Decimal, unit: str) -> Items:
    return [Item(Quantity(item.value, unit), "System.Quantity") for item in fitting(value)]
