"""Literal references, followed both ways: from a record to those that it refers to, and to those that refer to it.

The rows that write a Reference say which record it leads to, so what is followed here is what the resources say.
Logical references lead to no resource of this server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, FromClause, Table, and_, false, or_, select

from fhir_facade.contracts import Clause, Record, Sort
from fhir_facade.mapping.chained import Place
from fhir_facade.mapping.codecs import holds
from fhir_facade.mapping.columns import KEY, link_column
from fhir_facade.mapping.forward import writing
from fhir_facade.mapping.ir import Condition, Each, Key, Refer, Rule
from fhir_facade.mapping.search_hits import Hit, conditions

if TYPE_CHECKING:
    from fhir_facade.mapping.to_where import SearchPlan, Source

Where = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Edge:
    """One row that writes a literal reference: in resources of `type`, to `to`, whose mapping is `target`.

    `parameter` is the search parameter that reads it, "" where none does.
    """

    type: str
    source: Source
    parameter: str
    hit: Hit
    to: str
    target: str

    @property
    def link(self) -> str:
        rule = self.hit.rule
        return rule.link if isinstance(rule, Refer) else ""

    @property
    def column(self) -> str:
        """The column that holds the key of the record that is referred to."""
        return KEY if self.link == "key" else link_column(self.link)


@lru_cache(maxsize=4)
def searched_edges(plan: SearchPlan) -> tuple[Edge, ...]:
    """The references that search parameters read, by type and parameter: what can be included."""
    found: list[Edge] = []
    for resource_type in plan.types:
        codes = [code for code, each in plan.parameters(resource_type).items() if each.type == "reference"]
        for code in codes:
            for source in plan.sources(resource_type):
                for hit in plan.hits(source, code):
                    found += _edge(plan, resource_type, source, code, hit)
    return tuple(found)


@lru_cache(maxsize=4)
def written_edges(plan: SearchPlan) -> tuple[Edge, ...]:
    """Every row that writes a literal reference, in extensions too, whether or not a parameter reads it."""
    found: list[Edge] = []
    for resource_type in plan.types:
        for source in plan.sources(resource_type):
            for rule, each in _rules(writing(source.rules.rules), None):
                found += _edge(plan, resource_type, source, "", Hit(rule, each))
    return tuple(found)


def _rules(rules: Iterable[Rule], each: Each | None) -> Iterator[tuple[Refer, Each | None]]:
    for rule in rules:
        if isinstance(rule, Each):
            yield from _rules(rule.rules, rule)
        elif isinstance(rule, Refer):
            yield rule, each


def _edge(plan: SearchPlan, resource_type: str, source: Source, code: str, hit: Hit) -> Iterator[Edge]:
    rule = hit.rule
    if isinstance(rule, Refer):
        for target in plan.sources(rule.to):
            if target.kind.name == rule.kind and _prefix(target) == rule.prefix:
                yield Edge(resource_type, source, code, hit, rule.to, target.mapping)


def _prefix(source: Source) -> str:
    return next((rule.prefix for rule in source.rules.rules if isinstance(rule, Key)), "")


def keys_in(record: Record, edge: Edge) -> Iterator[str]:
    """The keys of the records that a record refers to by one row, in the order in which it says them."""
    outer, inner = conditions(edge.hit)
    each = edge.hit.each
    if not all(_holds(test, record, record) for test in outer):
        return
    items: Sequence[Record] = [record]
    if each is not None:
        items = [item for item in record.get(each.child) or () if all(holds(test, item) for test in each.keep)]
        items = items[:1] if each.first else items
    for item in items:
        key = item.get("$key" if edge.link == "key" else "$" + edge.link)
        if key is not None and all(_holds(test, item, record) for test in inner):
            yield key


def _holds(test: Condition, item: Record, record: Record) -> bool:
    """A guard of a row inside a list may speak of the record around it: "^field"."""
    if test.field.startswith("^"):
        return holds(replace(test, field=test.field[1:]), record)
    return holds(test, item)


class Referring:
    """The searches of a plan, restricted to resources that refer to given ones by one of some edges.

    `keys` are the record keys that are referred to, by mapping. `own` are those of a source's own records that are
    taken beside them. What neither reaches is left out.
    """

    lasts = False

    def __init__(
        self,
        plan: SearchPlan,
        edges: Iterable[Edge],
        keys: Mapping[str, Sequence[str]],
        own: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._plan, self._keys, self._own = plan, keys, own or {}
        self._edges: dict[str, list[Edge]] = {}
        for edge in edges:
            if edge.target in keys:
                self._edges.setdefault(edge.source.mapping, []).append(edge)

    def sources(self, resource_type: str) -> Sequence[Source]:
        """All sources of the type, so that positions stay the same whatever is asked for."""
        return self._plan.sources(resource_type)

    def where(self, source: Source, clauses: Sequence[Clause], tables: Mapping[str, Table]) -> Where:
        return self._plan.where(source, clauses, tables) & self.referring(source, tables)

    def order(self, source: Source, sort: Sequence[Sort], tables: Mapping[str, Table]) -> Sequence[ColumnElement[Any]]:
        return self._plan.order(source, sort, tables)

    def rows_of(self, source: Source, code: str) -> tuple[str, ...]:
        return self._plan.rows_of(source, code)

    def referring(self, source: Source, tables: Mapping[str, Table]) -> Where:
        """The rows of a source that refer to one of the keys."""
        tests: list[Where] = []
        if source.mapping in self._own:
            tests.append(tables[source.kind.name].c[KEY].in_(filled(self._own[source.mapping])))
        seen: set[tuple[int, int, str]] = set()
        for edge in self._edges.get(source.mapping, ()):
            told = (id(edge.hit.rule), id(edge.hit.each), edge.target)
            if told not in seen:  # `subject` and `patient` may read the same row
                seen.add(told)
                tests.append(self._by(edge, source, tables))
        return or_(false(), *tests)

    def _by(self, edge: Edge, source: Source, tables: Mapping[str, Table]) -> Where:
        keys = filled(self._keys[edge.target])

        def build(_: Hit, table: FromClause) -> Where:
            return table.c[edge.column].in_(keys)

        whole = self._plan.placed(source, edge.hit, build, Place(tables, tables[source.kind.name]))
        each = edge.hit.each
        if each is None:
            return whole
        item, parent = self._plan.item(source.kind, each, tables)
        few = select(item.c[parent]).where(item.c[edge.column].in_(keys))  # sought by an index before the rest is asked
        return and_(tables[source.kind.name].c[KEY].in_(few), whole)


def filled(keys: Sequence[str]) -> list[str]:
    """Keys, the last one repeated up to a power of two: searches with nearly as many share one statement."""
    full = 1 << max(len(keys) - 1, 0).bit_length()
    return [*keys, *[keys[-1]] * (full - len(keys))] if keys else []
