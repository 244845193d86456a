"""Tokens as SQL: which record codes a `system|code` means, for each rule that can write a code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, false, func, not_, or_, true

from fhir_facade.mapping.codecs import reverse_codes
from fhir_facade.mapping.columns import KEY, column_name
from fhir_facade.mapping.ir import Coded, Condition, Constant, Copy, Derive, Identify, Key, Logical, System
from fhir_facade.mapping.search_hits import Hit
from fhir_facade.mapping.search_values import Token
from fhir_facade.terminology.uris import canonical

Where = ColumnElement[bool]


def token_where(hit: Hit, token: Token, table: FromClause) -> Where:
    """The records (or list items) in which this hit's rule writes a code that the token means."""
    rule = hit.rule
    match rule:
        case Coded():
            return _coded(rule, token, table)
        case Identify():
            column = table.c[column_name(rule.field)]
            return and_(_chosen(rule.system, rule.system_field, rule.systems, token, table), _code(column, token))
        case Logical():
            return and_(
                true() if accepts(rule.system, token) else false(),
                _code(table.c[column_name(rule.field)], token),
            )
        case Copy():
            if not _stands_for(token, "", hit.implied):
                return false()
            return shown(rule, table).is_not(None) if token.code is None else is_shown(rule, token.code, table)
        case Key():
            head = f"{rule.prefix}-" if rule.prefix else ""
            wanted = token.code or ""
            if token.system or not wanted.startswith(head):
                return false()
            return table.c[KEY] == wanted.removeprefix(head)
        case Constant() | Derive():
            return chosen_value(rule, lambda value: _means(value, token, hit.implied), table)
        case _:
            return false()


def shown(rule: Copy, table: FromClause) -> ColumnElement[Any]:
    """The value that a plain row shows: that of the first of its fields that has one."""
    columns = [table.c[column_name(name)] for name in rule.fields]
    return columns[0] if len(columns) == 1 else func.coalesce(*columns)


def is_shown(rule: Copy, text: str, table: FromClause) -> Where:
    """The records in which a plain row writes this text, with what it puts behind the value."""
    return shown(rule, table) == text.removesuffix(rule.suffix) if text.endswith(rule.suffix) else false()


def accepts(system: System, token: Token) -> bool:
    """Whether a token's system, in any form that we read, is this one; a token without system takes any."""
    return token.system is None or same_system(token.system, system.uri) or token.system in system.aliases


def same_system(one: str, other: str) -> bool:
    """Whether two URIs mean one system."""
    return one == other or canonical(one) == canonical(other)


def _code(column: ColumnElement[Any], token: Token) -> Where:
    return column.is_not(None) if token.code is None else column == token.code


def _chosen(system: System | None, field: str, systems: Mapping[str, System], token: Token, table: FromClause) -> Where:
    """Whether the system that a record chooses is the token's."""
    if not field:
        return true() if system is not None and accepts(system, token) else false()
    if token.system is None:
        return true()
    column = table.c[column_name(field)]
    if token.system == "":
        return or_(column.is_(None), not_(column.in_(list(systems))))
    return column.in_([name for name, each in systems.items() if accepts(each, token)])


def _coded(rule: Coded, token: Token, table: FromClause) -> Where:
    column = table.c[column_name(rule.field)]
    own = and_(_chosen(rule.system, rule.system_field, rule.systems, token, table), _code(column, token))
    code_map = rule.code_map
    if code_map is None:
        return own
    original = and_(own, stays(rule, column))
    if token.system is not None and not same_system(token.system, code_map.target_system):
        return original
    codes = list(code_map.targets) if token.code is None else reverse_codes(code_map, token.code)
    return or_(original, column.in_(codes))


def stays(rule: Coded, column: ColumnElement[Any]) -> Where:
    """Where the record's own code stands in the resource, beside the one that a code map makes of it or alone."""
    code_map = rule.code_map
    if code_map is None:
        return true()
    known = column.in_(list(code_map.targets))
    alone = rule.shape == "code" or code_map.unmapped != "absent"  # what the map does not know, see codecs.coded_value
    if rule.original == "beside":
        return true() if alone else known
    return not_(known) if alone else false()


def _means(value: Any, token: Token, implied: frozenset[str]) -> bool:
    return any(
        _stands_for(token, system, implied) and (token.code is None or token.code == code)
        for system, code in codings(value)
    )


def _stands_for(token: Token, system: str, implied: frozenset[str]) -> bool:
    """Whether a token's system is that of a value; a plain code has the systems that its binding implies."""
    if token.system is None:
        return True
    return canonical(token.system) in implied if implied and not system else same_system(token.system, system)


def codings(value: Any) -> Iterable[tuple[str, str]]:
    """The (system, code) pairs of a JSON value."""
    return [(system, code) for system, code, _ in codings_of(value)]


def codings_of(value: Any) -> Iterable[tuple[str, str, str]]:
    """(system, code, display) of a JSON value; a plain code, or true and false, has no system and no display."""
    if isinstance(value, bool):
        return [("", "true" if value else "false", "")]
    if isinstance(value, str):
        return [("", value, "")]
    codings = value.get("coding", [value]) if isinstance(value, dict) else []
    return [(each.get("system", ""), each.get("code", ""), each.get("display", "")) for each in codings]


def values_written(rule: Constant | Derive) -> list[Any]:
    """Every JSON value that a constant or a derivation may write."""
    if isinstance(rule, Constant):
        return [rule.value]
    return [value for value in (*(value for _, value in rule.choices), rule.otherwise) if value is not None]


def chosen_value(rule: Constant | Derive, passes: Callable[[Any], bool], table: FromClause) -> Where:
    """The records for which the JSON value that a constant or a derivation writes passes a test.

    One branch of a derivation holds when its condition does and none before it did.
    """
    if isinstance(rule, Constant):
        return true() if passes(rule.value) else false()
    out: list[Where] = []
    before: list[Where] = []
    for condition, value in rule.choices:
        holds = test(table, condition)
        if passes(value):
            out.append(and_(holds, *before))
        before.append(not_(holds))
    if rule.otherwise is not None and passes(rule.otherwise):
        out.append(and_(true(), *before))
    return or_(false(), *out)


def test(table: FromClause, condition: Condition) -> Where:
    """A condition on the fields of a record, or of a list item."""
    column = table.c[column_name(condition.field)]
    if condition.values:
        return and_(column.is_not(None), column.in_(condition.values))
    return column.is_not(None)
