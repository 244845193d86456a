"""Dates and periods as SQL: ranges of milliseconds that are compared with the range that is sought."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, literal, not_, or_

from fhir_facade.mapping.columns import HIGHEST, LOWEST
from fhir_facade.mapping.search_columns import high_name, low_name
from fhir_facade.mapping.search_hits import Hit
from fhir_facade.mapping.search_order import or_empty
from fhir_facade.mapping.search_values import Range

Where = ColumnElement[bool]


def compare(prefix: str, span: Range, low: ColumnElement[int], high: ColumnElement[int]) -> Where:
    """How a search range meets a value range (https://hl7.org/fhir/R4/search.html#prefix)."""
    inside = and_(low >= span.low, low <= span.high, high <= span.high)  # the second lets an index end there
    match prefix:
        case "eq":
            return inside
        case "ne":
            return not_(inside)
        case "gt":
            return high > span.high
        case "lt":
            return low < span.low
        case "ge":
            return or_(high > span.high, inside)
        case "le":
            return or_(low < span.low, inside)
        case "sa":
            return low >= span.high
        case "eb":
            return high <= span.low
        case _:  # ap: the two ranges overlap
            return and_(low < span.high, high > span.low)


def bounds(group: list[Hit], table: FromClause) -> tuple[Any, Any, Any]:
    """(low, high, there is something) of a date or a period; an open end is far away."""
    if not group[0].part:
        rule = group[0].rule
        start = table.c[low_name(rule)]
        return start, table.c[high_name(rule)], start.is_not(None)
    by_part = {hit.part: hit.rule for hit in group}
    low = or_empty(table.c[low_name(by_part["start"])], LOWEST) if "start" in by_part else literal(LOWEST)
    high = or_empty(table.c[high_name(by_part["end"])], HIGHEST) if "end" in by_part else literal(HIGHEST)
    named = {"start": low_name, "end": high_name}
    present = or_(*(table.c[named[part](rule)].is_not(None) for part, rule in by_part.items()))
    return low, high, present
