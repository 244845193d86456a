"""The outbox: changes that are stored with what they change, and told to the record system afterwards.

A row is written in the transaction of its change; so there is never the one without the other. Whoever tells them, a
transaction of its own for each step, holds the lease: one row, whose number rises with each step. Nobody's clock is
compared with another's: a lease whose number has not risen for a while, as the others see it, is free for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, exists, func, insert, literal_column, null, or_, select, update

from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.dialects import Connection, Rows, number, parameter
from fhir_facade.store.outbox_tables import STATES, TELLER, Entry, Outgoing, State, outbox_tables

if TYPE_CHECKING:
    from fhir_facade.store.records import Store

ONE: Any = literal_column("1")
NONE: Any = literal_column("0")
EMPTY: Any = literal_column("''")


class Lease(NamedTuple):
    """Who tells the changes ("" is nobody), and the number that rises with each of the teller's steps."""

    holder: str
    beat: int


class Counted(NamedTuple):
    """How many changes are in a state, and when the oldest of them was made."""

    state: State
    changes: int
    oldest: str


class Outbox:
    """The outbox of a store. A method that takes a connection leaves the transaction to its caller."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tables = outbox_tables()
        self._sql = _Statements(store)

    def make(self) -> None:
        """Make the tables where there are none."""
        if self.is_there():
            return
        with self._store.transaction() as writer:  # one at a time
            connection = writer.connection
            if not self._is_there(connection):
                for statement in self._tables.ddl():
                    connection.execute(self._store.schema.text_of(statement))
                connection.execute(self._sql.begin, (TELLER, "", 0))

    def is_there(self) -> bool:
        """Whether the store has had its outbox turned on."""
        with self.reading() as connection:
            return self._is_there(connection)

    def _is_there(self, connection: Connection) -> bool:
        row = connection.execute(self._store.schema.dialect.has, (self._tables.outbox.name,)).fetchone()
        return row is not None and row[0] is not None

    def stepping(self) -> AbstractContextManager[Connection]:
        """A transaction of the outbox alone: committed at its end, or nothing when an exception leaves it."""
        return self._store.beside()

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection on which all reads see the same moment."""
        return self._store.snapshot()

    # ---- with the change

    def put(self, connection: Connection, changes: Sequence[Outgoing]) -> None:
        """Put changes into the outbox, in their order."""
        connection.executemany(self._sql.put, [(*each, "waiting", 0, each.made, "", 1) for each in changes])

    # ---- the lease

    def lease(self, connection: Connection) -> Lease:
        """The lease as it is now."""
        return Lease(*connection.execute(self._sql.lease, (TELLER,)).fetchone())

    def seize(self, connection: Connection, holder: str, seen: Lease) -> bool:
        """Take a lease that is still as it was seen; what its holder was sending is waiting again."""
        if not connection.execute(self._sql.seize, (holder, TELLER, seen.beat)).fetchall():
            return False
        self.doubt(connection)
        return True

    def beat(self, connection: Connection, holder: str) -> bool:
        """Show that the holder is at work; False when the lease is another's. Nobody else gets it meanwhile."""
        return bool(connection.execute(self._sql.beat, (TELLER, holder)).fetchall())

    def release(self, connection: Connection, holder: str) -> None:
        """Give the lease back."""
        connection.execute(self._sql.release, (TELLER, holder))

    def doubt(self, connection: Connection) -> None:
        """Let all that is being sent wait again: nobody knows what became of it."""
        connection.execute(self._sql.doubt)

    # ---- one change after the other

    def heads(self, connection: Connection, now: str, most: int) -> list[int]:
        """The positions of changes that may be told now, each the first of its queue, the longest due first."""
        return [row[0] for row in connection.execute(self._sql.heads, (now, most))]

    def head(self, connection: Connection, queue: str) -> int | None:
        """The position of the first change of a queue."""
        found: int | None = connection.execute(self._sql.head, (queue,)).fetchone()[0]
        return found

    def claim(self, connection: Connection, position: int, now: str) -> Entry | None:
        """Begin to tell a change; None when it is not due, or something of its queue comes before it."""
        rows = connection.execute(self._sql.claim, (position, now)).fetchall()
        return Entry(*rows[0]) if rows else None

    def delivered(self, connection: Connection, entry: Entry, now: str) -> None:
        """A change has been told; what it said is kept no longer."""
        connection.execute(self._sql.delivered, (now, entry.position, entry.attempts))

    def failed(self, connection: Connection, entry: Entry, state: State, due: str, error: str, *, keeps: bool) -> None:
        """A change has not been told: it waits, or is dead; whether it `keeps` its place in its queue."""
        given = (state, due, error, 1 if keeps else None, entry.position, entry.attempts)
        connection.execute(self._sql.failed, given)

    def trim(self, connection: Connection, before: str) -> None:
        """Forget what was settled before an instant."""
        connection.execute(self._sql.trim, (before,))

    # ---- seen and mended by people

    def counts(self) -> list[Counted]:
        """How many changes there are in each state that any is in."""
        with self.reading() as connection:
            found = [Counted(*row) for row in connection.execute(self._sql.counts)]
        return sorted(found, key=lambda each: STATES.index(each.state))

    def listed(self, state: State, most: int) -> list[Entry]:
        """The first changes of a state, without what they say."""
        with self.reading() as connection:
            return [Entry(*row) for row in connection.execute(self._sql.listed, (state, most))]

    def find(self, change: str) -> Entry:
        """One change; Refused when there is none of this name."""
        with self.reading() as connection:
            return self._find(connection, change)

    def retry(self, change: str, now: str) -> None:
        """Let a dead change be told again, with all its attempts; a waiting one at once.

        Refused when it is over, or when a later change of the same resource has been told already.
        """
        with self.stepping() as connection:
            entry = self._mendable(connection, change)
            if connection.execute(self._sql.overtaken, (entry.type, entry.id, entry.position)).fetchone():
                raise Refused(Issue("outbox-overtaken", "", {"change": change}))
            _one_of(connection.execute(self._sql.retry, (now, entry.position)), entry)

    def skip(self, change: str, now: str) -> None:
        """Never tell a change; those behind it go on. Refused when it is over already."""
        with self.stepping() as connection:
            entry = self._mendable(connection, change)
            _one_of(connection.execute(self._sql.skip, (now, entry.position)), entry)

    def _find(self, connection: Connection, change: str) -> Entry:
        row = connection.execute(self._sql.find, (change,)).fetchone()
        if row is None:
            raise Refused(Issue("outbox-unknown"))
        return Entry(*row)

    def _mendable(self, connection: Connection, change: str) -> Entry:
        entry = self._find(connection, change)
        if entry.state not in ("waiting", "dead"):
            raise _settled(entry)
        return entry


def _one_of(rows: Rows, entry: Entry) -> None:
    """Refused when a statement has found no row, since someone else was first."""
    if not rows.fetchall():
        raise _settled(entry)


def _settled(entry: Entry) -> Refused:
    return Refused(Issue("outbox-settled", "", {"change": entry.change, "state": entry.state}))


class _Statements:
    """The statements of the outbox, as the database of a store takes them."""

    def __init__(self, store: Store) -> None:
        self._text_of = store.schema.text_of
        self._outbox, self._lease = outbox_tables()
        self._of_lease()
        self._of_telling()
        self._of_people()

    def _of_lease(self) -> None:
        text_of, table = self._text_of, self._lease
        named, risen = table.c.name == parameter("called"), table.c.beat + ONE
        held = (named, table.c.holder == parameter("by"))
        self.begin = text_of(insert(table), *table.c.keys())
        self.lease = text_of(select(table.c.holder, table.c.beat).where(named), "called")
        seize = update(table).values(holder=parameter("to_holder"), beat=risen).returning(table.c.beat)
        self.seize = text_of(seize.where(named, table.c.beat == number("seen")), "to_holder", "called", "seen")
        self.beat = text_of(update(table).values(beat=risen).where(*held).returning(table.c.beat), "called", "by")
        self.release = text_of(update(table).values(holder=EMPTY, beat=risen).where(*held), "called", "by")

    def _of_telling(self) -> None:
        text_of, table, column = self._text_of, self._outbox, self._outbox.c
        puts, whole = [*Outgoing._fields, "state", "attempts", "due", "error", "open"], ("version", "attempts", "open")
        put = insert(table).values({name: number(name) if name in whole else parameter(name) for name in puts})
        self.put = text_of(put.inline(), *puts)
        is_sent, waits = _in(column, "sending"), _in(column, "waiting")
        here, due, is_open = column.position == number("at"), column.due <= parameter("now"), column.open == ONE

        firsts = select(func.min(column.position).label("first")).where(is_open).group_by(column.queue).subquery()
        heads = select(column.position).join(firsts, firsts.c.first == column.position).where(waits, due)
        heads = heads.order_by(column.due, column.position).limit(number("most")).offset(NONE)
        self.heads = text_of(heads, "now", "most")
        head = select(func.min(column.position)).where(is_open, column.queue == parameter("queued"))
        self.head = text_of(head, "queued")
        other = table.alias("other").c
        comes_before = or_(other.position < column.position, _in(other, "sending"))
        same = select(other.position).where(other.open == ONE, other.queue == column.queue, comes_before)
        claim = self._changed(state=_text("sending"), attempts=column.attempts + ONE)
        claim = claim.where(here, waits, due, ~exists(same)).returning(*_entry(column))
        self.claim = text_of(claim, "at", "now")

        mine = (here, is_sent, column.attempts == number("tried"))
        over = {"content": null(), "open": null()}
        delivered = self._changed("settled", state=_text("delivered"), error=EMPTY, **over).where(*mine)
        self.delivered = text_of(delivered, "to_settled", "at", "tried")
        failed = self._changed("state", "due", "error", open=number("to_open")).where(*mine)
        self.failed = text_of(failed, "to_state", "to_due", "to_error", "to_open", "at", "tried")
        self.doubt = text_of(self._changed(state=_text("waiting"), error=_text("interrupted")).where(is_sent))
        self.trim = text_of(delete(table).where(column.settled < parameter("before")), "before")

    def _of_people(self) -> None:
        text_of, column = self._text_of, self._outbox.c
        here, mendable = column.position == number("at"), _in(column, "waiting", "dead")
        self.counts = text_of(select(column.state, func.count(), func.min(column.made)).group_by(column.state))
        self.find = text_of(select(*_entry(column)).where(column.change == parameter("named")), "named")
        shown = [null().label("content") if each is column.content else each for each in _entry(column)]
        listed = select(*shown).where(column.state == parameter("such")).order_by(column.position)
        self.listed = text_of(listed.limit(number("most")).offset(NONE), "such", "most")
        retry = self._changed("due", state=_text("waiting"), attempts=NONE, open=ONE)
        self.retry = text_of(retry.where(here, mendable).returning(column.position), "to_due", "at")
        skip = self._changed("settled", state=_text("skipped"), content=null(), open=null())
        self.skip = text_of(skip.where(here, mendable).returning(column.position), "to_settled", "at")
        place = (column.type == parameter("typed"), column.id == parameter("own"), column.position > number("after"))
        overtaken = select(column.position).where(*place, _in(column, "delivered", "sending"))
        self.overtaken = text_of(overtaken.limit(ONE).offset(NONE), "typed", "own", "after")

    def _changed(self, *names: str, **values: Any) -> Any:
        return update(self._outbox).values({name: parameter(f"to_{name}") for name in names} | values)


def _text(word: str) -> Any:
    return literal_column(f"'{word}'")


def _in(column: Any, *states: State) -> Any:
    """Whether a change is in one of some states; written out, so that the database knows which index to take."""
    return or_(*(column.state == _text(state) for state in states))


def _entry(column: Any) -> list[Any]:
    return [column[name] for name in Entry._fields]
