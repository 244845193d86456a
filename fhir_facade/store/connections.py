"""Connections to one SQLite file: a reading and a writing one for every thread, or one for all in memory."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import inf
from time import monotonic
from typing import Any
from weakref import WeakSet

from sqlalchemy import insert, select

from fhir_facade.contracts import Unfinished
from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.dialects import parameter
from fhir_facade.store.tables import FINGERPRINT, TRANSACTIONS, Schema, text_of

MEMORY = ":memory:"
BUSY_SECONDS = 10.0
BRIEF = 100  # times STEPS
STEPS = 1000  # of the database's machine


class _Connection(sqlite3.Connection):
    """A connection that closes with the thread it belongs to, and that a set may hold weakly."""

    def __del__(self) -> None:
        self.close()


class _Patience:
    """Asked by the database after each STEPS steps of its machine: whether it is to give the statement up."""

    __slots__ = ("steps", "until")

    def __init__(self) -> None:
        self.steps: int | None = None  # how many times more, None for as long as the time lasts
        self.until = inf

    def __call__(self) -> bool:
        if self.steps is None:
            return monotonic() > self.until
        self.steps -= 1
        return self.steps < 0


class _PerThread(threading.local):
    patience: _Patience
    reader: _Connection | None = None
    writer: _Connection | None = None


class SqliteConnections:
    """Gives connections by what they are for; threads take turns with a database in memory.

    What is read of one moment may take `timeout` seconds; 0 is no limit.
    """

    def __init__(self, path: str, timeout: float = 0) -> None:
        self.path = path
        self._timeout = timeout or inf
        self._mine = _PerThread()
        self._all: WeakSet[_Connection] = WeakSet()
        self._lock = threading.RLock()
        self._is_closed = False
        self._shared = self._connect() if path == MEMORY else None

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection on which all reads see the same moment."""
        with self._alone():
            connection = self._shared or self._mine.reader or self._reader()
            if connection.in_transaction:  # in memory, inside a transaction of this thread
                yield connection
                return
            patience = None if self._shared else self._mine.patience
            connection.execute("BEGIN")
            if patience is not None:
                patience.until = monotonic() + self._timeout
            try:
                yield connection
            except sqlite3.OperationalError as error:
                if patience is None or error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                    raise
                if patience.steps is not None:
                    raise Unfinished from None
                raise Refused(Issue("store-too-slow")) from None
            finally:
                if patience is not None:
                    patience.until = inf
                connection.execute("COMMIT")

    @contextmanager
    def briefly(self) -> Iterator[None]:
        """Let this thread's reads take BRIEF times STEPS together, which is some milliseconds.

        Unfinished when they would take more, or when other threads share the connection.
        """
        if self._shared is not None:
            raise Unfinished
        if self._mine.reader is None:
            self._reader()
        patience = self._mine.patience
        patience.steps = BRIEF
        try:
            yield
        finally:
            patience.steps = None

    def one_read(self) -> AbstractContextManager[sqlite3.Connection]:
        """A connection for one statement that reads; it sees one moment by itself."""
        if self._shared is not None:
            return self.snapshot()
        return nullcontext(self._mine.reader or self._reader())

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction that alone may write; rolled back unless it is committed inside."""
        with self._alone():
            connection = self._shared or self._writer()
            begin(connection)
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    beside = writing  # a file has one writer at a time

    def may_write(self) -> bool:
        """Whether the file may be written."""
        return self._shared is not None or os.access(self.path, os.W_OK)

    def commit(self, connection: sqlite3.Connection) -> bool:
        """Commit; False, with nothing undone yet, when a reference points at no record."""
        try:
            connection.execute("COMMIT")
        except sqlite3.IntegrityError:
            return False
        return True

    def close(self) -> None:
        """Close the connections of every thread, for good."""
        self._is_closed = True
        for connection in list(self._all):
            connection.close()

    def ensure(self, schema: Schema) -> None:
        """Make the tables in an empty database; Refused when the tables there are others."""
        connection = self._shared or self._writer()
        if _is_empty(connection):
            self._create(connection, schema)
        counters = schema.counters.c
        made = text_of(select(counters.value).where(counters.name == parameter("called")), "called")
        try:
            row = connection.execute(made, (FINGERPRINT,)).fetchone()
        except sqlite3.OperationalError:
            row = None
        if row is None or row[0] != schema.fingerprint:
            raise Refused(Issue("store-other-tables", self.path))

    def _create(self, connection: _Connection, schema: Schema) -> None:
        if connection is not self._shared:
            connection.execute("PRAGMA journal_mode=WAL")
        begin(connection)
        if _is_empty(connection):
            for statement in schema.ddl:
                connection.execute(statement)
            first = [(FINGERPRINT, schema.fingerprint), (TRANSACTIONS, 0)]
            connection.executemany(text_of(insert(schema.counters), "name", "value"), first)
        connection.execute("COMMIT")

    def _alone(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._shared is None else self._lock

    def _reader(self) -> _Connection:
        self._mine.reader = connection = self._connect()
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA cache_size=-8192")  # 8 MiB: each thread has its own, and the system keeps pages too
        self._mine.patience = _Patience()
        connection.set_progress_handler(self._mine.patience, STEPS)
        return connection

    def _writer(self) -> _Connection:
        if self._mine.writer is None:
            self._mine.writer = self._connect()
        return self._mine.writer

    def _connect(self) -> _Connection:
        if self._is_closed:
            raise ValueError("the store is closed")
        connection = sqlite3.connect(
            self.path,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
            factory=_Connection,
        )
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-65536")  # 64 MiB: most of a load is the keeping of indexes
        self._all.add(connection)
        return connection


def begin(connection: sqlite3.Connection) -> None:
    """Begin to write; Refused when another writer does not come to its end."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise Refused(Issue("store-busy")) from None
        raise


def _is_empty(connection: sqlite3.Connection) -> bool:
    return not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
