"""What was answered to requests that named themselves, so that one that is sent again has the same answer.

The answer is kept in the transaction that made it: there is never the one without the other.
https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Column, Index, MetaData, Table, delete, insert, select

from fhir_facade.store.dialects import TEXT, WHOLE, Connection, parameter

if TYPE_CHECKING:
    from fhir_facade.store.tables import Schema

REPLIES = "_replies"


class Reply(NamedTuple):
    """An answer: the hash of the request that it was given to, when (ISO 8601 UTC), status, headers and body."""

    request: str
    made: str
    status: int
    headers: str
    body: str


def replies_table(metadata: MetaData) -> Table:
    """The table of answers by the name of the request."""
    table = Table(
        REPLIES,
        metadata,
        Column("name", TEXT, primary_key=True, nullable=False),
        Column("request", TEXT, nullable=False),
        Column("made", TEXT, nullable=False),
        Column("status", WHOLE, nullable=False),
        Column("headers", TEXT, nullable=False),
        Column("body", TEXT, nullable=False),
    )
    Index(f"ix_{REPLIES}__made", table.c.made)
    return table


class Replies:
    """Keeps answers and finds them again; the caller has the transaction."""

    def __init__(self, schema: Schema) -> None:
        column = schema.replies.c
        name = column.name == parameter("name")
        columns = (column.request, column.made, column.status, column.headers, column.body)
        self._find = schema.text_of(select(*columns).where(name), "name")
        self._put = schema.text_of(insert(schema.replies), *column.keys())
        self._forget = schema.text_of(delete(schema.replies).where(column.made < parameter("before")), "before")

    def find(self, connection: Connection, name: str, since: str) -> Reply | None:
        """The answer to the request of a name that was given at an instant or after it."""
        connection.execute(self._forget, (since,))
        row = connection.execute(self._find, (name,)).fetchone()
        return None if row is None else Reply(*row)

    def put(self, connection: Connection, name: str, reply: Reply) -> None:
        """Keep an answer."""
        connection.execute(self._put, (name, *reply))
