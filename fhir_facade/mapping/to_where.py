"""Compile FHIR searches to SQL: clauses (parameter, modifier, values) → SQLAlchemy expressions over record tables.

Derived from the same rules that render the resource, so a parameter works because a row fills its path, and what
it finds is what the resource says. Values never enter the text of a statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Table, and_, exists, false, func, literal, not_, or_, select

from fhir_facade.contracts import Clause, Sort
from fhir_facade.definitions import SearchParameter
from fhir_facade.mapping.chained import Place, hop, seeks
from fhir_facade.mapping.columns import HIGHEST, KEY, PARENT, FieldIndex, SearchColumn, column_name, joined, link_column
from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.ir import Coded, Copy, Each, MappingRules, fields_of
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.mapping.search_build import builder
from fhir_facade.mapping.search_columns import columns_of, example_of
from fhir_facade.mapping.search_composites import any_row, composite_hits, split_parts, together
from fhir_facade.mapping.search_dates import bounds, compare
from fhir_facade.mapping.search_hits import Flat, Hit, conditions, flat_rules, hits, parameters_of, text_hits
from fhir_facade.mapping.search_links import ReferenceGraph, all_of, any_of, guard, related
from fhir_facade.mapping.search_modifiers import UNTRUE, modifiers_of
from fhir_facade.mapping.search_order import or_empty, order_column, order_columns, order_of, periods
from fhir_facade.mapping.search_presence import writes
from fhir_facade.mapping.search_references import reference_build
from fhir_facade.mapping.search_values import Range, date_value, missing_value, plain
from fhir_facade.mapping.vocabulary import Vocabulary
from fhir_facade.outcome import Issue, Refused
from fhir_facade.terminology.catalogue import Catalogue

Tables = Mapping[str, Table]
Where = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter that works: what CapabilityStatement, OpenAPI and the query parser print and use."""

    code: str
    type: str
    targets: tuple[str, ...]
    modifiers: tuple[str, ...]
    url: str
    example: str


@dataclass(frozen=True)
class Source:
    """One mapping of a resource type as a place to search."""

    mapping: str
    kind: Kind
    rules: MappingRules

    @cached_property
    def flat(self) -> list[Flat]:
        return flat_rules(self.rules)


class SearchPlan:
    """Every search that the mappings allow."""

    lasts = True

    def __init__(
        self, sources: Mapping[str, Sequence[tuple[MappingRules, Kind]]], kinds: Kinds, words: Vocabulary
    ) -> None:
        self.kinds, self.words, self.catalogue = kinds, words, Catalogue()
        self._sources = {
            name: tuple(Source(rules.name, kind, rules) for rules, kind in found) for name, found in sources.items()
        }
        self._hits: dict[tuple[str, str, str], list[Hit]] = {}
        self._parameters: dict[str, Mapping[str, Parameter]] = {}

    @property
    def types(self) -> list[str]:
        """The resource types that are served, by name."""
        return sorted(self._sources)

    def sources(self, resource_type: str) -> tuple[Source, ...]:
        return self._sources.get(resource_type, ())

    def parameters(self, resource_type: str) -> Mapping[str, Parameter]:
        """The parameters that some row fills, by code."""
        if resource_type not in self._parameters:
            self._parameters[resource_type] = {
                code: self._described(resource_type, found)
                for code, found in sorted(parameters_of(resource_type).items())
                if any(self._hits_of(source, found) for source in self.sources(resource_type))
            }
        return self._parameters[resource_type]

    def sortable(self, resource_type: str) -> tuple[str, ...]:
        """The parameters that order results: those of dates, strings and plain codes of the record itself."""
        return tuple(code for code in self.parameters(resource_type) if self._orders(resource_type, code))

    def _orders(self, resource_type: str, code: str) -> bool:
        parameter = parameters_of(resource_type)[code]
        by_source = [self._hits_of(source, parameter) for source in self.sources(resource_type)]
        if code == "_id":
            return True
        if parameter.type in ("date", "string"):
            return all(isinstance(hit.rule, Copy) and not hit.each for found in by_source for hit in found)
        plain = all(
            len(found) <= 1
            and all(isinstance(hit.rule, Coded) and hit.rule.code_map is None and not hit.each for hit in found)
            for found in by_source
        )
        return parameter.type == "token" and plain

    def _described(self, resource_type: str, found: SearchParameter) -> Parameter:
        every = [hit for source in self.sources(resource_type) for hit in self._hits_of(source, found)]
        worded = [hit for source in self.sources(resource_type) for hit in self._texts_of(source, found)]
        modifiers = modifiers_of(found.type, every, worded, self.catalogue)
        shown = example_of(found.type, every)
        return Parameter(found.code, found.type, found.targets, modifiers, found.url, shown)

    def use(self, catalogue: Catalogue) -> None:
        """Take the code systems of a deployment into use: they say which modifiers a parameter takes."""
        self.catalogue, self._parameters = catalogue, {}

    @cached_property
    def graph(self) -> ReferenceGraph:
        """Which types refer to which."""
        return ReferenceGraph(self)

    def hits(self, source: Source, code: str) -> list[Hit]:
        """The rules of a source that a parameter of its type looks at."""
        return self._hits_of(source, parameters_of(source.rules.resource_type)[code])

    def _hits_of(self, source: Source, parameter: SearchParameter) -> list[Hit]:
        key = (source.rules.resource_type, source.mapping, parameter.code)
        if key not in self._hits:
            found = composite_hits if parameter.type == "composite" else hits
            self._hits[key] = found(source.rules.resource_type, parameter, source.flat)
        return self._hits[key]

    def _texts_of(self, source: Source, parameter: SearchParameter) -> list[Hit]:
        """The rows behind :text that write no code."""
        return text_hits(source.rules.resource_type, parameter, source.flat)

    def rows_of(self, source: Source, code: str) -> tuple[str, ...]:
        """The rows of a mapping (file:line) that a parameter reads."""
        parameter = parameters_of(source.rules.resource_type).get(code)
        found = self._hits_of(source, parameter) if parameter else []
        return tuple(dict.fromkeys(hit.rule.at for hit in found))

    # --- what the store computes when it writes

    @cached_property
    def columns(self) -> tuple[SearchColumn | FieldIndex, ...]:
        """The computed columns that date and string searches need, and the fields that are sought by an index."""
        out: dict[tuple[str, str, str], SearchColumn] = {}
        indexes: dict[FieldIndex, None] = {}

        def add(column: SearchColumn | FieldIndex) -> None:
            if isinstance(column, FieldIndex):
                indexes[column] = None
                return
            key = (column.kind, column.child, column.name)
            out[key] = joined(out[key], column) if key in out else column

        for resource_type, sources in self._sources.items():
            for source in sources:
                for parameter in parameters_of(resource_type).values():
                    for hit in self._hits_of(source, parameter):
                        for column in columns_of(source.kind, self.kinds, parameter.type, hit):
                            add(column)
                    for hit in self._texts_of(source, parameter):
                        for column in columns_of(source.kind, self.kinds, "string", hit):
                            add(column)
                for code in self.sortable(resource_type):
                    parameter = parameters_of(resource_type)[code]
                    for column in order_columns(source.kind, self.kinds, parameter, self._hits_of(source, parameter)):
                        add(column)
        return (*out.values(), *indexes)

    # --- expressions

    def where(self, source: Source, clauses: Iterable[Clause], tables: Tables) -> Where:
        """All clauses as one expression; Refused for an unknown parameter, modifier or value."""
        place = Place(tables, tables[source.kind.name])
        tests = (self.clause_where(source, each, replace(place, seek=seeks(self, each))) for each in clauses)
        return all_of(tests)

    def parameter(self, resource_type: str, clause: Clause) -> Parameter:
        """The parameter that a clause names; Refused with the nearest and the list when there is none."""
        known = self.parameters(resource_type)
        found = known.get(clause.parameter)
        if found is None:
            facts = {
                "type": resource_type,
                "name": clause.parameter,
                "allowed": list(known),
                "nearest": nearest(clause.parameter, known),
            }
            raise Refused(Issue("search-parameter-unknown", clause.parameter, facts))
        if clause.modifier and clause.modifier not in found.modifiers:
            facts = {
                "name": found.code,
                "modifier": clause.modifier,
                "allowed": [*found.modifiers, *(found.targets if found.type == "reference" else ())],
            }
            raise Refused(Issue("search-modifier-unknown", clause.parameter, facts))
        return found

    def clause_where(self, source: Source, clause: Clause, place: Place) -> Where:
        """One clause as an expression on the rows of a place."""
        if clause.path:
            return hop(self, source, clause, place)
        resource_type = source.rules.resource_type
        parameter = self.parameter(resource_type, clause)
        found = self.hits(source, clause.parameter)
        if clause.modifier == "text":
            found = found + self._texts_of(source, parameters_of(resource_type)[clause.parameter])
        if clause.modifier == "missing":
            present = any_of(self._present(source, hit, place) for hit in found)
            return _untrue(present) if missing_value(parameter.code, clause.values) else present
        if parameter.type == "reference" and clause.modifier != "identifier":
            builds = [reference_build(self, resource_type, parameter, plain(text), place) for text in clause.values]
            return any_of(self.placed(source, hit, build, place) for build in builds for hit in found)
        asked = partial(self._value, source, parameter.code, parameter.type, clause.modifier, found, place)
        whole = any_of(map(asked, clause.values))
        return _untrue(whole) if clause.modifier in UNTRUE else whole

    def _present(self, source: Source, hit: Hit, place: Place) -> Where:
        """Where a hit has something to find; of a composite, all parts."""
        if not hit.parts:
            return self.placed(source, hit, writes, place)
        if hit.each is not None:
            within = [lambda kind, found, table: any_row(found, writes, table)] * len(hit.parts)
            return self.placed(source, hit, lambda hit, table: together(hit, within, table), place)
        return all_of(any_of(self._present(source, each, place) for each in found) for _, found in hit.parts)

    def _value(
        self, source: Source, code: str, kind: str, modifier: str, found: Sequence[Hit], place: Place, text: str
    ) -> Where:
        """One value of a parameter (or part of one) of a type."""
        if kind == "date":
            prefix, span = date_value(code, text)
            return self._dates(source, prefix, span, found, place)
        if kind == "composite":
            return any_of(self._composite(source, code, hit, place, text) for hit in found)
        build = builder(code, kind, modifier, text, self.words, self.catalogue)
        return any_of(self.placed(source, hit, build, place) for hit in found)

    def _composite(self, source: Source, code: str, hit: Hit, place: Place, text: str) -> Where:
        """All parts of a value in one list item; in the record itself each where it stands."""
        parts = split_parts(code, text, len(hit.parts))
        if hit.each is None:
            pairs = zip(parts, hit.parts, strict=True)
            return all_of(self._value(source, code, kind, "", each, place, part) for part, (kind, each) in pairs)
        within = [partial(self._within, code, part) for part in parts]
        return self.placed(source, hit, lambda hit, table: together(hit, within, table), place)

    def _within(self, code: str, text: str, kind: str, found: Sequence[Hit], table: FromClause) -> Where:
        """A value of a part over rows of one object."""
        if kind == "date":
            prefix, span = date_value(code, text)
            spans = [bounds(group, table) for group in periods(found)]
            return any_of(and_(present, compare(prefix, span, low, high)) for low, high, present in spans)
        return any_row(found, builder(code, kind, "", text, self.words, self.catalogue), table)

    def placed(self, source: Source, hit: Hit, build: Any, place: Place) -> Where:
        """The expression of one hit where it stands: in the record itself, or in one of its list items."""
        outer, inner = conditions(hit)
        table = place.table
        guards = [guard(table, condition) for condition in outer]
        if hit.each is None:
            return all_of([build(hit, table), *guards, *_completes(hit, table)])
        item, parent = self.item(source.kind, hit.each, place.tables)
        parts = [build(hit, item), *(guard(item, condition) for condition in inner)]
        parts += [*_completes(hit, item), *self.foremost(source.kind, hit.each, item, place.tables)]
        found = related(table.c[KEY], item.c[parent], parts, table=table, other=item, seek=place.seek)
        return all_of([found, *guards])

    def item(self, kind: Kind, each: Each, tables: Tables) -> tuple[FromClause, str]:
        """The table of a list's items, and the column that holds the key of the record that an item hangs on."""
        child = kind.children[each.child]
        if not child.records:
            return tables[f"{kind.name}/{each.child}"].alias(), PARENT
        other = self.kinds[child.records]
        link = next(name for name, link in other.links.items() if link.to == kind.name)
        return tables[other.name].alias(), link_column(link)

    def foremost(self, kind: Kind, each: Each, item: FromClause, tables: Tables) -> list[Where]:
        """For a list of which one item is written: there is none before this one that would have been taken."""
        if not each.first:
            return []
        before, parent = self.item(kind, each, tables)
        key = [column_name(name) for name in kind.children[each.child].key]
        lower = or_(*(before.c[name] < item.c[name] for name in key))
        tests = [guard(before, condition) for condition in each.keep]
        same = before.c[parent] == item.c[parent]
        return [not_(exists(select(literal(1)).select_from(before).where(same, lower, *tests).correlate(item)))]

    def overlapping(self, source: Source, code: str, span: Range, tables: Tables) -> Where:
        """The rows whose date or period, of a parameter, meets a span."""
        return self._dates(source, "ap", span, self.hits(source, code), Place(tables, tables[source.kind.name]))

    def _dates(self, source: Source, prefix: str, span: Range, found: Sequence[Hit], place: Place) -> Where:
        """Start and end of one period are judged together; anything else by itself."""
        out = []
        for group in periods(found):

            def build(hit: Hit, table: FromClause, group: list[Hit] = group) -> Where:
                low, high, present = bounds(group, table)
                same = (
                    [low <= span.high] if prefix == "eq" and not group[0].part else []
                )  # two bounds: an index is used
                return and_(present, compare(prefix, span, low, high), *same)

            out.append(self.placed(source, group[0], build, place))
        return or_(false(), *out)

    def order(self, source: Source, sort: Sequence[Sort], tables: Tables) -> list[ColumnElement[Any]]:
        """One never-NULL expression per sort key, comparable between the sources of a type."""
        return [self._sort_key(source, each, tables) for each in sort]

    def _sort_key(self, source: Source, sort: Sort, tables: Tables) -> ColumnElement[Any]:
        parameter = self.parameter(source.rules.resource_type, Clause(sort.parameter, ()))
        table = tables[source.kind.name]
        if parameter.code == "_id":
            return table.c[KEY]
        hits = self._hits_of(source, parameters_of(source.rules.resource_type)[parameter.code])
        found = order_of(parameter.type, hits)
        if found is None:
            return literal(HIGHEST if parameter.type == "date" else "")
        return or_empty(table.c[order_column(parameter.type, found.rule)], found.empty)


def _untrue(test: Where) -> Where:
    """Where a test does not hold: also where it cannot be said, for nothing is there."""
    return not_(func.coalesce(test, false()))


def _completes(hit: Hit, table: FromClause) -> list[Where]:
    """For a constant inside an object: something else is written there."""
    if not hit.beside:
        return []
    columns = [
        table.c[KEY if name == "$key" else column_name(name)] for rule in hit.beside for name in fields_of(rule)[:1]
    ]
    return [or_(*(column.is_not(None) for column in columns))]
