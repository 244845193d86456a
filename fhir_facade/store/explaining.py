"""Which columns each parameter of a search reads: looked up in the expressions that the search is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Table
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ClauseElement

from fhir_facade.contracts import ExplainedParameter, Query

if TYPE_CHECKING:
    from fhir_facade.store.planning import SearchPlan


def parameters_used(
    query: Query, search: SearchPlan, source: Any, tables: Mapping[str, Table]
) -> tuple[ExplainedParameter, ...]:
    """What the restrictions and sort keys of a query became for one source."""
    out = []
    for clause in query.clauses:
        columns = columns_in([search.where(source, (clause,), tables)])
        rows = search.rows_of(source, clause.parameter)
        out.append(ExplainedParameter("where", clause.parameter, clause.modifier, rows, columns))
    for key in query.sort:
        columns = columns_in(search.order(source, (key,), tables))
        rows = search.rows_of(source, key.parameter)
        out.append(ExplainedParameter("order", key.parameter, "descending" if key.descending else "", rows, columns))
    return tuple(out)


def columns_in(expressions: Iterable[ClauseElement]) -> tuple[str, ...]:
    """The columns that stand in expressions, as table.column in the order of the alphabet."""
    found = set()
    for expression in expressions:
        for element in visitors.iterate(expression):
            if isinstance(element, Column) and element.table is not None:
                table = getattr(element.table, "element", element.table)  # what an alias stands for
                found.add(f"{table.name}.{element.name}")
    return tuple(sorted(found))
