"""Items that FHIRPath works on: JSON values with their R4 types, dates of any precision, quantities.

A comparison of dates or times that are not equally precise may have no answer, and that is None.
http://hl7.org/fhirpath/N1/#equality
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from math import isfinite
from typing import Any, NamedTuple

from fhir_facade.definitions import definitions
from fhir_facade.profile.fhirpath_syntax import FhirPathError
from fhir_facade.profile.matching import same

SYSTEM: Mapping[str, str] = {
    "boolean": "Boolean", "integer": "Integer", "positiveInt": "Integer", "unsignedInt": "Integer",
    "decimal": "Decimal", "date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time",
    "Quantity": "Quantity", "Age": "Quantity", "Duration": "Quantity", "Count": "Quantity", "Distance": "Quantity",
    "SimpleQuantity": "Quantity", "MoneyQuantity": "Quantity",
}  # fmt: skip
"""FHIR type → the System type that its items are used as; every other primitive is a String."""

_CLOCK = r"(\d\d)(?::(\d\d)(?::(\d\d)(\.\d{1,100})?)?)?"
_ZONE = r"(Z|[+-]\d\d:\d\d)?"
MOMENTS = tuple(
    re.compile(form, re.ASCII)
    for form in (rf"(\d{{4}})-(\d\d)-(\d\d)T{_CLOCK}{_ZONE}", r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?T?()()()()()", _CLOCK)
)
"""A day with a clock, a day or a part of one, a clock."""

LONGEST_TEXT = 1024 * 1024
TOO_LONG = "the text would be too long"
WIDE = Context(prec=1000, rounding=ROUND_HALF_UP)
"""Decimal arithmetic that never runs out of digits for what JSON can say."""

CALENDAR: Mapping[str, str] = {
    "year": "a", "years": "a", "month": "mo", "months": "mo", "week": "wk", "weeks": "wk", "day": "d", "days": "d",
    "hour": "h", "hours": "h", "minute": "min", "minutes": "min", "second": "s", "seconds": "s",
    "millisecond": "ms", "milliseconds": "ms",
}  # fmt: skip


class Item(NamedTuple):
    """A value. `type` is an R4 type or System.X; `path` is where definitions know its children; `twin` a primitive's
    id and extensions. `value` is None for a primitive that has only a twin."""

    value: Any
    type: str
    path: str = ""
    twin: Mapping[str, Any] | None = None

    @property
    def system(self) -> str:
        """Boolean, Integer, Decimal, String, Date, DateTime, Time or Quantity; "" for anything with parts."""
        if self.type.startswith("System."):
            return self.type[7:]
        known = SYSTEM.get(self.type)
        if known:
            return known
        return "" if isinstance(self.value, dict | list) or self.value is None else "String"


class Quantity(NamedTuple):
    """A System.Quantity."""

    value: Decimal
    unit: str


def boolean(value: bool) -> Item:
    return Item(value, "System.Boolean")


def integer(value: int) -> Item:
    return Item(value, "System.Integer")


def string(value: str) -> Item:
    return Item(value, "System.String")


def text(value: str) -> Item:
    """A text that was made; FhirPathError when it is longer than any that R4 knows."""
    if len(value) > LONGEST_TEXT:
        raise FhirPathError(TOO_LONG)
    return string(value)


def children(item: Item, name: str) -> Iterator[Item]:
    """The items under an element name; of a choice those of whichever type stands there."""
    held = item.value
    if not isinstance(held, dict):
        if item.twin:
            yield from children(Item(item.twin, "Element", item.type), name)
        return
    if name in held or f"_{name}" in held:
        yield from _under(held, name, f"{item.path}.{name}")
        return
    for key in held:
        plain = key[1:] if key.startswith("_") else key
        if plain.startswith(name) and plain[len(name) : len(name) + 1].isupper():
            element = definitions().element(f"{item.path}.{plain}")
            if element is not None and element.path.endswith(f"{name}[x]"):
                yield from _under(held, plain, f"{item.path}.{plain}")
                return


def all_children(item: Item) -> Iterator[Item]:
    """Every item one level below."""
    held = item.value if isinstance(item.value, dict) else item.twin or {}
    seen = set()
    for key in held:
        plain = key.removeprefix("_")
        if plain not in seen and plain != "resourceType":
            seen.add(plain)
            path = item.path if isinstance(item.value, dict) else item.type
            yield from _under(held, plain, f"{path}.{plain}")


def _under(held: Mapping[str, Any], key: str, path: str) -> Iterator[Item]:
    values, twins = held.get(key), held.get(f"_{key}")
    if not isinstance(values, list) and not isinstance(twins, list):
        yield item_of(values, path, twins if isinstance(twins, dict) else None)
        return
    listed: Sequence[Any] = values if isinstance(values, list) else ()
    beside: Sequence[Any] = twins if isinstance(twins, list) else ()
    for place in range(max(len(listed), len(beside))):
        value = listed[place] if place < len(listed) else None
        twin = beside[place] if place < len(beside) else None
        if value is not None or isinstance(twin, dict):
            yield item_of(value, path, twin if isinstance(twin, dict) else None)


def item_of(value: Any, path: str, twin: Mapping[str, Any] | None = None) -> Item:
    """A JSON value at an R4 path as an item; a resource is of the type that it says."""
    if isinstance(value, dict) and isinstance(value.get("resourceType"), str):
        return Item(value, value["resourceType"], value["resourceType"])
    type_name = definitions().type_of(path) or ""
    if isinstance(value, dict):
        return Item(
            value, "Element" if type_name in SYSTEM and type_name[0].islower() else type_name or "Element", path
        )
    if isinstance(value, float):
        value = Decimal(repr(value)) if isfinite(value) else None
    fits = value is None or isinstance(value, KINDS.get(SYSTEM.get(type_name, ""), str))
    # a value of another JSON kind than its type's is used as what it is; True is no whole number
    is_odd = not type_name or not fits or (isinstance(value, bool) and type_name != "boolean")
    return Item(value, _guess(value) if is_odd else type_name, path, twin)


KINDS: Mapping[str, Any] = {"Boolean": bool, "Integer": int, "Decimal": int | Decimal}
"""System type → what its values are in Python; every other is text."""


def _guess(value: Any) -> str:
    if isinstance(value, list):
        return "Element"
    if isinstance(value, bool):
        return "boolean"
    return "integer" if isinstance(value, int) else "decimal" if isinstance(value, Decimal) else "string"


def quantity_of(item: Item) -> Quantity | None:
    """An item as a quantity; a number counts as one of unit 1."""
    held = item.value
    if isinstance(held, Quantity):
        return held
    if isinstance(held, dict) and item.system == "Quantity":
        value = held.get("value")
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            return None
        return Quantity(Decimal(repr(value)), str(held.get("code") or held.get("unit") or "1"))
    if item.system in ("Integer", "Decimal"):
        return Quantity(Decimal(held), "1")
    return None


def number(item: Item) -> Decimal | int | None:
    """The number of an item, None when it is none."""
    held = item.value
    return held if isinstance(held, int | Decimal) and not isinstance(held, bool) else None


def moment(text: Any) -> tuple[list[int | Decimal], str] | None:
    """The parts of a date or time that are said, and the zone; None for what is neither."""
    if not isinstance(text, str):
        return None
    found = next(filter(None, (form.fullmatch(text) for form in MOMENTS)), None)
    if found is None:
        return None
    *said, fraction, zone = found.groups() if len(found.groups()) == 8 else (*found.groups(), "")
    parts: list[int | Decimal] = [int(each) for each in said if each]
    if fraction:
        parts[-1] += Decimal(f"0{fraction}")
    return parts, zone or ""


def compare_moments(left: str, right: str) -> int | None:
    """-1, 0 or 1; None when what one says more than the other would decide."""
    one, other = moment(left), moment(right)
    if one is None or other is None:
        return None
    (first, zone), (second, another) = one, other
    if zone != another and len(first) >= 5 and len(second) >= 5:
        if not zone or not another:
            return None
        first, second = _utc(first, zone), _utc(second, another)
    for a, b in zip(first, second, strict=False):
        if a != b:
            return -1 if a < b else 1
    return 0 if len(first) == len(second) or min(len(first), len(second)) >= 6 else None


def _utc(parts: list[int | Decimal], zone: str) -> list[int | Decimal]:
    offset = timedelta()
    if zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        offset = sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    year, month, day, hour, minute = (int(each) for each in parts[:5])
    try:
        at = datetime(year, month, day, hour, minute, tzinfo=UTC) - offset
    except (ValueError, OverflowError):
        return parts
    return [at.year, at.month, at.day, at.hour, at.minute, *parts[5:]]


def equal(left: Item, right: Item) -> bool | None:
    """`=` of two items; None when it cannot be said."""
    if left.value is None or right.value is None:
        return left.value is right.value and same(left.twin, right.twin)
    one, other = left.system, right.system
    if {one, other} <= {"Integer", "Decimal"} and one:
        return bool(left.value == right.value)
    if {one, other} <= {"Date", "DateTime", "Time"} and one:
        if (one == "Time") != (other == "Time"):
            return False
        order = compare_moments(left.value, right.value)
        return None if order is None else order == 0
    if "Quantity" in (one, other):
        a, b = quantity_of(left), quantity_of(right)
        if a is None or b is None:
            return one == other and same(left.value, right.value)
        return a.value == b.value if a.unit == b.unit or _unit(a) == _unit(b) else None
    if one != other:
        return False
    return same(left.value, right.value)


def equivalent(left: Item, right: Item) -> bool:
    """`~` of two items: case and white space of texts do not count, nor the last digits of numbers."""
    if left.value is None or right.value is None:
        return equal(left, right) is True
    one, other = left.system, right.system
    if one == other == "String":
        return " ".join(str(left.value).lower().split()) == " ".join(str(right.value).lower().split())
    if {one, other} <= {"Integer", "Decimal"} and one:
        a, b = WIDE.normalize(Decimal(left.value)), WIDE.normalize(Decimal(right.value))
        last = Decimal(1).scaleb(min(0, max(int(a.as_tuple().exponent), int(b.as_tuple().exponent))))
        return WIDE.quantize(a, last) == WIDE.quantize(b, last)
    if one == other == "Quantity":
        x, y = quantity_of(left), quantity_of(right)
        return x is not None and y is not None and x.value == y.value and _known(x) == _known(y)
    if not one and not other and isinstance(left.value, dict) and isinstance(right.value, dict):
        keys = {"system", "code"} if left.type == right.type == "Coding" else set(left.value) | set(right.value)
        return all(same(left.value.get(key), right.value.get(key)) for key in keys)
    return equal(left, right) is True


def compare(left: Item, right: Item) -> int | None:
    """-1, 0 or 1 of two items that have an order; None when it cannot be said. TypeError when they have none."""
    if left.value is None or right.value is None:
        return None
    one, other = left.system, right.system
    if {one, other} <= {"Integer", "Decimal"} and one:
        return _order(left.value, right.value)
    if ({one, other} <= {"Date", "DateTime"} and one) or one == other == "Time":
        return compare_moments(left.value, right.value)
    if "Quantity" in (one, other):
        a, b = quantity_of(left), quantity_of(right)
        if a is not None and b is not None:
            return _order(a.value, b.value) if _unit(a) == _unit(b) else None
    if one == other == "String":
        return _order(left.value, right.value)
    raise TypeError(f"{one or left.type} and {other or right.type} have no order")


def _order(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


def _known(quantity: Quantity) -> str:
    return CALENDAR.get(quantity.unit, quantity.unit)


def _unit(quantity: Quantity) -> str:
    """The unit that a quantity is compared in: a calendar's day is not 24 hours, a second is a second."""
    known = _known(quantity)
    return f"calendar {known}" if quantity.unit in CALENDAR and known not in ("s", "ms") else known


def decimal_of(text: str) -> Decimal | None:
    """A text as a number; None when it is none."""
    if not re.fullmatch(r"[+-]?\d{1,100}(\.\d{1,100})?", text, re.ASCII):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def text_of(item: Item) -> str | None:
    """toString of an item, None when it has parts."""
    held = item.value
    if isinstance(held, bool):
        return "true" if held else "false"
    if isinstance(held, Quantity):
        unit = held.unit if held.unit in CALENDAR else f"'{held.unit}'"
        return f"{held.value.normalize():f} {unit}"
    if isinstance(held, Decimal):
        return f"{held:f}"
    return str(held) if isinstance(held, str | int) else None
