"""What search needs beside the fields themselves: bounds of dates and folded text, computed when a record is written.

Also an example value for each parameter, made of what its rules write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_facade.mapping.codecs import Unusable, oslo_time
from fhir_facade.mapping.columns import FieldIndex, SearchColumn, column_name
from fhir_facade.mapping.ir import Coded, Constant, Copy, Derive, Identify, Key, Logical, Refer, Rule, System
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.mapping.search_hits import Hit
from fhir_facade.mapping.search_tokens import codings
from fhir_facade.mapping.search_values import EXAMPLES, date_range, folded


def low_name(rule: Any) -> str:
    return f"_low_{column_name(rule.fields[0])}"


def high_name(rule: Any) -> str:
    return f"_high_{column_name(rule.fields[0])}"


def folded_name(rule: Any) -> str:
    return f"_folded_{column_name(rule.fields[0])}"


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
        return [SearchColumn(owner, child, folded_name(rule), "text", lambda item: _folded_value(rule, item), reads)]
    return []


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
    return None if value is None else folded(str(value))


def example(kind: str, rules: list[Rule]) -> str:
    """A value that the parameter takes, made of what its first rule writes."""
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
            return str(value if isinstance(value, str) else next(iter(codings(value)))[1])
        case Key():
            return f"{rule.prefix}-983974880.P000001" if rule.prefix else "983974880.P000001"
        case Copy() if kind == "token":
            return "home" if rule.datatype == "code" else "12345678"
        case _:
            return EXAMPLES[kind]
