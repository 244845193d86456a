"""The stores: records in tables, read whole, searched page by page, written in transactions.

`Store` is what all have in common; `SqliteStore` is the embedded one, and `postgres.py` has the other.

Statements are made by SQLAlchemy once for each shape and run directly on the driver. Reads see what is
committed; in a store in memory, the thread that writes sees what it has written.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from sqlalchemy import BindParameter, ColumnElement, Select, Table, exists, func, select

from fhir_facade.contracts import Clause, Explained, Found, Page, Query, Record, Sort
from fhir_facade.mapping.columns import KEY, FieldIndex, SearchColumn
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.connections import MEMORY, SqliteConnections
from fhir_facade.store.dialects import Connection, Dialect
from fhir_facade.store.explaining import parameters_used
from fhir_facade.store.keyset import Place, put_in_order, ranges, walk_of
from fhir_facade.store.reading import Reader
from fhir_facade.store.tables import COUNTERS, LISTS, WRITTEN, Reference, Schema, build_schema
from fhir_facade.store.writer import Writer
from fhir_facade.store.writing import Statements

SCAN = 500  # records in memory at a time
SHAPES = 512  # compiled searches kept


class SourceRef(Protocol):
    """One mapping that takes part in a search, and the kind of record that it renders."""

    @property
    def mapping(self) -> str: ...

    @property
    def kind(self) -> Kind: ...


class SearchPlan(Protocol):
    """How a search over FHIR becomes SQL over tables, which are named "kind" and "kind/list"."""

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


class Connections(Protocol):
    """Gives connections by what they are for."""

    def snapshot(self) -> AbstractContextManager[Connection]:
        """A connection on which all reads see the same moment."""
        ...

    def writing(self) -> AbstractContextManager[Connection]:
        """A connection in a transaction that alone may write; rolled back unless it is committed inside."""
        ...

    def commit(self, connection: Any) -> bool:
        """Commit; False, with nothing undone yet, when a reference points at no record."""
        ...

    def close(self) -> None:
        """Close all connections, for good."""
        ...


class Store:
    """A store of records, whatever database holds them."""

    def __init__(self, connections: Connections, schema: Schema, *, read_only: bool) -> None:
        self.schema = schema
        self.tables: Mapping[str, Table] = schema.tables
        self.read_only = read_only
        self._connections: Any = connections
        self._reader = Reader(schema)
        self._shapes: dict[Any, tuple[str, list[tuple[int, int | None]]]] = {}

    def get(self, kind: str, key: str) -> Record | None:
        """Return the whole record with its lists, or None."""
        with self._connections.snapshot() as connection:
            return self._reader.one(connection, kind, key)

    def get_many(self, kind: str, keys: Sequence[str]) -> dict[str, Record]:
        """Return the whole records that have one of the keys, by key."""
        with self._connections.snapshot() as connection:
            return self._reader.many(connection, kind, keys)

    def related(self, kind: str, link: str, keys: Sequence[str]) -> dict[str, list[Record]]:
        """Return the whole records that point with `link` at the keys, by that key."""
        with self._connections.snapshot() as connection:
            return self._reader.related(connection, kind, link, keys)

    def scan(self, kind: str) -> Iterator[Record]:
        """Yield every whole record in key order; some hundred at a time are in memory."""
        after = ""
        while True:
            with self._connections.snapshot() as connection:
                records = self._reader.page(connection, kind, after, SCAN)
            yield from records
            if len(records) < SCAN:
                return
            after = records[-1]["$key"]

    def count(self, kind: str) -> int:
        """Return how many records of a kind there are."""
        with self._connections.snapshot() as connection:
            counted: int = connection.execute(self._counts[kind]).fetchone()[0]
        return counted

    @cached_property
    def _counts(self) -> dict[str, str]:
        shapes = self.schema.shapes.items()
        return {name: self.schema.text_of(select(func.count()).select_from(shape.table)) for name, shape in shapes}

    def find(self, query: Query, search: SearchPlan) -> Page:
        """Return one page in the total order (sort keys, source, record key), next to the query's position."""
        sources: Sequence[SourceRef] = search.sources(query.resource_type)
        rows: list[Place] = []
        with self._connections.snapshot() as connection:
            for number, source in enumerate(sources):
                enough = len(rows) + query.count + 1
                for narrow in self._selects(query, search, number, source):
                    for row in connection.execute(*self._compiled(narrow)):
                        rows.append(Place(tuple(row[:-1]), number, row[-1]))
                    if len(rows) >= enough:  # what lies farther off is not on the page
                        break
            put_in_order(rows, walk_of(query))
            page = rows[: query.count][:: -1 if query.backward else 1]
            matches = self._matches(connection, sources, page)
            total = self._total(connection, query, search) if query.total else None
        return Page(matches, len(rows) > query.count, total)

    def explain(self, query: Query, search: SearchPlan) -> list[Explained]:
        """Return how `find` asks each source; the statements are run once more to be timed."""
        out = []
        with self._connections.snapshot() as connection:
            for number, source in enumerate(search.sources(query.resource_type)):
                used, found = parameters_used(query, search, source, self.tables), 0
                for narrow in self._selects(query, search, number, source):
                    text, values = self._compiled(narrow)
                    began = perf_counter()
                    rows = len(connection.execute(text, values).fetchall())
                    took = 1000 * (perf_counter() - began)
                    plan = tuple(row[-1] for row in connection.execute(f"{self.schema.dialect.explain} {text}", values))
                    out.append(Explained(source.mapping, used, " ".join(text.split()), plan, rows, took))
                    used, found = (), found + rows
                    if found > query.count:
                        break
        return out

    def _total(self, connection: Connection, query: Query, search: SearchPlan) -> int:
        """How many records match; no record is of two sources."""
        found = 0
        for source in search.sources(query.resource_type):
            table = self.tables[source.kind.name]
            counted = select(func.count()).select_from(table).where(search.where(source, query.clauses, self.tables))
            found += connection.execute(*self._compiled(counted)).fetchone()[0]
        return found

    def _selects(self, query: Query, search: SearchPlan, number: int, source: SourceRef) -> Iterator[Select[Any]]:
        """The order values and keys of a source's matches on the page, and of one more; the nearest rows first."""
        key = self.tables[source.kind.name].c[KEY]
        order = list(search.order(source, query.sort, self.tables)) if query.sort else []
        where = search.where(source, query.clauses, self.tables)
        for each in ranges(query.after, walk_of(query), order, number, key):
            yield (
                select(*order, key)
                .where(each.where, where)  # SQLite takes the first bound of several for its index: this is the nearest
                .order_by(*each.order_by)
                .limit(query.count + 1)
                .offset(0)  # said here, or the compiler makes it up: a parameter that _compiled would not know
            )

    def _compiled(self, statement: Select[Any]) -> tuple[str, list[Any]]:
        """The text and parameters of a search; compiled once for all searches that differ in values only."""
        shape = statement._generate_cache_key()
        if shape is None:
            return _compile(statement, self.schema.dialect)
        values: list[Any] = [each.effective_value for each in shape.bindparams]
        key = (shape.key, tuple(len(value) if isinstance(value, list | tuple) else -1 for value in values))
        known = self._shapes.get(key)
        if known is None:
            known = _compile_shape(statement, shape.bindparams, values, self.schema.dialect)
            if known is None:
                return _compile(statement, self.schema.dialect)
            if len(self._shapes) >= SHAPES:
                self._shapes.clear()
            self._shapes[key] = known
        text, slots = known
        return text, [values[index] if place is None else values[index][place] for index, place in slots]

    def _matches(self, connection: Connection, sources: Sequence[SourceRef], page: Sequence[Place]) -> list[Found]:
        by_kind: dict[str, list[str]] = {}
        for place in page:
            by_kind.setdefault(sources[place.source].kind.name, []).append(place.key)
        records = {kind: self._reader.many(connection, kind, keys) for kind, keys in by_kind.items()}
        return [
            Found(source.mapping, records[source.kind.name][place.key], (*place.order, place.source, place.key))
            for place in page
            for source in (sources[place.source],)
        ]

    @contextmanager
    def transaction(self) -> Iterator[Writer]:
        """Write: all that happens inside is committed at its end, or nothing when an exception leaves it.

        Refused when another writer does not come to its end, and when a reference points at no record.
        """
        if self.read_only:
            raise ValueError("the store was opened for reading only")
        with self._connections.writing() as connection:
            yield Writer(connection, self._reader, self._statements)
            if not self._connections.commit(connection):
                raise Refused(*self._dangling(connection))

    @cached_property
    def _statements(self) -> Statements:
        return Statements(self.schema)

    def _dangling(self, connection: Connection) -> list[Issue]:
        """What a refused commit was refused for; looks through all tables, which is for this case only."""
        found = set()
        for each in self.schema.references:
            if connection.execute(self.schema.text_of(_pointing_nowhere(each, self.tables[each.to]))).fetchone():
                found.add((each.table.name, each.field, each.to))
        return [Issue("reference-dangling", table, {"field": field, "to": to}) for table, field, to in sorted(found)]

    def digest(self) -> str:
        """Return a SHA-256 over all that is stored: every record, its version and its lists."""
        digest = hashlib.sha256()
        with self._connections.snapshot() as connection:
            for table in sorted(self.schema.metadata.tables.values(), key=lambda table: table.name):
                if table.name != COUNTERS:
                    columns = [column for column in table.c if column.name not in (LISTS, WRITTEN)]
                    digest.update(table.name.encode())
                    for row in connection.execute(self._whole(table, columns)):
                        digest.update(repr(row).encode())
        return digest.hexdigest()

    def _whole(self, table: Table, columns: Sequence[ColumnElement[Any]]) -> str:
        return self.schema.text_of(select(*columns).order_by(*table.primary_key.columns))

    def close(self) -> None:
        """Close the connections of every thread."""
        self._connections.close()


class SqliteStore(Store):
    """A store in one SQLite file; make one with `open`."""

    @classmethod
    def open(
        cls,
        path: str | Path,
        kinds: Kinds,
        search_columns: Sequence[SearchColumn | FieldIndex] = (),
        *,
        read_only: bool = False,
    ) -> SqliteStore:
        """Open the store, made if there is none; Refused when the file is no store of these kinds.

        A read-only store must be there already, unless it is in memory.
        """
        name = str(path)
        if read_only and name != MEMORY and not Path(name).is_file():
            raise Refused(Issue("file-unreadable", name, {"reason": "there is no such file"}))
        try:
            connections = SqliteConnections(name)
            store = cls(connections, build_schema(kinds, search_columns), read_only=read_only)
            connections.ensure(store.schema)
        except sqlite3.DatabaseError as error:
            raise Refused(Issue("file-unreadable", name, {"reason": str(error)})) from None
        return store


def _pointing_nowhere(reference: Reference, target: Table) -> Select[Any]:
    """A row whose reference names a key that no record has."""
    column = reference.table.c[reference.column]
    other = target.alias()  # a record may point at one of its own kind
    known = exists(select(other.c[KEY]).where(other.c[KEY] == column))
    return select(column).where(column.is_not(None), ~known)


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
