"""When care was given: searches restricted to a span of time, by the dates of care of each type.

https://hl7.org/fhir/R4/operation-patient-everything.html: care dates, not the dates of records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, FromClause, Table, and_, exists, false, literal, not_, or_, select

from fhir_facade.contracts import Clause, Sort
from fhir_facade.mapping.chained import Place
from fhir_facade.mapping.columns import KEY
from fhir_facade.mapping.following import Edge, searched_edges
from fhir_facade.mapping.search_hits import Hit
from fhir_facade.mapping.search_values import Range

if TYPE_CHECKING:
    from fhir_facade.mapping.following import Referring
    from fhir_facade.mapping.to_where import SearchPlan, Source

CARE_DATES: Mapping[str, tuple[str, ...]] = {
    "Appointment": ("date",),
    "CarePlan": ("date",),
    "Condition": ("onset-date", "recorded-date"),
    "Consent": ("period",),
    "Encounter": ("date",),
    "EpisodeOfCare": ("date",),
    "Observation": ("date",),
    "Procedure": ("date",),
    "ServiceRequest": ("occurrence", "authored"),
}
"""The search parameters that say when care was given, by type."""

STAY = "encounter"
Where = ColumnElement[bool]


class CareDates:
    """The searches of others, restricted to what overlaps a span.

    What has no date of care goes with the stay that it refers to, and is taken where there is none.
    """

    lasts = False

    def __init__(self, plan: SearchPlan, others: Referring | SearchPlan, span: Range) -> None:
        self._plan, self._others, self._span = plan, others, span

    def sources(self, resource_type: str) -> Sequence[Source]:
        return self._others.sources(resource_type)

    def where(self, source: Source, clauses: Sequence[Clause], tables: Mapping[str, Table]) -> ColumnElement[bool]:
        return and_(self._others.where(source, clauses, tables), self._cared(source, tables))

    def _cared(self, source: Source, tables: Mapping[str, Table]) -> Where:
        """The rows of a source that are in the span; what has no date of its own goes with its stay."""
        dated, undated = self._own(source, tables)
        outside = [self._goes_with(edge, tables) for edge in self._stays if edge.source.mapping == source.mapping]
        return or_(dated, and_(undated, not_(or_(false(), *outside))))

    def _own(self, source: Source, tables: Mapping[str, Table]) -> tuple[Where, Where]:
        """The rows whose own dates meet the span, and those that have none."""
        resource_type = source.rules.resource_type
        known = self._plan.parameters(resource_type)
        codes = [code for code in CARE_DATES.get(resource_type, ()) if code in known]
        overlaps = [self._plan.overlapping(source, code, self._span, tables) for code in codes]
        missing = self._plan.where(source, [Clause(code, ("true",), "missing") for code in codes], tables)
        return or_(false(), *overlaps), missing

    def _goes_with(self, edge: Edge, tables: Mapping[str, Table]) -> Where:
        """The rows that refer to a stay outside the span."""
        stay = self._target(edge)
        row = tables[stay.kind.name]
        outside = not_(or_(*self._own(stay, tables)))

        def build(_: Hit, table: FromClause) -> Where:
            return exists(
                select(literal(1)).select_from(row).where(row.c[KEY] == table.c[edge.column], outside)
            ).correlate(table)

        return self._plan.placed(edge.source, edge.hit, build, Place(tables, tables[edge.source.kind.name]))

    @cached_property
    def _stays(self) -> list[Edge]:
        edges = searched_edges(self._plan)
        return [each for each in edges if each.parameter == STAY and each.source.kind != self._target(each).kind]

    def _target(self, edge: Edge) -> Source:
        return next(each for each in self._plan.sources(edge.to) if each.mapping == edge.target)

    def order(self, source: Source, sort: Sequence[Sort], tables: Mapping[str, Table]) -> Sequence[ColumnElement[Any]]:
        return self._others.order(source, sort, tables)

    def rows_of(self, source: Source, code: str) -> tuple[str, ...]:
        return self._plan.rows_of(source, code)
