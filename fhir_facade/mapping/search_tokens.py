"""Tokens as SQL: which record codes a `system|code` means, for each rule that can write a code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, false, not_, or_, true

from fhir_facade.mapping.codecs import reverse_codes
from fhir_facade.mapping.columns import KEY, column_name
from fhir_facade.mapping.ir import Coded, Condition, Constant, Copy, Derive, Identify, Key, Logical, System
from fhir_facade.mapping.search_hits import Hit
from fhir_facade.mapping.search_values import Token

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
            column = table.c[column_name(rule.fields[0])]
            return _code(column, token) if _stands_for(token, "", hit.implied) else false()
        case Key():
            head = f"{rule.prefix}-" if rule.prefix else ""
            wanted = token.code or ""
            if token.system or not wanted.startswith(head):
                return false()
            return table.c[KEY] == wanted.removeprefix(head)
        case Constant():
            return true() if _means(rule.value, token, hit.implied) else false()
        case Derive():
            return _derived(rule, token, table, hit.implied)
        case _:
            return false()


def accepts(system: System, token: Token) -> bool:
    """Whether a token's system, in any form that we read, is this one; a token without system takes any."""
    return token.system is None or token.system == system.uri or token.system in system.aliases


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
    if rule.original == "beside":
        original = own
    elif rule.shape == "code" or code_map.unmapped == "absent":
        original = false()
    else:  # without the original beside, it stands alone where the map does not know the code
        original = and_(own, not_(column.in_(list(code_map.targets))))
    if token.system is not None and token.system != code_map.target_system:
        return original
    codes = list(code_map.targets) if token.code is None else reverse_codes(code_map, token.code)
    return or_(original, column.in_(codes))


def _means(value: Any, token: Token, implied: frozenset[str]) -> bool:
    return any(
        _stands_for(token, system, implied) and (token.code is None or token.code == code)
        for system, code in codings(value)
    )


def _stands_for(token: Token, system: str, implied: frozenset[str]) -> bool:
    """Whether a token's system is that of a value; a plain code has the systems that its binding implies."""
    return token.system is None or (token.system in implied if implied and not system else token.system == system)


def codings(value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, str):
        return [("", value)]
    codings = value.get("coding", [value]) if isinstance(value, dict) else []
    return [(each.get("system", ""), each.get("code", "")) for each in codings]


def _derived(rule: Derive, token: Token, table: FromClause, implied: frozenset[str]) -> Where:
    """One branch of a derivation holds when its test does and none before it did."""
    out: list[Where] = []
    before: list[Where] = []
    for condition, value in rule.choices:
        holds = _test(table, condition)
        if _means(value, token, implied):
            out.append(and_(holds, *before))
        before.append(not_(holds))
    if rule.otherwise is not None and _means(rule.otherwise, token, implied):
        out.append(and_(true(), *before))
    return or_(false(), *out)


def _test(table: FromClause, condition: Condition) -> Where:
    column = table.c[column_name(condition.field)]
    if condition.values:
        return and_(column.is_not(None), column.in_(condition.values))
    return column.is_not(None)
