"""The stores: records in tables, read whole, searched page by page, written in transactions.

`Store` is what all have in common; `SqliteStore` is the embedded one, and `postgres.py` has the other.

Statements are made by SQLAlchemy once for each shape and run directly on the driver. Reads see what is
committed; in a store in memory, the thread that writes sees what it has written.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Table, func, select

from fhir_facade.contracts import Explained, Found, Known, Page, Query, Record, Separately, Stamp, Unfinished
from fhir_facade.mapping.columns import FieldIndex, SearchColumn
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.connections import MEMORY, SqliteConnections
from fhir_facade.store.dangling import dangling
from fhir_facade.store.dialects import Connection
from fhir_facade.store.explaining import parameters_used
from fhir_facade.store.keyset import Place, put_in_order, walk_of
from fhir_facade.store.planning import Planner, SearchPlan, SourceRef
from fhir_facade.store.reading import Reader
from fhir_facade.store.replies import REPLIES
from fhir_facade.store.sharing import Shared
from fhir_facade.store.tables import COUNTERS, LISTS, TRANSACTIONS, WRITTEN, Schema, build_schema
from fhir_facade.store.versions import VERSIONS, Kept
from fhir_facade.store.writer import Writer
from fhir_facade.store.writing import Statements

SCAN = 500  # records in memory at a time
MOST_VERSIONS = 2**62
LAST_INSTANT = "9999"


class Connections(Protocol):
    """Gives connections by what they are for."""

    def snapshot(self) -> AbstractContextManager[Connection]:
        """A connection on which all reads see the same moment."""
        ...

    def one_read(self) -> AbstractContextManager[Connection]:
        """A connection for one statement that reads; it sees one moment by itself."""
        ...

    def writing(self) -> AbstractContextManager[Connection]:
        """A connection in a transaction that alone may write; rolled back unless it is committed inside."""
        ...

    def beside(self) -> AbstractContextManager[Connection]:
        """A connection in a transaction for what is no record; rolled back unless it is committed inside."""
        ...

    def may_write(self) -> bool:
        """Whether what is stored can be changed through these connections."""
        ...

    def commit(self, connection: Any) -> bool:
        """Commit; False, with nothing undone yet, when a reference points at no record."""
        ...

    def close(self) -> None:
        """Close all connections, for good."""
        ...


class Store:
    """A store of records, whatever database holds them; `remote` where that is another process, which is waited for."""

    remote = False

    def __init__(self, connections: Connections, schema: Schema, *, read_only: bool) -> None:
        self.schema = schema
        self.tables: Mapping[str, Table] = schema.tables
        self.read_only = read_only
        self._connections: Any = connections
        self._reader = Reader(schema)
        self._planner = Planner(schema)
        self._shared = Shared()

    def allow_changes(self) -> bool:
        """Let a store that was opened for reading be written too; False where that cannot be."""
        self.read_only = not self._connections.may_write()
        return not self.read_only

    def check(self) -> None:
        """Ask the database for something small; Refused when it does not answer."""
        with self._connections.snapshot() as connection:
            connection.execute(self._statements.transactions, (TRANSACTIONS,)).fetchone()

    def briefly(self) -> AbstractContextManager[None]:
        """A time in which this thread may ask for what takes little; Unfinished when it would take more."""
        raise Unfinished

    def get(self, kind: str, key: str) -> Record | None:
        """Return the whole record with its lists, or None."""
        with self._connections.snapshot() as connection:
            return self._reader.one(connection, kind, key)

    def stamp(self, kind: str, key: str) -> Stamp | None:
        """Return the state of a record, or None; see contracts.Stamp."""
        with self._connections.one_read() as connection:
            row = connection.execute(self._stamps[kind], (key,)).fetchone()
        return None if row is None else tuple(row)

    @cached_property
    def _stamps(self) -> dict[str, str]:
        return {name: self._planner.stamp(name) for name in self.schema.shapes}

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

    def find(self, query: Query, search: SearchPlan, known: Known | None = None) -> Page:
        """Return one page in the total order (sort keys, source, record key), next to the query's position.

        What is `known` of a match comes in place of its record.
        """
        sources: Sequence[SourceRef] = search.sources(query.resource_type)
        planner, width = self._planner, len(query.sort)
        rows: list[Place] = []
        with self._connections.snapshot() as connection:
            for number, source in enumerate(sources):
                enough = len(rows) + query.count + 1
                for statement in planner.statements(query, search, number, source):
                    for row in connection.execute(*statement):
                        rows.append(Place(row[:width], number, row[width], row[width + 1 :]))
                    if len(rows) >= enough:  # what lies farther off is not on the page
                        break
            if len(sources) > 1:  # one gives them in order
                put_in_order(rows, walk_of(query))
            page = rows[: query.count][:: -1 if query.backward else 1]
            matches = self._matches(connection, sources, page, known)
            total = self._total(connection, query, search) if query.total else None
        return Page(matches, len(rows) > query.count, total)

    def explain(self, query: Query, search: SearchPlan) -> list[Explained]:
        """Return how `find` asks each source; the statements are run once more to be timed."""
        out = []
        with self._connections.snapshot() as connection:
            for number, source in enumerate(search.sources(query.resource_type)):
                used, found = parameters_used(query, search, source, self.tables), 0
                for text, values in self._planner.statements(query, search, number, source):
                    began = perf_counter()
                    rows = len(connection.execute(text, values).fetchall())
                    took = 1000 * (perf_counter() - began)
                    plan = self._plan(connection, text, values)
                    out.append(Explained(source.mapping, used, " ".join(text.split()), plan, rows, took))
                    used, found = (), found + rows
                    if found > query.count:
                        break
        return out

    def _plan(self, connection: Connection, text: str, values: Sequence[Any]) -> tuple[str, ...]:
        """How the database would carry out a statement; its values stand nowhere in it."""
        dialect = self.schema.dialect
        given = () if dialect.explains_without else (values,)
        return tuple(row[-1] for row in connection.execute(f"{dialect.explain} {text}", *given))

    def _total(self, connection: Connection, query: Query, search: SearchPlan) -> int:
        """How many records match; no record is of two sources."""
        found = 0
        for number, source in enumerate(search.sources(query.resource_type)):
            counted = self._planner.statement(self._planner.total(query, search, number, source))
            found += connection.execute(*counted).fetchone()[0]
        return found

    def _matches(
        self, connection: Connection, sources: Sequence[SourceRef], page: Sequence[Place], known: Known | None
    ) -> list[Found]:
        made: list[bytes | None] = [None] * len(page)
        if known is not None:
            made = [known(sources[place.source].mapping, place.key, place.stamp) for place in page if place.stamp]
        by_kind: dict[str, list[str]] = {}
        for place, ready in zip(page, made, strict=True):
            if ready is None:
                by_kind.setdefault(sources[place.source].kind.name, []).append(place.key)
        records = {kind: self._reader.many(connection, kind, keys) for kind, keys in by_kind.items()}
        out = []
        for place, ready in zip(page, made, strict=True):
            source = sources[place.source]
            record = records[source.kind.name][place.key] if ready is None else None
            position = (*place.order, place.source, place.key)
            out.append(Found(source.mapping, place.key, record, position, place.stamp, ready))
        return out

    def version(self, kind: str, key: str, number: int) -> Kept | None:
        """Return one version of a record as it was, the present one or one of the journal; None when there is none."""
        with self._connections.snapshot() as connection:
            present = self._present(connection, kind, key)
            if present is not None and present.version == number:
                return present
            return self._statements.journal.one(connection, kind, key, number)

    def last_version(self, kind: str, key: str) -> Kept | None:
        """Return the newest version of a record, which may be its deletion; None when it never was."""
        with self._connections.snapshot() as connection:
            return self._present(connection, kind, key) or self._statements.journal.newest(connection, kind, key)

    def history(self, kind: str, key: str, count: int, *, before: int = 0, since: str = "") -> list[Kept]:
        """Return at most so many versions of a record, newest first: below a version (0: all), from an instant on."""
        with self._connections.snapshot() as connection:
            present = self._present(connection, kind, key)
            shown = present is not None and (not before or present.version < before) and present.changed >= since
            found = [present] if present is not None and shown else []
            below = before or MOST_VERSIONS
            found += self._statements.journal.of_one(connection, kind, key, below, since, count - len(found))
        return found

    def history_of_kind(
        self, kind: str, count: int, *, after: tuple[str, str, int] | None = None, since: str = ""
    ) -> list[Kept]:
        """Return at most so many versions of all records of a kind, newest first.

        `after` is the place (changed, key, version) of the last one that is known.
        """
        at = after or (LAST_INSTANT, "", 0)
        with self._connections.snapshot() as connection:
            found = [self._kept(kind, record) for record in self._reader.changed(connection, kind, since, at, count)]
            found += self._statements.journal.of_kind(connection, kind, since, at, count)
        found.sort(key=lambda each: (each.changed, each.key, each.version), reverse=True)
        return found[:count]

    def _present(self, connection: Connection, kind: str, key: str) -> Kept | None:
        record = self._reader.one(connection, kind, key)
        return None if record is None else self._kept(kind, record)

    def _kept(self, kind: str, record: Record) -> Kept:
        shape = self.schema.shapes[kind].kind
        return Kept(record["$key"], record[shape.version], str(record[shape.changed] or ""), record)

    @contextmanager
    def transaction(self) -> Iterator[Writer]:
        """Write: all that happens inside is committed at its end, or nothing when an exception leaves it.

        Refused when another writer does not come to its end, and when a reference points at no record. Inside
        `together` what it did becomes a part of that.
        """
        if self.read_only:
            raise ValueError("the store was opened for reading only")
        if self._shared.connection is not None:
            with self._shared.part() as connection:
                yield Writer(connection, self._reader, self._statements)
            return
        with self._connections.writing() as connection:
            yield Writer(connection, self._reader, self._statements)
            if not self._connections.commit(connection):
                raise Refused(*dangling(connection, self.schema))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let all transactions that this thread begins inside be committed as one, at the end.

        Each is still undone by itself when an exception leaves it. Separately, with nothing of any of them stored, when
        they cannot be committed as one.
        """
        with self._connections.writing() as connection:
            with self._shared.opened(connection):
                yield
            if not (self._shared.is_whole and self._connections.commit(connection)):
                raise Separately

    @contextmanager
    def beside(self) -> Iterator[Connection]:
        """Change what is no record: committed at its end, or nothing when an exception leaves it.

        It takes turns with those who change records only where the database knows one writer at a time.
        """
        with self._connections.beside() as connection:
            yield connection
            connection.execute("COMMIT")

    def snapshot(self) -> AbstractContextManager[Connection]:
        """A connection on which all reads see the same moment."""
        snapshot: AbstractContextManager[Connection] = self._connections.snapshot()
        return snapshot

    def inside(self, writer: Writer) -> Store:
        """The store as a transaction sees it, with what it has written so far; good as long as the transaction."""
        seen = copy(self)
        seen.read_only = True
        seen._connections = _Inside(writer.connection)
        return seen

    @cached_property
    def _statements(self) -> Statements:
        return Statements(self.schema)

    def digest(self, *, history: bool = False) -> str:
        """Return a SHA-256 over all that is stored: every record, its version and its lists; the journal if asked."""
        digest = hashlib.sha256()
        without = {COUNTERS} if history else {COUNTERS, VERSIONS, REPLIES}
        with self._connections.snapshot() as connection:
            for table in sorted(self.schema.metadata.tables.values(), key=lambda table: table.name):
                if table.name not in without:
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


class _Inside:
    """The connection of one transaction, for all that is read."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def snapshot(self) -> AbstractContextManager[Connection]:
        return nullcontext(self._connection)

    one_read = snapshot


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
        timeout: float = 0,
    ) -> SqliteStore:
        """Open the store, made if there is none; Refused when the file is no store of these kinds.

        A read-only store must be there already, unless it is in memory. Reading of one moment is given up after
        `timeout` seconds; 0 is no limit.
        """
        name = str(path)
        if read_only and name != MEMORY and not Path(name).is_file():
            raise Refused(Issue("file-unreadable", name, {"reason": "there is no such file"}))
        try:
            connections = SqliteConnections(name, timeout)
            store = cls(connections, build_schema(kinds, search_columns), read_only=read_only)
            connections.ensure(store.schema)
        except sqlite3.DatabaseError as error:
            raise Refused(Issue("file-unreadable", name, {"reason": str(error)})) from None
        return store

    def briefly(self) -> AbstractContextManager[None]:
        """As every store; here it is steps of the database's machine that are counted."""
        connections: SqliteConnections = self._connections
        return connections.briefly()
