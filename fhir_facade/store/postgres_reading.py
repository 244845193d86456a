"""A connection that reads: prepared statements run by libpq itself, which costs a third of what a cursor does.

The driver still finds the types of parameters and results. A call waits for its answer without holding the
interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import errors, pq
from psycopg.adapt import PyFormat, Transformer

STATEMENTS = 1000  # prepared ones kept for each connection
GOOD = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)

Raw = psycopg.Connection[Any]


class _Prepared:
    """What is prepared on one connection: text and types of parameters → the name of the statement."""

    def __init__(self, raw: Raw) -> None:
        self.names: dict[tuple[str, tuple[int, ...]], bytes] = {}
        self.transformer = Transformer(raw)


_PREPARED: WeakKeyDictionary[Raw, _Prepared] = WeakKeyDictionary()


class Fetched:
    """The rows of a result."""

    __slots__ = ("_left",)

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._left = iter(rows)

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None."""
        return next(self._left, None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        return list(self._left)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._left


class ReadingConnection:
    """A driver's connection that runs text with $1, $2 …; `replaced` gives another for one that was lost.

    Only what is outside a transaction is tried again on another connection: a statement that reads can be.
    """

    __slots__ = ("_prepared", "_replaced", "_tell", "raw")

    def __init__(self, raw: Raw, tell: Callable[[psycopg.Error], Any], replaced: Callable[[Raw], Raw | None]) -> None:
        self._tell, self._replaced = tell, replaced
        self._take(raw)

    def _take(self, raw: Raw) -> None:
        self.raw = raw
        prepared = _PREPARED.get(raw)
        if prepared is None:
            prepared = _PREPARED[raw] = _Prepared(raw)
        self._prepared = prepared

    def execute(self, sql: str, parameters: Sequence[Any] | None = None, /) -> Fetched:
        """Run one statement; without parameters as it is, so that it may name them for its plan alone."""
        if parameters is None:
            result = self._again(lambda: self._judged(self.raw.pgconn.exec_(sql.encode())))
        else:
            result = self._again(lambda: self._run(sql, parameters))
        transformer = self._prepared.transformer
        transformer.set_pgresult(result)
        return Fetched(transformer.load_rows(0, result.ntuples, tuple))

    def documents(self, sql: str, parameters: Sequence[Any], /) -> list[bytes]:
        """Run a statement; the bytes of its one column, row by row."""
        result = self._again(lambda: self._run(sql, parameters))
        value = result.get_value
        return [value(row, 0) or b"null" for row in range(result.ntuples)]

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun, also one that has failed."""
        return self.raw.pgconn.transaction_status != pq.TransactionStatus.IDLE

    def begin(self) -> None:
        """Begin a transaction."""
        self._again(lambda: self._judged(self.raw.pgconn.exec_(b"BEGIN")))

    def commit(self) -> None:
        """End a transaction."""
        try:
            self._judged(self.raw.pgconn.exec_(b"COMMIT"))
        except psycopg.Error as error:
            self._tell(error)

    def roll_back(self) -> None:
        """End a transaction that was not committed.

        Not by the driver: it has the server forget what is prepared after a ROLLBACK, and that is ours here.
        """
        if self.in_transaction:
            with suppress(psycopg.Error):  # a connection that is lost has no transaction
                self.raw.pgconn.exec_(b"ROLLBACK")

    def _again(self, work: Callable[[], pq.abc.PGresult]) -> pq.abc.PGresult:
        began = self.in_transaction
        while True:
            try:
                return work()
            except psycopg.Error as error:
                is_lost = self.raw.pgconn.status == pq.ConnStatus.BAD
                other = self._replaced(self.raw) if is_lost and not began else None
                if other is None:
                    self._tell(error)
                    raise
                self._take(other)

    def _run(self, sql: str, parameters: Sequence[Any]) -> pq.abc.PGresult:
        prepared, connection = self._prepared, self.raw.pgconn
        transformer = prepared.transformer
        values: Any = transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
        types = transformer.types or ()
        name = prepared.names.get((sql, types))
        if name is None:
            if len(prepared.names) >= STATEMENTS:
                self._judged(connection.exec_(b"DEALLOCATE ALL"))
                prepared.names.clear()
            name = b"f%d" % len(prepared.names)
            self._judged(connection.prepare(name, sql.encode(), types))
            prepared.names[sql, types] = name
        return self._judged(connection.exec_prepared(name, values, transformer.formats))

    def _judged(self, result: pq.abc.PGresult) -> pq.abc.PGresult:
        if result.status in GOOD:
            return result
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        message = (result.error_message or b"").decode(errors="replace")
        if not state:
            raise psycopg.OperationalError(message)
        try:
            kind = errors.lookup(state)
        except KeyError:
            kind = psycopg.DatabaseError
        raise kind(message)
