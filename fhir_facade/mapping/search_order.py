"""How results are ordered: the column that a sort key compares, what stands for nothing there, and its index.

The expression of an order and that of its index must be the same text, so both are made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, literal_column

from fhir_facade.definitions import SearchParameter
from fhir_facade.mapping.columns import HIGHEST, LOWEST, SearchColumn, column_name, index_only
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.mapping.search_columns import columns_of, folded_name, low_name
from fhir_facade.mapping.search_hits import Hit


class Order(NamedTuple):
    """The rule whose value a sort key compares, and what stands for nothing there."""

    rule: Any
    empty: int | str


def order_of(parameter_type: str, found: Sequence[Hit]) -> Order | None:
    """What a sort key compares; None where it is the same for all records."""
    found = [hit for hit in found if not hit.each]
    if parameter_type != "date":
        return Order(found[0].rule, "") if found else None
    group = periods(found)[0] if found else []
    starts = [hit for hit in group if hit.part in ("", "start")]
    return Order(starts[0].rule, LOWEST if starts[0].part else HIGHEST) if starts else None


def order_column(parameter_type: str, rule: Any) -> str:
    """The column whose value a sort key compares."""
    if parameter_type == "date":
        return low_name(rule)
    return folded_name(rule) if parameter_type == "string" else column_name(rule.field)


def order_columns(kind: Kind, kinds: Kinds, parameter: SearchParameter, found: Sequence[Hit]) -> list[SearchColumn]:
    """The columns that a sort key needs an index over; the key of a record has its own."""
    order = order_of(parameter.type, found) if parameter.code != "_id" else None
    if order is None:
        return []
    if parameter.type == "token":
        return [index_only(kind.name, "", order.rule.field, "")]
    named = order_column(parameter.type, order.rule)
    columns = columns_of(kind, kinds, parameter.type, Hit(order.rule, None))
    return [
        replace(column, empties=(order.empty,))
        for column in columns
        if isinstance(column, SearchColumn) and column.name == named
    ]


def or_empty(column: ColumnElement[Any], empty: int | str) -> ColumnElement[Any]:
    """A column with something in the place of NULL, written as in the index over it: the value is in the text."""
    text = str(empty) if isinstance(empty, int) else f"'{empty}'"
    return func.coalesce(column, literal_column(text))


def periods(found: Sequence[Hit]) -> list[list[Hit]]:
    """Hits grouped so that the start and the end of one period stand together."""
    groups: dict[Any, list[Hit]] = {}
    for hit in found:
        stem = tuple(step.name for step in hit.rule.path[:-1]) if hit.part else (id(hit.rule),)
        groups.setdefault((id(hit.each) if hit.each else 0, stem), []).append(hit)
    return list(groups.values())
