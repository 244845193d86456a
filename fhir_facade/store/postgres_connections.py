"""Connections to PostgreSQL: a pool for reading, from a replica where there is one, and a small one for writing.

What the server refuses becomes an issue with a remedy where trying again helps. No message of the driver is passed
on, since it may hold what stands in a record or in the connection string.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import psycopg
from psycopg import errors, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.numeric import Int8Dumper
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout
from sqlalchemy import insert, select

from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.dialects import Rows, parameter
from fhir_facade.store.location import Location
from fhir_facade.store.postgres_dialect import POSTGRES
from fhir_facade.store.postgres_reading import ReadingConnection
from fhir_facade.store.tables import COUNTERS, FINGERPRINT, TRANSACTIONS, Schema

BUSY_SECONDS = 10.0
CONNECT_SECONDS = 5
WAIT_SECONDS = 5.0  # for a connection of the pool
STATEMENTS = 1000  # prepared ones kept for each connection
MAKING = 0x66686972  # the advisory lock of who makes or changes the tables: "fhir"
UNREACHABLE = ("08", "57P", "53", "58")
"""SQLSTATE classes of a server that is not there, stops, starts, or lacks room (PostgreSQL, appendix A)."""


class PostgresConnection:
    """A driver's connection that runs text with $1, $2 … and tells faults as issues."""

    __slots__ = ("raw",)

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw

    def execute(self, sql: str, parameters: Sequence[Any] | None = None, /) -> Rows:
        """Run one statement."""
        try:
            return self.raw.execute(sql, parameters, prepare=False if parameters is None else None)
        except psycopg.Error as error:
            raise_for(error)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> None:
        """Run one statement for each row of parameters, without waiting between them."""
        try:
            with self.raw.cursor() as cursor:
                cursor.executemany(sql, parameters)
        except psycopg.Error as error:
            raise_for(error)

    def documents(self, sql: str, parameters: Sequence[Any], /) -> list[bytes]:
        """Run a statement; its one column, row by row."""
        return [row[0].encode() for row in self.execute(sql, parameters)]

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun, also one that has failed."""
        return self.raw.info.transaction_status != pq.TransactionStatus.IDLE


def raise_for(error: psycopg.Error) -> NoReturn:
    """Raise what a fault of the driver means for a user; the fault itself where it is none of theirs."""
    state = error.sqlstate or ""
    if isinstance(error, errors.QueryCanceled):
        raise Refused(Issue("store-too-slow")) from None
    if isinstance(error, errors.LockNotAvailable):
        raise Refused(Issue("store-busy")) from None
    if isinstance(error, errors.InsufficientPrivilege):
        raise Refused(Issue("store-forbids")) from None
    if isinstance(error, PoolTimeout):
        raise Refused(Issue("store-unreachable", "", {"reason": "no connection could be had in time"})) from None
    if state.startswith(UNREACHABLE) or (isinstance(error, psycopg.OperationalError) and not state):
        raise Refused(Issue("store-unreachable", "", {"reason": "the connection was lost"})) from None
    if isinstance(error, psycopg.DataError) and not state and "NUL" in str(error):
        raise Refused(Issue("text-with-null")) from None
    raise error


class PostgresConnections:
    """Gives connections by what they are for. `timeout` is how many seconds a statement may take; 0 is no limit."""

    def __init__(self, where: Location, *, replica: Location | None = None, size: int = 8, timeout: float = 0) -> None:
        """Refused when a database cannot be reached."""
        self.where, self.replica = where, replica
        source = replica or where
        for each in {where, source}:
            try_to_reach(each)
        reading = {
            "default_transaction_isolation": "repeatable read",
            "default_transaction_read_only": "on",
            "jit": "off",  # the statements are long and short-lived: to compile them takes longer than to run them
        }
        writing = {"lock_timeout": f"{int(BUSY_SECONDS * 1000)}"}
        if timeout:
            reading["statement_timeout"] = writing["statement_timeout"] = f"{max(int(timeout * 1000), 1)}"
        self._readers = _pool(source, reading, size)
        self._writers = _pool(where, writing, 2)

    @contextmanager
    def snapshot(self) -> Iterator[ReadingConnection]:
        """A connection on which all reads see the same moment; one that was lost meanwhile is replaced."""
        with self.one_read() as connection:
            connection.begin()
            try:
                yield connection
                connection.commit()
            finally:
                connection.roll_back()

    @contextmanager
    def one_read(self) -> Iterator[ReadingConnection]:
        """A connection for one statement that reads; it sees one moment by itself."""
        pool = self._readers
        held, left = [_got(pool)], pool.max_size

        def replaced(_: Any) -> psycopg.Connection[Any] | None:
            nonlocal left
            pool.putconn(held.pop())  # first: there may be room for one only
            if not left:
                return None
            left -= 1
            held.append(_got(pool))
            return held[0]

        try:
            yield ReadingConnection(held[0], raise_for, replaced)
        finally:
            for raw in held:
                pool.putconn(raw)

    @contextmanager
    def writing(self) -> Iterator[PostgresConnection]:
        """A connection in a transaction that alone may write; rolled back unless it is committed inside."""
        with _taken(self._writers) as connection:
            try:
                connection.execute(f"LOCK TABLE {COUNTERS} IN EXCLUSIVE MODE")
                yield connection
            finally:
                _rolled_back(connection)

    @contextmanager
    def beside(self) -> Iterator[PostgresConnection]:
        """A connection in a transaction that others may write beside; rolled back unless it is committed inside."""
        with _taken(self._writers) as connection:
            try:
                yield connection
            finally:
                _rolled_back(connection)

    def may_write(self) -> bool:
        """Whether the tables are ours to change: they are none of someone else's seen through views."""
        with _taken(self._writers) as connection:
            try:
                return not of_views(connection)
            finally:
                _rolled_back(connection)

    def commit(self, connection: PostgresConnection) -> bool:
        """Commit; False, with nothing undone yet, when a reference points at no record."""
        connection.execute("SAVEPOINT written")
        try:
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except psycopg.errors.ForeignKeyViolation:
            connection.execute("ROLLBACK TO SAVEPOINT written")
            return False
        connection.execute("COMMIT")
        return True

    def close(self) -> None:
        """Close all connections, for good."""
        self._readers.close()
        self._writers.close()

    def ensure(self, schema: Schema, *, read_only: bool) -> None:
        """Make the tables in an empty database; Refused when the tables there are others, or none and it may not."""
        with self.snapshot() as connection:
            known, is_empty = fingerprint_in(connection, schema), not known_tables(connection, schema)
            if not read_only and of_views(connection):
                raise Refused(Issue("store-of-views", str(self.where)))
        if known is None and is_empty and not read_only:
            with _taken(self._writers) as connection:
                try:
                    known = make_tables(connection, schema)
                    connection.execute("COMMIT")
                finally:
                    _rolled_back(connection)
        elif known is None and is_empty:
            raise Refused(Issue("store-without-tables", str(self.replica or self.where)))
        if known != schema.fingerprint:
            raise Refused(Issue("store-older-tables", str(self.replica or self.where)))


def make_tables(connection: PostgresConnection, schema: Schema) -> int | None:
    """Make the tables unless someone else has; returns the fingerprint of those that are there then."""
    connection.execute("SELECT pg_advisory_xact_lock($1)", (MAKING,))
    if not known_tables(connection, schema):
        for statement in schema.ddl:
            connection.execute(statement)
        first = [(FINGERPRINT, schema.fingerprint), (TRANSACTIONS, 0)]
        connection.executemany(schema.text_of(insert(schema.counters), "name", "value"), first)
    return fingerprint_in(connection, schema)


def known_tables(connection: PostgresConnection | ReadingConnection, schema: Schema) -> set[str]:
    """Those of the store's tables, or views with their names, that are there."""
    names = [table.name for table in schema.metadata.tables.values()]
    found = "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(quote_ident(name)) IS NOT NULL"
    return {row[0] for row in connection.execute(found, (names,))}


def of_views(connection: PostgresConnection | ReadingConnection) -> bool:
    """Whether the store is one of views over the tables of someone else (store/views.py)."""
    asked = "SELECT relkind = 'v' FROM pg_class WHERE oid = to_regclass($1)"
    row = connection.execute(asked, (COUNTERS,)).fetchone()
    return bool(row and row[0])


def fingerprint_in(connection: PostgresConnection | ReadingConnection, schema: Schema) -> int | None:
    """The fingerprint of the tables that are there; None when there are none of ours."""
    row = connection.execute("SELECT to_regclass($1)", (COUNTERS,)).fetchone()
    if row is None or row[0] is None:
        return None
    counters = schema.counters.c
    row = connection.execute(
        POSTGRES.text_of(select(counters.value).where(counters.name == parameter("called")), "called"), (FINGERPRINT,)
    ).fetchone()
    return None if row is None else int(row[0])


def connection_string(where: Location, session: dict[str, str]) -> str:
    """What the driver connects by: the URL, with settings of the session; Refused when it is no URL."""
    try:
        given: dict[str, Any] = conninfo_to_dict(where.text)
        given.setdefault("connect_timeout", CONNECT_SECONDS)
        given.setdefault("application_name", "fhir-facade")
        given["client_encoding"] = "UTF8"
        chosen = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in session.items())
        given["options"] = f"{given.get('options') or ''} {chosen}".strip()
        return make_conninfo(**given)
    except psycopg.ProgrammingError:  # its message may quote the password
        raise unreachable(where, "the URL is not well formed") from None


def try_to_reach(where: Location) -> None:
    """Refused, with a reason that holds no secret, when the database does not answer or is not UTF-8."""
    try:
        with psycopg.connect(connection_string(where, {})) as connection:
            encoding = connection.info.parameter_status("server_encoding")
    except psycopg.Error as error:
        raise unreachable(where, reason_of(where, error)) from None
    if encoding != "UTF8":
        raise unreachable(where, f"the database is {encoding}, and must be UTF8")


def unreachable(where: Location, reason: str) -> Refused:
    return Refused(Issue("store-unreachable", str(where), {"reason": reason}))


def reason_of(where: Location, error: psycopg.Error) -> str:
    """The first line of a fault at connecting, without the password."""
    lines = str(error).strip().splitlines() or ["it does not answer"]
    password = conninfo_to_dict(where.text).get("password")
    line = lines[0].removeprefix("connection failed: ").rstrip(" .?")
    return line.replace(str(password), "***") if password else line


def _pool(where: Location, session: dict[str, str], size: int) -> ConnectionPool[Any]:
    return ConnectionPool(
        connection_string(where, session),
        kwargs={"autocommit": True, "cursor_factory": psycopg.RawCursor, "prepare_threshold": 1},
        min_size=0,
        max_size=size,
        timeout=WAIT_SECONDS,
        configure=_configure,
        open=True,
        name="fhir-facade",
    )


def _configure(connection: psycopg.Connection[Any]) -> None:
    connection.prepared_max = STATEMENTS
    connection.adapters.register_dumper(int, Int8Dumper)  # one type for whole numbers: one plan for a statement


@contextmanager
def _taken(pool: ConnectionPool[Any]) -> Iterator[PostgresConnection]:
    """A connection of the pool in a new transaction; those that were lost while they waited are left out."""
    raw = _begun(pool)
    try:
        yield PostgresConnection(raw)
    finally:
        pool.putconn(raw)


def _got(pool: ConnectionPool[Any]) -> psycopg.Connection[Any]:
    try:
        raw: psycopg.Connection[Any] = pool.getconn()
    except PoolClosed:
        raise ValueError("the store is closed") from None
    except psycopg.Error as error:
        raise_for(error)
    return raw


def _begun(pool: ConnectionPool[Any]) -> psycopg.Connection[Any]:
    tries = pool.max_size + 1
    while True:
        tries -= 1
        raw = _got(pool)
        try:
            raw.execute("BEGIN")
        except psycopg.Error as error:
            is_lost = raw.broken or raw.closed
            pool.putconn(raw)
            if not (is_lost and tries):
                raise_for(error)
        else:
            return raw


def _rolled_back(connection: PostgresConnection) -> None:
    """End a transaction that was not committed; a connection that is lost has none."""
    if connection.in_transaction:
        with suppress(psycopg.Error):
            connection.raw.execute("ROLLBACK")
