"""Chained searches as SQL: one step from a resource to those that it refers to, or to those that refer to it.

https://hl7.org/fhir/R4/search.html#chaining and #has. Each step is one subquery; which side is sought first is
decided by the parameter at the end (`seeks`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, FromClause, Table

from fhir_facade.contracts import Clause, Hop
from fhir_facade.mapping.columns import KEY
from fhir_facade.mapping.ir import Condition
from fhir_facade.mapping.search_columns import indexed
from fhir_facade.mapping.search_hits import Hit, conditions
from fhir_facade.mapping.search_links import Link, all_of, any_of, guard, links, related
from fhir_facade.mapping.search_values import PREFIXES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fhir_facade.mapping.to_where import SearchPlan, Source

Where = ColumnElement[bool]
WIDEST = 1000
"""Most tests that one chained restriction may become: values times the mappings that its steps branch into."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression stands: all tables, the rows that are asked about, and which side of a link goes first."""

    tables: Mapping[str, Table]
    table: FromClause
    seek: bool = False


def seeks(plan: SearchPlan, clause: Clause) -> bool:
    """Whether a chained clause ends in what few rows are likely to have: those are sought first.

    An index leads to them, but for parts of a string.
    """
    if not clause.path or clause.modifier not in ("", "identifier", "exact", "contains"):
        return False
    last = clause.path[-1].type
    kind = plan.parameter(last, clause).type
    if kind == "date":
        return all(value[:2] not in PREFIXES or value[:2] in ("eq", "ap") for value in clause.values)
    if kind == "token" or clause.modifier == "identifier":
        found = [hit for source in plan.sources(last) for hit in plan.hits(source, clause.parameter)]
        return all(indexed(hit.rule) for hit in found) and not any(value.endswith("|") for value in clause.values)
    return kind in ("reference", "string")


def width(plan: SearchPlan, resource_type: str, clause: Clause) -> int:
    """How many tests a chained clause becomes: its values, times the rules and mappings of each step; 0 for a plain."""
    return sum(_width(plan, source, clause) for source in plan.sources(resource_type)) if clause.path else 0


def _width(plan: SearchPlan, source: Source, clause: Clause) -> int:
    if not clause.path:
        return len(clause.values) * len(plan.hits(source, clause.parameter))
    step, rest = clause.path[0], replace(clause, path=clause.path[1:])
    others = plan.sources(step.type)
    if step.reverse:
        ways = [sum(len(links(hit.rule, source)) for hit in plan.hits(other, step.parameter)) for other in others]
    else:
        ways = [sum(len(links(hit.rule, other)) for hit in plan.hits(source, step.parameter)) for other in others]
    return sum(count * _width(plan, other, rest) for count, other in zip(ways, others, strict=True) if count)


def hop(plan: SearchPlan, source: Source, clause: Clause, place: Place) -> Where:
    """The rows from which the first step of a clause leads to a resource for which the rest of it holds."""
    step, rest = clause.path[0], replace(clause, path=clause.path[1:])
    follow = _pointing_here if step.reverse else _pointed_at
    return any_of(follow(plan, source, step, rest, place))


def _pointed_at(plan: SearchPlan, source: Source, step: Hop, rest: Clause, place: Place) -> list[Where]:
    """Forward: the row refers to one of the target type."""
    out = []
    for hit in plan.hits(source, step.parameter):
        for target in plan.sources(step.type):
            for link in links(hit.rule, target):

                def build(_: Hit, table: FromClause, link: Link = link, target: Source = target) -> Where:
                    other = place.tables[target.kind.name].alias()
                    tests = _tests(plan, target, rest, replace(place, table=other), link.when)
                    near, far = table.c[link.near], other.c[link.far]
                    return related(near, far, tests, table=table, other=other, seek=place.seek)

                out.append(plan.placed(source, hit, build, place))
    return out


def _pointing_here(plan: SearchPlan, source: Source, step: Hop, rest: Clause, place: Place) -> list[Where]:
    """Reverse, `_has`: one of the other type refers to the row."""
    out: list[Where] = []
    for other in plan.sources(step.type):
        for hit in plan.hits(other, step.parameter):
            for link in links(hit.rule, source):
                out.append(_referring(plan, other, hit, link, rest, place))
    return out


def _referring(plan: SearchPlan, other: Source, hit: Hit, link: Link, rest: Clause, place: Place) -> Where:
    """A row of `other` refers to the row here by a hit, in itself or in an item of one of its lists."""
    row = place.tables[other.kind.name].alias()
    outer, inner = conditions(hit)
    tests = _tests(plan, other, rest, replace(place, table=row), outer)
    here = [guard(place.table, condition) for condition in link.when]
    near: FromClause = row
    far = tests
    if hit.each is not None:
        near, parent = plan.item(other.kind, hit.each, place.tables)
        far = [guard(near, condition) for condition in inner]
        far.append(related(near.c[parent], row.c[KEY], tests, table=near, other=row, seek=place.seek))
        far += plan.foremost(other.kind, hit.each, near, place.tables)
    found = related(
        place.table.c[link.far], near.c[link.near], far, table=place.table, other=near, seek=place.seek
    )  # fmt: skip
    return all_of([found, *here])


def _tests(
    plan: SearchPlan, source: Source, rest: Clause, place: Place, when: Sequence[Condition]
) -> list[Where]:  # fmt: skip
    """What must hold of a row that a step leads to: the rest of the clause, and the guards of the link."""
    return [plan.clause_where(source, rest, place), *(guard(place.table, condition) for condition in when)]
