"""The tables of the outbox: what is to be told to the record system, and who is telling it.

They are no part of a store's schema: a store gets them when its outbox is first turned on, and is the same without.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from sqlalchemy import Column, Identity, Index, MetaData, Table
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from fhir_facade.store.dialects import TEXT, WHOLE

OUTBOX = "_outbox"
LEASE = "_outbox_lease"
TELLER = "teller"  # the one row of the lease

Act = Literal["create", "update", "delete"]
State = Literal["waiting", "sending", "delivered", "dead", "skipped"]
STATES: tuple[State, ...] = ("waiting", "sending", "dead", "delivered", "skipped")


class Outgoing(NamedTuple):
    """A change that is to be told. `queue` is what it keeps its order in: the reference of its patient, or its own.

    `change` names it for good (a UUID); `content` is the resource as JSON, None for a deletion; `made` is ISO 8601 UTC.
    """

    change: str
    queue: str
    type: str
    id: str
    version: int
    act: Act
    content: str | None
    made: str


class Entry(NamedTuple):
    """A change in the outbox and what has come of it. `due` is when it may be told next, `settled` when it was over.

    `error` is what the last try came to, in words that hold nothing of what was sent or answered.
    """

    position: int
    change: str
    queue: str
    type: str
    id: str
    version: int
    act: Act
    content: str | None
    made: str
    state: State
    attempts: int
    due: str
    error: str
    settled: str | None

    @property
    def place(self) -> str:
        """The resource that the change is of: Encounter/1."""
        return f"{self.type}/{self.id}"


class Tables(NamedTuple):
    """The two tables."""

    outbox: Table
    lease: Table

    def ddl(self) -> list[ExecutableDDLElement]:
        """The statements that make them."""
        made: list[ExecutableDDLElement] = []
        for table in self:
            made.append(CreateTable(table))
            made += [CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name))]
        return made


def outbox_tables() -> Tables:
    """The tables; `open` is 1 as long as a change keeps its place in its queue, and NULL when it is over."""
    metadata = MetaData()
    outbox = Table(
        OUTBOX,
        metadata,
        Column("position", WHOLE, Identity(), primary_key=True),
        Column("change", TEXT, nullable=False),
        Column("queue", TEXT, nullable=False),
        Column("type", TEXT, nullable=False),
        Column("id", TEXT, nullable=False),
        Column("version", WHOLE, nullable=False),
        Column("act", TEXT, nullable=False),
        Column("content", TEXT),
        Column("made", TEXT, nullable=False),
        Column("state", TEXT, nullable=False),
        Column("attempts", WHOLE, nullable=False),
        Column("due", TEXT, nullable=False),
        Column("error", TEXT, nullable=False),
        Column("settled", TEXT),
        Column("open", WHOLE),
        sqlite_autoincrement=True,  # a position is not given again when what had it is trimmed
    )
    column = outbox.c
    Index(f"ix_{OUTBOX}__change", column.change, unique=True)
    Index(f"ix_{OUTBOX}__open", column.open, column.queue, column.position)
    Index(f"ix_{OUTBOX}__state", column.state, column.position)
    Index(f"ix_{OUTBOX}__settled", column.settled)
    Index(f"ix_{OUTBOX}__place", column.type, column.id, column.position)
    lease = Table(
        LEASE,
        metadata,
        Column("name", TEXT, primary_key=True),
        Column("holder", TEXT, nullable=False),
        Column("beat", WHOLE, nullable=False),
    )
    return Tables(outbox, lease)
