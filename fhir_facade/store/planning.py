"""The statements of a search, as text and parameters: made by SQLAlchemy once for each shape, then filled in.

A search that was asked before is at hand with its values; only the place where the page begins is put in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import BindParameter, ColumnElement, Select, Table, func, select

from fhir_facade.contracts import Clause, Query, Sort
from fhir_facade.mapping.columns import KEY, column_name
from fhir_facade.mapping.kinds import Kind
from fhir_facade.store.dialects import Dialect, parameter
from fhir_facade.store.keyset import ranges, walk_of
from fhir_facade.store.tables import WRITTEN, KindTable, Schema

SHAPES = 512  # compiled searches kept, whatever their values
RESTRICTIONS = 2048  # restrictions kept with their values

Statement = tuple[str, list[Any]]
"""The text of a statement and its parameters."""


class SourceRef(Protocol):
    """One mapping that takes part in a search, and the kind of record that it renders."""

    @property
    def mapping(self) -> str: ...

    @property
    def kind(self) -> Kind: ...


class SearchPlan(Protocol):
    """How a search over FHIR becomes SQL over tables, which are named "kind" and "kind/list".

    One that `lasts` is of a set of mappings, and not of one request.
    """

    @property
    def lasts(self) -> bool: ...

    def sources(self, resource_type: str) -> Sequence[Any]:
        """The SourceRefs whose union the type is, always in the same order."""
        ...

    def where(self, source: Any, clauses: Sequence[Clause], tables: Mapping[str, Table]) -> ColumnElement[bool]:
        """The restriction on the source's rows."""
        ...

    def order(self, source: Any, sort: Sequence[Sort], tables: Mapping[str, Table]) -> Sequence[ColumnElement[Any]]:
        """One column for each sort key, never NULL and comparable across sources."""
        ...

    def rows_of(self, source: Any, code: str) -> tuple[str, ...]:
        """The rows of the source's mapping (file:line) that a parameter reads."""
        ...


class Planner:
    """Makes the statements that ask the tables of a schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.tables: Mapping[str, Table] = schema.tables
        self._shapes: dict[Any, tuple[str, list[tuple[int, int | None]]]] = {}
        self._restrictions: tuple[SearchPlan | None, dict[tuple[Any, ...], ColumnElement[bool]]] = None, {}
        self._first_pages: tuple[SearchPlan | None, dict[tuple[Any, ...], list[Statement]]] = None, {}

    def statements(self, query: Query, search: SearchPlan, number: int, source: SourceRef) -> Iterable[Statement]:
        """What finds a source's matches on the page, as `page` says; of a first page asked before, the same again."""
        made = map(self.statement, self.page(query, search, number, source))
        if query.after or not _lasts(query, search):
            return made
        lasting, kept = self._first_pages
        if lasting is not search:
            kept = {}
            self._first_pages = search, kept
        known = kept.get((query, number))
        if known is None:
            known = list(made)
            if len(kept) >= RESTRICTIONS:
                kept.clear()
            kept[(query, number)] = known
        return known

    def page(self, query: Query, search: SearchPlan, number: int, source: SourceRef) -> Iterator[Select[Any]]:
        """A source's matches on the page, and one more: sort values, key and state; the nearest rows first."""
        shape = self.schema.shapes[source.kind.name]
        key = shape.table.c[KEY]
        order = list(search.order(source, query.sort, self.tables)) if query.sort else []
        where = self.restriction(query, search, number, source)
        for each in ranges(query.after, walk_of(query), order, number, key):
            yield (
                select(*order, key, *state_of(shape))
                .where(each.where, where)  # SQLite takes the first bound of several for its index: this is the nearest
                .order_by(*each.order_by)
                .limit(query.count + 1)
                .offset(0)  # said here, or the compiler makes it up: a parameter that `statement` would not know
            )

    def total(self, query: Query, search: SearchPlan, number: int, source: SourceRef) -> Select[Any]:
        """How many records of a source match."""
        table = self.tables[source.kind.name]
        return select(func.count()).select_from(table).where(self.restriction(query, search, number, source))

    def restriction(self, query: Query, search: SearchPlan, number: int, source: SourceRef) -> ColumnElement[bool]:
        """What `search.where` says; of a search that was made before, the same expression again.

        A modifier may ask what changes, such as the codes of a value set: then it is made each time (see `_lasts`).
        """
        if not _lasts(query, search):
            return search.where(source, query.clauses, self.tables)
        lasting, kept = self._restrictions
        if lasting is not search:  # other mappings; a thread that has begun goes on with what it began with
            kept = {}
            self._restrictions = search, kept
        place = (query.resource_type, number, query.clauses)
        known = kept.get(place)
        if known is None:
            known = search.where(source, query.clauses, self.tables)
            if len(kept) >= RESTRICTIONS:
                kept.clear()
            kept[place] = known
        return known

    def statement(self, select: Select[Any]) -> Statement:
        """The text and parameters of a search; compiled once for all searches that differ in values only."""
        shape = select._generate_cache_key()
        if shape is None:
            return _compile(select, self.schema.dialect)
        values: list[Any] = [each.effective_value for each in shape.bindparams]
        key = (shape.key, tuple(len(value) if isinstance(value, list | tuple) else -1 for value in values))
        known = self._shapes.get(key)
        if known is None:
            known = _compile_shape(select, shape.bindparams, values, self.schema.dialect)
            if known is None:
                return _compile(select, self.schema.dialect)
            if len(self._shapes) >= SHAPES:
                self._shapes.clear()
            self._shapes[key] = known
        text, slots = known
        return text, [values[index] if place is None else values[index][place] for index, place in slots]

    def stamp(self, kind: str) -> str:
        """The statement that asks the state of the record with a key."""
        shape = self.schema.shapes[kind]
        return self.schema.text_of(select(*state_of(shape)).where(shape.table.c[KEY] == parameter("key")), "key")


def _lasts(query: Query, search: SearchPlan) -> bool:
    """Whether a restriction is the same whenever it is made."""
    return search.lasts and not any(clause.modifier for clause in query.clauses)


def state_of(shape: KindTable) -> tuple[ColumnElement[Any], ...]:
    """The columns that a Stamp is made of."""
    columns, kind = shape.table.c, shape.kind
    return columns[column_name(kind.version)], columns[column_name(kind.changed)], columns[WRITTEN]


def _compile_shape(
    statement: Select[Any], bound: Sequence[BindParameter[Any]], values: Sequence[Any], dialect: Dialect
) -> tuple[str, list[tuple[int, int | None]]] | None:
    """The text of a search, and which value, or part of one, each placeholder takes; None if unclear."""
    compiled = statement.compile(dialect=dialect.compiler, compile_kwargs={"render_postcompile": True})
    places: dict[str, tuple[int, int | None]] = {}
    for index, each in enumerate(bound):
        name = compiled.bind_names.get(each)
        if name is None or each.literal_execute:
            return None
        places[name] = (index, None)
        if each.expanding:
            places |= {f"{name}_{place + 1}": (index, place) for place in range(len(values[index]))}
    order: Sequence[str] = getattr(compiled, "positiontup", None) or ()
    return (str(compiled), [places[name] for name in order]) if set(order) <= places.keys() else None


def _compile(statement: Select[Any], dialect: Dialect) -> tuple[str, list[Any]]:
    compiled = statement.compile(dialect=dialect.compiler, compile_kwargs={"render_postcompile": True})
    order: Sequence[str] = getattr(compiled, "positiontup", None) or ()
    return str(compiled), [compiled.params[name] for name in order]
