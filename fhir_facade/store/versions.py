"""The journal of versions: what a record was before each change, and that it was deleted.

The present state of a record lies in its own table. Before it is changed or deleted, what it was is put into the
journal with its version; a deletion is a version of its own, without a state. So the journal grows with changes only,
and a record that is made anew goes on counting where it ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from sqlalchemy import (
    Column,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    and_,
    func,
    insert,
    literal_column,
    or_,
    select,
)

from fhir_facade.contracts import Record
from fhir_facade.store.dialects import TEXT, WHOLE, Connection, among, number, parameter

if TYPE_CHECKING:
    from fhir_facade.store.tables import Schema

VERSIONS = "_versions"


class Kept(NamedTuple):
    """One version of a record: `record` is None where the version is the record's deletion."""

    key: str
    version: int
    changed: str
    record: Record | None


def versions_table(metadata: MetaData) -> Table:
    """The table of the journal; `state` is the whole record as JSON, NULL for a deletion."""
    table = Table(
        VERSIONS,
        metadata,
        Column("kind", TEXT, nullable=False),
        Column("key", TEXT, nullable=False),
        Column("version", WHOLE, nullable=False, autoincrement=False),
        Column("changed", TEXT, nullable=False),
        Column("state", TEXT),
        PrimaryKeyConstraint("kind", "key", "version"),
    )
    Index(f"ix_{VERSIONS}__changed", table.c.kind, table.c.changed, table.c.key, table.c.version)
    return table


class Journal:
    """Puts versions into the journal and finds them again; the caller has the transaction."""

    def __init__(self, schema: Schema) -> None:
        text_of, self._list_of = schema.text_of, schema.dialect.list_of
        column = schema.versions.c
        kind, key = column.kind == parameter("kind"), column.key == parameter("key")
        rows = select(column.key, column.version, column.changed, column.state)
        newest = column.version.desc()
        self._put = text_of(insert(schema.versions), *schema.versions.c.keys())
        last = select(column.key, func.max(column.version)).where(kind, among(column.key)).group_by(column.key)
        self._last = text_of(last, "kind", "keys")
        self._one = text_of(rows.where(kind, key, column.version == number("version")), "kind", "key", "version")
        self._newest = text_of(
            rows.where(kind, key).order_by(newest).limit(literal_column("1")).offset(literal_column("0")), "kind", "key"
        )
        before = column.version < number("before")
        of_one = rows.where(kind, key, before, column.changed >= parameter("since")).order_by(newest)
        self._of_one = text_of(
            of_one.limit(number("count")).offset(literal_column("0")), "kind", "key", "before", "since", "count"
        )
        behind = or_(
            column.changed < parameter("at"),
            and_(column.changed == parameter("same"), or_(column.key < parameter("under"), _earlier(column))),
        )
        order = (column.changed.desc(), column.key.desc(), newest)
        of_kind = rows.where(kind, column.changed >= parameter("since"), behind).order_by(*order)
        names = ("kind", "since", "at", "same", "under", "key", "version", "count")
        self._of_kind = text_of(of_kind.limit(number("count")).offset(literal_column("0")), *names)

    def put(self, connection: Connection, kind: str, versions: Iterable[Kept]) -> None:
        """Keep versions of records of one kind."""
        connection.executemany(
            self._put,
            [(kind, each.key, each.version, each.changed, _text(each.record)) for each in versions],
        )

    def last(self, connection: Connection, kind: str, keys: Sequence[str]) -> dict[str, int]:
        """The last version that is in the journal, of those keys that have one."""
        return dict(connection.execute(self._last, (kind, self._list_of(keys))).fetchall())

    def one(self, connection: Connection, kind: str, key: str, version: int) -> Kept | None:
        """One version of one record, None when it is not in the journal."""
        return _kept(connection.execute(self._one, (kind, key, version)).fetchone())

    def newest(self, connection: Connection, kind: str, key: str) -> Kept | None:
        """The newest version of one record in the journal; its deletion where the record is deleted."""
        return _kept(connection.execute(self._newest, (kind, key)).fetchone())

    def of_one(self, connection: Connection, kind: str, key: str, before: int, since: str, count: int) -> list[Kept]:
        """Versions of one record below a version and from an instant on, newest first, at most so many."""
        rows = connection.execute(self._of_one, (kind, key, before, since, count))
        return [each for row in rows if (each := _kept(row))]

    def of_kind(
        self, connection: Connection, kind: str, since: str, after: tuple[str, str, int], count: int
    ) -> list[Kept]:
        """Versions of records of a kind from an instant on, newest first, behind a place (changed, key, version)."""
        changed, key, version = after
        rows = connection.execute(self._of_kind, (kind, since, changed, changed, key, key, version, count))
        return [each for row in rows if (each := _kept(row))]


def _earlier(column: Any) -> Any:
    return and_(column.key == parameter("key"), column.version < number("version"))


def _text(record: Record | None) -> str | None:
    return None if record is None else orjson.dumps(record).decode()


def _kept(row: Any) -> Kept | None:
    return None if row is None else Kept(row[0], row[1], row[2], None if row[3] is None else orjson.loads(row[3]))
