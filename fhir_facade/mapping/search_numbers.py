"""Numbers and quantities as SQL: the implied precision of what is sought, and the units beside it.

https://hl7.org/fhir/R4/search.html#number and #quantity. Records hold whole numbers, so every comparison becomes one of
whole numbers. Units are compared as they are written; nothing is converted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, and_, false, not_, or_

from fhir_facade.mapping.codecs import reverse_codes
from fhir_facade.mapping.columns import column_name
from fhir_facade.mapping.ir import Coded, Constant, Copy, Derive, Rule
from fhir_facade.mapping.search_columns import number_name
from fhir_facade.mapping.search_hits import Hit
from fhir_facade.mapping.search_tokens import chosen_value, is_shown, same_system, shown, test
from fhir_facade.mapping.search_values import PREFIXES, guarded_split, invalid, plain
from fhir_facade.terminology.uris import variants

Where = ColumnElement[bool]
NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?").fullmatch
DIGITS = 200
"""Significant digits of all arithmetic: more than any accepted number and its precision have together."""
LEAST, MOST = -(2**62), 2**62


class Span(NamedTuple):
    """The whole numbers from `low` to `high`, both among them, or (`outside`) all others."""

    low: int
    high: int
    outside: bool = False

    def holds(self, number: int) -> bool:
        """Whether a number is meant."""
        return (self.low <= number <= self.high) != self.outside


class Amount(NamedTuple):
    """A sought quantity; `system` and `code` are None where not given. Without a system the code may be the unit."""

    span: Span
    system: str | None = None
    code: str | None = None


def number_value(parameter: str, text: str, kind: str = "number") -> Span:
    """`ge5.40` → the whole numbers that it means; Refused when it is no number.

    Without a prefix half a unit of the last digit belongs to it on either side, and `ap` takes a tenth of the number
    besides. The other prefixes compare with the number as it stands.
    """
    prefix, rest = (text[:2], text[2:]) if text[:2] in PREFIXES else ("eq", text)
    rest = rest.replace(" ", "+")  # a URL turns the plus of an exponent into a space
    if not NUMBER(rest):
        raise invalid(parameter, kind, "numbers are written as 100, -5.40 or 1e2")
    with localcontext(prec=DIGITS):
        return _meant(prefix, Decimal(rest))


def _meant(prefix: str, number: Decimal) -> Span:
    """The whole numbers that a prefix and a number mean."""
    if prefix in ("gt", "sa"):
        return _span(_floor(number) + 1, MOST)
    if prefix == "ge":
        return _span(_ceiling(number), MOST)
    if prefix in ("lt", "eb"):
        return _span(LEAST, _ceiling(number) - 1)
    if prefix == "le":
        return _span(LEAST, _floor(number))
    exponent = number.as_tuple().exponent
    half = Decimal((0, (5,), int(exponent) - 1))
    low, high = _ceiling(number - half), _ceiling(number + half) - 1
    if prefix == "ap":
        tenth = abs(number) / 10
        low, high = min(low, _ceiling(number - tenth)), max(high, _floor(number + tenth))
    return _span(low, high, outside=prefix == "ne")


def _span(low: int, high: int, *, outside: bool = False) -> Span:
    return Span(max(LEAST, min(low, MOST)), max(LEAST, min(high, MOST)), outside)


def _floor(number: Decimal) -> int:
    return int(number.to_integral_value(ROUND_FLOOR))


def _ceiling(number: Decimal) -> int:
    return int(number.to_integral_value(ROUND_CEILING))


def quantity_value(parameter: str, text: str) -> Amount:
    """`5.4`, `5.4|system|code` or `5.4||code`."""
    number, *unit = map(plain, guarded_split(text, "|"))
    if len(unit) not in (0, 2):
        raise invalid(parameter, "quantity", "write number, number|system|code or number||code")
    system, code = unit or ("", "")
    return Amount(number_value(parameter, number, "quantity"), system or None, code or None)


def number_where(rule: Rule, span: Span, table: FromClause) -> Where:
    """The records (or list items) in which a rule writes a number that is meant."""
    if isinstance(rule, Constant | Derive):
        return chosen_value(rule, lambda value: isinstance(value, int) and span.holds(value), table)
    if not isinstance(rule, Copy):
        return false()
    column = table.c[number_name(rule)]
    inside = and_(column >= span.low, column <= span.high)
    return not_(inside) if span.outside else inside


def quantity_where(hit: Hit, amount: Amount, table: FromClause) -> Where:
    """The same for a quantity: its number and, where they are asked for, its system and code or unit."""
    parts = [number_where(hit.rule, amount.span, table)]
    if amount.system is not None:
        parts.append(_said(hit, ("system",), amount.system, table))
    if amount.code is not None:
        parts.append(_said(hit, ("code",) if amount.system is not None else ("code", "unit"), amount.code, table))
    return and_(*parts)


def _said(hit: Hit, names: Sequence[str], text: str, table: FromClause) -> Where:
    """Whether one of the members of a quantity says a text."""
    mates = [(name, rule) for name, rule in hit.mates if name in names]
    return or_(
        false(),
        *(
            and_(_is(rule, text, name == "system", table), *(test(table, condition) for condition in rule.when))
            for name, rule in mates
        ),
    )


def _is(rule: Rule, text: str, is_system: bool, table: FromClause) -> Where:
    match rule:
        case Copy() if is_system:
            return shown(rule, table).in_([text, *variants(text)])
        case Copy():
            return is_shown(rule, text, table)
        case Coded():
            column: ColumnElement[Any] = table.c[column_name(rule.field)]
            return column.in_(reverse_codes(rule.code_map, text)) if rule.code_map else column == text
        case Constant() | Derive():
            return chosen_value(rule, lambda each: same_system(each, text) if is_system else each == text, table)
        case _:
            return false()
