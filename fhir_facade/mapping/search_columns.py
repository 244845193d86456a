"""What search needs beside the fields themselves: bounds of dates and folded text, computed when a record is written.

Also an example value for each parameter, made of what its rules write.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from fhir_facade.mapping.codecs import Unusable, oslo_time, primitive
from fhir_facade.mapping.columns import FieldIndex, SearchColumn, column_name
from fhir_facade.mapping.ir import Coded, Constant, Copy, Derive, Identify, Key, Logical, Refer, Rule, System
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.mapping.search_hits import Hit
from fhir_facade.mapping.search_tokens import codings
from fhir_facade.mapping.search_values import EXAMPLES, date_range, folded

LOWEST = {"positiveInt": 1, "unsignedInt": 0}
"""The least number of the types that have one (codecs.primitive)."""


def _stem(rule: Copy) -> str:
    """Names the value that a row shows: rows of the same fields and the same text behind them share it."""
    fields = "__".join(map(column_name, rule.fields))
    return f"{fields}_{zlib.crc32(rule.suffix.encode()):x}" if rule.suffix else fields


def low_name(rule: Any) -> str:
    """The column of the first millisecond of a date."""
    return f"_low_{_stem(rule)}"


def high_name(rule: Any) -> str:
    """The column of the first millisecond behind a date."""
    return f"_high_{_stem(rule)}"


def folded_name(rule: Any) -> str:
    """The column of a text without case and accents."""
    return f"_folded_{_stem(rule)}"


def number_name(rule: Any) -> str:
    """The column of a whole number that FHIR can hold where the row writes it."""
    lowest = LOWEST.get(rule.datatype)
    return f"_number_{_stem(rule)}" if lowest is None else f"_number_from_{lowest}_{_stem(rule)}"


def indexed(rule: Rule) -> bool:
    """Whether the value that a rule writes has an index: keys, identifiers, and codes of systems without a list here.

    A listed code is one of few, so that an index would lead to a large part of the table.
    """
    match rule:
        case Key() | Identify() | Logical() | Refer():
            return True
        case Coded(code_map=None):
            systems: list[System] = [rule.system] if rule.system else list(rule.systems.values())
            return any(not system.displays for system in systems)
        case _:
            return False


def columns_of(kind: Kind, kinds: Kinds, parameter_type: str, hit: Hit) -> list[SearchColumn | FieldIndex]:
    """The columns that a search over one rule needs, or the index that its field is to have."""
    rule = hit.rule
    if parameter_type == "composite":
        parts = [(each, inner) for each, found in hit.parts for inner in found]
        return [column for each, inner in parts for column in columns_of(kind, kinds, each, inner)]
    owner, child = kind.name, hit.each.child if hit.each else ""
    if child and kind.children[child].records:
        owner, child = kinds[kind.children[child].records].name, ""
    if isinstance(rule, Identify | Logical | Coded):  # the columns of keys and links have an index anyhow
        return [FieldIndex(owner, child, column_name(rule.field))] if indexed(rule) else []
    if not isinstance(rule, Copy):
        return []
    reads = tuple((name, rule.codec) for name in rule.fields)
    if parameter_type == "date":
        return [
            SearchColumn(owner, child, low_name(rule), "integer", lambda item: _bound(rule, item, 0), reads),
            SearchColumn(owner, child, high_name(rule), "integer", lambda item: _bound(rule, item, 1), reads),
        ]
    if parameter_type == "string":
        name, suffix = folded_name(rule), rule.suffix
        return [SearchColumn(owner, child, name, "text", lambda item: _folded_value(rule, item), reads, suffix=suffix)]
    if parameter_type in ("number", "quantity"):
        name, least = number_name(rule), LOWEST.get(rule.datatype, -(2**31))
        return [SearchColumn(owner, child, name, "integer", lambda item: _number(rule, item), reads, least=least)]
    return []


def _number(rule: Copy, item: Mapping[str, Any]) -> int | None:
    value = _first(rule, item)
    try:
        return None if value is None else int(primitive(rule.codec, rule.datatype, value))
    except Unusable:
        return None


def _first(rule: Copy, item: Mapping[str, Any]) -> Any:
    return next((value for name in rule.fields if (value := item.get(name)) is not None), None)


def _bound(rule: Copy, item: Mapping[str, Any], side: int) -> int | None:
    """The first or the last millisecond of a date field, as the resource shows it."""
    value = _first(rule, item)
    if value is None:
        return None
    try:
        span = date_range(oslo_time(value) if rule.codec == "dateTime" else str(value))
    except Unusable:
        return None
    return span[side] if span else None


def _folded_value(rule: Copy, item: Mapping[str, Any]) -> str | None:
    value = _first(rule, item)
    return None if value is None else folded(f"{value}{rule.suffix}")


def example_of(kind: str, found: Sequence[Hit]) -> str:
    """A value that a parameter of a type takes, made of what its first row writes."""
    if kind == "composite":
        return "$".join(example_of(each, inner) for each, inner in found[0].parts)
    return example(kind, [hit.rule for hit in found])


def example(kind: str, rules: list[Rule]) -> str:
    """The same for parameters that are no composites."""
    rule = rules[0]
    match rule:
        case Refer() | Logical() if kind == "reference":
            return f"{rule.to}/983974880.P000001"
        case Coded() if rule.code_map:
            target = next(iter(rule.code_map.targets.values()))
            return f"{target.system}|{target.code}"
        case Coded() | Identify() if rule.system or rule.systems:
            system = rule.system or next(iter(rule.systems.values()))
            return f"{system.uri}|{next(iter(system.displays or {}), '12345')}"
        case Constant() | Derive():
            value = rule.value if isinstance(rule, Constant) else rule.choices[0][1]
            return next(iter(codings(value)))[1]
        case Key():
            return f"{rule.prefix}-983974880.P000001" if rule.prefix else "983974880.P000001"
        case Copy() if kind == "token":
            return "home" if rule.datatype == "code" else "12345678"
        case _:
            return EXAMPLES[kind]
