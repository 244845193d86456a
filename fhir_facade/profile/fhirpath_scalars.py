"""Functions of FHIRPath on one value: conversion, texts, numbers. http://hl7.org/fhirpath/N1/#functions"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from fhir_facade.profile.fhirpath import Evaluator, Items, Scope
from fhir_facade.profile.fhirpath_arguments import Apply, Arguments, argument, of_one, text_argument
from fhir_facade.profile.fhirpath_syntax import FhirPathError
from fhir_facade.profile.fhirpath_values import (
    CALENDAR,
    Item,
    Quantity,
    boolean,
    decimal_of,
    integer,
    moment,
    number,
    quantity_of,
    string,
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
        return [integer(item.value)]
    found = re.fullmatch(r"[+-]?\d{1,10}", item.value, re.ASCII) if isinstance(item.value, str) else None
    return [integer(int(item.value))] if found else []


def to_decimal(item: Item) -> Items:
    if isinstance(item.value, bool | int | Decimal):
        return [Item(Decimal(item.value), "System.Decimal")]
    found = decimal_of(item.value) if isinstance(item.value, str) else None
    return [] if found is None else [Item(found, "System.Decimal")]


def to_string(item: Item) -> Items:
    held = text_of(item)
    return [] if held is None else [string(held)]


def to_moment(kind: str) -> Callable[[Item], Items]:
    def convert(item: Item) -> Items:
        held = item.value
        found = moment(held) if isinstance(held, str) else None
        is_time = isinstance(held, str) and not re.match(r"\d{4}", held)
        if found is None or not found[0] or is_time != (kind == "Time"):
            return []
        if kind == "Date":
            held = str(held).partition("T")[0]
        return [Item(held, f"System.{kind}")]

    return convert


_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(?:'([^']+)'|([a-z]+))?", re.ASCII)


def to_quantity(item: Item) -> Items:
    found = quantity_of(item)
    if found is None and isinstance(item.value, str):
        said = _QUANTITY.fullmatch(item.value)
        if said and (said[3] is None or said[3] in CALENDAR):
            found = Quantity(Decimal(said[1]), said[2] or said[3] or "1")
    return [] if found is None else [Item(found, "System.Quantity")]


def converts(function: Callable[[Item], Items]) -> Apply:
    return of_one(lambda item: [boolean(bool(function(item)))])


# texts


def matches(held: str, text: str) -> Items:
    return [boolean(pattern(text).is_found(held))]


def matches_full(held: str, text: str) -> Items:
    return [boolean(pattern(text).is_whole(held))]


def replace_matches(held: str, text: str, put: str) -> Items:
    return [string(pattern(text).replaced(held, put))]


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
    return [string((between or "").join(text_of(item) or "" for item in focus))] if focus else []


# numbers


def rounded(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    value = number(ev.single(focus)) if focus else None
    given = argument(ev, arguments[0], scope) if arguments else integer(0)
    places = number(given) if given else None
    if value is None or places is None:
        return []
    if not 0 <= int(places) <= 28:
        raise FhirPathError("round() takes 0 to 28 places")
    return [Item(Decimal(value).quantize(Decimal(1).scaleb(-int(places)), ROUND_HALF_UP), "System.Decimal")]


def math(function: Callable[[Any], Any]) -> Apply:
    def apply(item: Item) -> Items:
        value = number(item)
        if value is None:
            return []
        try:
            found = function(value)
        except (ValueError, InvalidOperation, OverflowError, ZeroDivisionError):
            return []
        return [Item(found, "System.Integer" if isinstance(found, int) else "System.Decimal")]

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
    except (InvalidOperation, OverflowError, ZeroDivisionError):
        return []
    if not found.is_finite():
        return []
    whole = isinstance(value, int) and isinstance(exponent, int) and exponent >= 0
    return [integer(int(found))] if whole else [Item(found, "System.Decimal")]


def log(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
    value = number(ev.single(focus)) if focus else None
    given = argument(ev, arguments[0], scope)
    base = number(given) if given else None
    if value is None or base is None or value <= 0 or base <= 0 or base == 1:
        return []
    return [Item(Decimal(value).ln() / Decimal(base).ln(), "System.Decimal")]
