"""Read whole records of one kind: rows become dicts, child lists come in one query each for a whole page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, literal_column, or_, select

from fhir_facade.contracts import Record
from fhir_facade.mapping.columns import KEY, PARENT, column_name, link_column
from fhir_facade.store.dialects import Connection, among, number, parameter
from fhir_facade.store.tables import LISTS, KindTable, ListTable, Schema

Row = tuple[Any, ...]


class _List(NamedTuple):
    name: str
    bit: int
    names: tuple[str, ...]
    of_one: str
    of_many: str


class _Embedded(NamedTuple):
    name: str
    bit: int
    kind: str
    link: str


class _ByLink(NamedTuple):
    of_one: str
    of_many: str


class _KindReader:
    """The statements that read a kind, and the names that their columns bear."""

    def __init__(self, schema: Schema, shape: KindTable) -> None:
        text_of = schema.text_of
        table = shape.table
        key = table.c[KEY]
        rows = _rows(shape)
        self.names = shape.names
        self.link_names = tuple(shape.kind.links)
        self.one = text_of(rows.where(key == parameter("key")), "key")
        self.many = text_of(rows.where(among(key)), "keys")
        after = rows.where(key > parameter("after")).order_by(key).limit(number("count")).offset(number("skip"))
        self.page = text_of(after, "after", "count", "skip")
        self.changed = _changed(schema, rows, table.c[shape.kind.changed], key, table.c[shape.kind.version])
        self.lists = [
            _List(part.child.name, part.bit, part.names, *_two(schema, _items(part), part.table.c[PARENT]))
            for part in shape.lists
        ]
        self.embedded = [_Embedded(part.name, part.bit, part.kind, part.link) for part in shape.embedded]
        order = [table.c[column_name(name)].nulls_first() for name in shape.kind.key]
        self.by_link = {
            name: _ByLink(*_two(schema, rows.order_by(*order, key), table.c[link_column(name)]))
            for name in shape.kind.links
        }


class _KindReaders(dict[str, _KindReader]):
    """The readers of kinds, each made when it is first asked for."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def __missing__(self, kind: str) -> _KindReader:
        reader = self[kind] = _KindReader(self._schema, self._schema.shapes[kind])
        return reader


def _changed(
    schema: Schema, rows: Select[Any], changed: ColumnElement[str], key: ColumnElement[str], version: ColumnElement[int]
) -> str:
    """The newest changes from an instant on, behind a place."""
    same = or_(key < parameter("under"), and_(key == parameter("key"), version < number("version")))
    behind = or_(changed < parameter("at"), and_(changed == parameter("same"), same))
    chosen = rows.where(changed >= parameter("since"), behind).order_by(changed.desc(), key.desc())
    names = ("since", "at", "same", "under", "key", "version", "count")
    return schema.text_of(chosen.limit(number("count")).offset(literal_column("0")), *names)


def _rows(shape: KindTable) -> Select[Any]:
    """The columns of `names` and then the bits that say which lists may have items."""
    columns = list(shape.table.c)[: len(shape.names)]
    return select(*columns, shape.table.c[LISTS])


def _items(part: ListTable) -> Select[Any]:
    """The items of records: the columns of `names` and then the key of the record, in key order for each."""
    columns = list(part.table.c)[1 : len(part.names) + 1]
    order = [part.table.c[column_name(name)] for name in part.child.key]
    parent = part.table.c[PARENT]
    return select(*columns, parent).order_by(parent, *order)


def _two(schema: Schema, rows: Select[Any], column: ColumnElement[str]) -> tuple[str, str]:
    """The rows that have one value in a column, and those that have one of several values."""
    one = schema.text_of(rows.where(column == parameter("key")), "key")
    return one, schema.text_of(rows.where(among(column)), "keys")


class Reader:
    """Reads records through any connection; the caller sees to it that all is read in one transaction."""

    def __init__(self, schema: Schema) -> None:
        self._list_of = schema.dialect.list_of
        self._kinds = _KindReaders(schema)

    def one(self, connection: Connection, kind: str, key: str) -> Record | None:
        """The whole record with this key."""
        reader = self._kinds[kind]
        row = connection.execute(reader.one, (key,)).fetchone()
        if row is None:
            return None
        record = dict(zip(reader.names, row, strict=False))
        self._fill_one(connection, reader, record, row[-1])
        return record

    def many(self, connection: Connection, kind: str, keys: Sequence[str], *, embed: bool = True) -> dict[str, Record]:
        """The whole records with these keys, by key; without `embed` only what the record itself holds."""
        reader = self._kinds[kind]
        rows = connection.execute(reader.many, (self._list_of(keys),)).fetchall()
        return {record["$key"]: record for record in self._whole(connection, reader, rows, embed)}

    def page(self, connection: Connection, kind: str, after: str, count: int) -> list[Record]:
        """The first whole records in key order that come after a key."""
        reader = self._kinds[kind]
        rows = connection.execute(reader.page, (after, count, 0)).fetchall()
        return self._whole(connection, reader, rows, True)

    def changed(
        self, connection: Connection, kind: str, since: str, after: tuple[str, str, int], count: int
    ) -> list[Record]:
        """The whole records that were changed last, from an instant on and behind a place (changed, key, version)."""
        at, key, version = after
        reader = self._kinds[kind]
        rows = connection.execute(reader.changed, (since, at, at, key, key, version, count)).fetchall()
        return self._whole(connection, reader, rows, True)

    def related(self, connection: Connection, kind: str, link: str, keys: Sequence[str]) -> dict[str, list[Record]]:
        """The whole records that point with a link at one of the keys, by that key, sorted by their own."""
        reader = self._kinds[kind]
        statement, given = self._choose(reader.by_link[link], keys)
        rows = connection.execute(statement, given).fetchall()
        found: dict[str, list[Record]] = {}
        for record in self._whole(connection, reader, rows, True):
            found.setdefault(record["$" + link], []).append(record)
        return found

    def _whole(self, connection: Connection, reader: _KindReader, rows: Sequence[Row], embed: bool) -> list[Record]:
        names = reader.names
        records = [dict(zip(names, row, strict=False)) for row in rows]  # the bits are left over
        if records:
            self._fill(connection, reader, records, rows, embed)
        return records

    def _fill_one(self, connection: Connection, reader: _KindReader, record: Record, bits: int) -> None:
        """What `_fill` does, for the one record of a read."""
        key = record["$key"]
        for part in reader.lists:
            items = connection.execute(part.of_one, (key,)) if bits & part.bit else ()
            names = part.names
            record[part.name] = [dict(zip(names, item, strict=False)) for item in items]
        for inner in reader.embedded:
            found = self.related(connection, inner.kind, inner.link, [key]) if bits & inner.bit else {}
            record[inner.name] = found.get(key, [])

    def _fill(
        self,
        connection: Connection,
        reader: _KindReader,
        records: Sequence[Record],
        rows: Sequence[Row],
        embed: bool,
    ) -> None:
        """Put the lists into records; asks only for lists, and for records, that may have items."""
        by_key = {record["$key"]: record for record in records}
        for part in reader.lists:
            name, bit, names = part.name, part.bit, part.names
            for record in records:
                record[name] = []
            if having := [row[0] for row in rows if row[-1] & bit]:
                for item in connection.execute(*self._choose(part, having)):
                    by_key[item[-1]][name].append(dict(zip(names, item, strict=False)))
        for inner in reader.embedded if embed else ():
            for record in records:
                record[inner.name] = []
            if having := [row[0] for row in rows if row[-1] & inner.bit]:
                for key, found in self.related(connection, inner.kind, inner.link, having).items():
                    by_key[key][inner.name] = found

    def _choose(self, two: _List | _ByLink, keys: Sequence[str]) -> tuple[str, tuple[Any]]:
        """The statement for so many keys, and its parameters."""
        return (two.of_one, (keys[0],)) if len(keys) == 1 else (two.of_many, (self._list_of(keys),))
