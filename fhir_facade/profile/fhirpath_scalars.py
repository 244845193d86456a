"""Functions of FHIRPath on one value: conversion, texts, numbers. http://hl7.org/fhirpath/N1/#functions"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from fhir_facade.profile.fhirpath import Evaluator, Items, Scope
from fhir_facade.profile.fhirpath_arguments import Apply, Arguments, argument, of_one, text_argument
from fhir_facade.profile.fhirpath_arithmetic import fitting
from fhir_facade.profile.fhirpath_syntax import FhirPathError
from fhir_facade.profile.fhirpath_values import (
    CALENDAR,
    LONGEST_TEXT,
    TOO_LONG,
    WIDE,
    Item,
    Quantity,
    boolean,
    decimal_of,
    integer,
    moment,
    number,
    quantity_of,
    string,
    text,
    text_of,
)
from fhir_facade.profile.patterns import pattern

# conversion


def to_boolean(item: Item) -> Items:
    held = text_of(item)
    if item.system == "Decimal" and item.value in (0, 1):
        return [boolean(item.value == 1)]
    if held is not None and held.lower() in ("true", "t", "yes", "y", "1", "1.0"):
        return [boolean(True)]
    return [boolean(False)] if held is not None and held.lower() in ("false", "f", "no", "n", "0", "0.0") else []


def to_integer(item: Item) -> Items:
    if isinstance(item.value, bool):
        return [integer(int(item.value))]
    if isinstance(item.value, int):
        return fitting(item.value)
    found = re.fullmatch(r"[+-]?\d{1,10}", item.value, re.ASCII) if isinstance(item.value, str) else None
    return fitting(int(item.value)) if found else []


def to_decimal(item: Item) -> Items:
    if isinstance(item.value, bool | int | Decimal):
        return [Item(Decimal(item.value), "System.Decimal")]
    found = decimal_of(item.value) if isinstance(item.value, str) else None
    return [] if found is None else [Item(found, "System.Decimal")]


def to_string(item: Item) -> Items:
    held = text_of(item)
    return [] if held is None else [text(held)]


_DAY = re.compile(r"(\d{4})(-\d\d)?(-\d\d)?", re.ASCII)
_CLOCK = r"([01]\d|2[0-3])(:[0-5]\d(:[0-5]\d(\.\d+)?)?)?"
_TIME = re.compile(_CLOCK, re.ASCII)
_TIME_AND_ZONE = re.compile(rf"{_CLOCK}(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))?", re.ASCII)


def is_there(held: str) -> bool:
    """Whether a text of the right form is a day and time that exist."""
    day, _, clock = held.partition("T")
    said = _DAY.fullmatch(day)
    if said is None:
        return bool(_TIME.fullmatch(held))
    try:
        date(int(said[1]), int((said[2] or "-1")[1:]), int((said[3] or "-1")[1:]))
    except ValueError:
        return False
    return not clock or bool(_TIME_AND_ZONE.fullmatch(clock))


def to_moment(kind: str) -> Callable[[Item], Items]:
    def convert(item: Item) -> Items:
        held = item.value
        found = moment(held) if isinstance(held, str) else None
        is_time = isinstance(held, str) and not re.match(r"\d{4}", held)
        if found is None or not found[0] or is_time != (kind == "Time") or not is_there(str(held)):
            return []
        if kind == "Date":
            held = str(held).partition("T")[0]
        return [Item(held, f"System.{kind}")]

    return convert


_QUANTITY = re.compile(r"([+-]?\d{1,100}(?:\.\d{1,100})?)\s*(?:'([^']+)'|([a-z]+))?", re.ASCII)


def quantity_from(item: Item) -> Items:
    found = quantity_of(item)
    if found is None and isinstance(item.value, bool):
        found = Quantity(Decimal(item.value), "1")
    if found is None and isinstance(item.value, str):
        said = _QUANTITY.fullmatch(item.value)
        if said and (said[3] is None or said[3] in CALENDAR):
            found = Quantity(Decimal(said[1]), said[2] or said[3] or "1")
    return [] if found is None else [Item(found, "System.Quantity")]


def to_quantity(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    """In the unit that is asked for, when it is already in it: units are not converted."""
    found = quantity_from(ev.single(focus)) if focus else []
    wanted = text_argument(ev, arguments[0], scope) if arguments else None
    return [
        item
        for item in found
        if not arguments or CALENDAR.get(item.value.unit, item.value.unit) == CALENDAR.get(wanted or "", wanted)
    ]


def converts_to_quantity(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    return [boolean(bool(to_quantity(ev, focus, arguments, scope)))] if focus else []


def converts(function: Callable[[Item], Items]) -> Apply:
    return of_one(lambda item: [boolean(bool(function(item)))])


# texts


def matches(ev: Evaluator, held: str, asked: str) -> Items:
    form = pattern(asked)
    ev.count(form.steps(len(held)))
    return [boolean(form.is_found(held))]


def matches_full(ev: Evaluator, held: str, asked: str) -> Items:
    form = pattern(asked)
    ev.count(form.steps(len(held)))
    return [boolean(form.is_whole(held))]


def replace_matches(ev: Evaluator, held: str, asked: str, put: str) -> Items:
    form = pattern(asked)

    def looked_on(length: int) -> None:
        ev.count(form.steps(length) + 1)

    return [string(form.replaced(held, put, LONGEST_TEXT, looked_on))]


def replaced(ev: Evaluator, held: str, old: str, new: str) -> Items:
    _bounded(len(held) + (held.count(old) if old else len(held) + 1) * (len(new) - len(old)))
    return [string(held.replace(old, new))]


def to_chars(ev: Evaluator, held: str) -> Items:
    ev.count(len(held))
    return [string(each) for each in held]


def split(ev: Evaluator, held: str, by: str) -> Items:
    if not by:
        return []
    ev.count(held.count(by))
    return [string(each) for each in held.split(by)]


def substring(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    held = text_of(ev.single(focus)) if focus else None
    given = [argument(ev, each, scope) for each in arguments]
    start = number(given[0]) if given[0] else None
    if held is None or start is None or not 0 <= start < len(held):
        return []
    length = number(given[1]) if len(given) > 1 and given[1] else None
    return [string(held[int(start) :] if length is None else held[int(start) : int(start) + max(int(length), 0)])]


def join(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    between = text_argument(ev, arguments[0], scope) if arguments else ""
    if not focus:
        return []
    parts = [text_of(item) or "" for item in focus]
    _bounded(sum(map(len, parts)) + len(parts) * len(between or ""))
    return [string((between or "").join(parts))]


def _bounded(length: int) -> None:
    if length > LONGEST_TEXT:
        raise FhirPathError(TOO_LONG)


# numbers


def rounded(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    value = number(ev.single(focus)) if focus else None
    given = argument(ev, arguments[0], scope) if arguments else integer(0)
    places = number(given) if given else None
    if value is None or places is None:
        return []
    if not 0 <= int(places) <= 28:
        raise FhirPathError("round() takes 0 to 28 places")
    return [Item(WIDE.quantize(Decimal(value), Decimal(1).scaleb(-int(places))), "System.Decimal")]


def math(function: Callable[[Any], Any]) -> Apply:
    def apply(item: Item) -> Items:
        value = number(item)
        if value is None:
            return []
        try:
            found = function(value)
        except (ValueError, ArithmeticError):
            return []
        return fitting(found)

    return of_one(apply)


def real(value: Any, allowed: bool) -> Decimal:
    if not allowed:
        raise ValueError(value)
    return Decimal(value)


def absolute(item: Item) -> Items:
    held = item.value
    if isinstance(held, Quantity):
        return [Item(Quantity(abs(held.value), held.unit), item.type)]
    value = number(item)
    return [] if value is None else [Item(abs(value), item.type)]


def power(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    value = number(ev.single(focus)) if focus else None
    given = argument(ev, arguments[0], scope)
    exponent = number(given) if given else None
    if value is None or exponent is None or abs(Decimal(exponent)) > 100:
        return []
    try:
        found = Decimal(value) ** Decimal(exponent)
    except ArithmeticError:
        return []
    whole = isinstance(value, int) and isinstance(exponent, int) and exponent >= 0
    if whole:
        return fitting(int(found)) if abs(found) < 2**53 else []
    return fitting(found)


def log(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    value = number(ev.single(focus)) if focus else None
    given = argument(ev, arguments[0], scope)
    base = number(given) if given else None
    if value is None or base is None or value <= 0 or base <= 0 or base == 1:
        return []
    return fitting(Decimal(value).ln() / Decimal(base).ln())
