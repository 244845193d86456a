"""+ - * / div and mod of FHIRPath: numbers, texts, quantities, dates. http://hl7.org/fhirpath/N1/#math"""

from __future__ import annotations

from decimal import Decimal, DivisionByZero, InvalidOperation, localcontext
from typing import Any

from fhir_facade.profile.fhirpath_dates import shifted
from fhir_facade.profile.fhirpath_syntax import FhirPathError
from fhir_facade.profile.fhirpath_values import Item, Quantity, number, quantity_of, string

Items = list[Item]


def arithmetic(operator: str, one: Item, other: Item, at: int = 0) -> Items:
    """+ - * / div mod of numbers, texts, quantities and dates."""
    if operator == "+" and one.system == other.system == "String":
        return [string(one.value + other.value)]
    if one.system in ("Date", "DateTime", "Time") and operator in ("+", "-"):
        amount = quantity_of(other)
        if amount is None:
            raise FhirPathError("a quantity of time is expected", at)
        return shifted(one, amount if operator == "+" else Quantity(-amount.value, amount.unit), at)
    a, b = number(one), number(other)
    if a is None or b is None:
        return _of_quantities(operator, one, other, at)
    try:
        with localcontext() as context:
            context.traps[DivisionByZero] = True
            found = _number(operator, a, b)
    except (ZeroDivisionError, InvalidOperation, OverflowError):
        return []
    return [Item(found, "System.Integer" if isinstance(found, int) else "System.Decimal")]


def _number(operator: str, a: Any, b: Any) -> Any:
    if operator == "+":
        return a + b
    if operator == "-":
        return a - b
    if operator == "*":
        return a * b
    if operator == "/":
        return Decimal(a) / Decimal(b)
    whole = int(Decimal(a) / Decimal(b))
    return whole if operator == "div" else a - b * whole


def _of_quantities(operator: str, one: Item, other: Item, at: int) -> Items:
    a, b = quantity_of(one), quantity_of(other)
    if a is None or b is None:
        raise FhirPathError(f"'{operator}' is not for {one.system or one.type} and {other.system or other.type}", at)
    if operator in ("+", "-") and a.unit == b.unit:
        return [Item(Quantity(_number(operator, a.value, b.value), a.unit), "System.Quantity")]
    if operator in ("*", "/") and "1" in (a.unit, b.unit) and b.value:
        unit = a.unit if b.unit == "1" else b.unit
        return [Item(Quantity(_number(operator, a.value, b.value), unit), "System.Quantity")]
    return []
