"""Read whole records from PostgreSQL in one statement: the server joins a record and its lists into JSON.

One statement is one way there and back, and one moment without a transaction. The columns are texts and whole
numbers, which JSON holds exactly; what is read is equal to what `reading.Reader` reads by columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import orjson
from sqlalchemy import Table

from fhir_facade.contracts import Record
from fhir_facade.mapping.columns import KEY, PARENT, column_name, link_column
from fhir_facade.store.reading import Reader
from fhir_facade.store.tables import LISTS, KindTable, ListTable, Schema

LONGEST = 63  # bytes of a name in PostgreSQL; longer ones are cut off without a word


class Documents(Protocol):
    """What reading needs of a connection."""

    def documents(self, sql: str, parameters: Sequence[Any], /) -> list[bytes]:
        """The one column of all rows."""
        ...


class _Statements:
    """The statements that read a kind."""

    def __init__(self, schema: Schema, shape: KindTable) -> None:
        whole, bare = _record(schema, shape, embed=True), _record(schema, shape, embed=False)
        self.one = _documents(f"{whole} WHERE t.{_name(KEY)} = $1")
        self.many = _documents(f"{whole} WHERE t.{_name(KEY)} = ANY($1::text[])")
        self.many_bare = _documents(f"{bare} WHERE t.{_name(KEY)} = ANY($1::text[])")
        self.page = _documents(f"{whole} WHERE t.{_name(KEY)} > $1 ORDER BY t.{_name(KEY)} LIMIT $2::bigint")
        order = _order(shape)
        self.by_link = {
            link: _documents(f"{whole} WHERE t.{_name(link_column(link))} = ANY($1::text[]) ORDER BY {order}")
            for link in shape.kind.links
        }


class DocumentReader(Reader):
    """Reads records as `Reader` does, each call with one statement."""

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        self._statements = {name: _Statements(schema, shape) for name, shape in schema.shapes.items()}

    def one(self, connection: Any, kind: str, key: str) -> Record | None:
        """The whole record with this key."""
        found = connection.documents(self._statements[kind].one, (key,))
        return orjson.loads(found[0]) if found else None

    def many(self, connection: Any, kind: str, keys: Sequence[str], *, embed: bool = True) -> dict[str, Record]:
        """The whole records with these keys, by key; without `embed` only what the record itself holds."""
        statements = self._statements[kind]
        found = _read(connection, statements.many if embed else statements.many_bare, (_array(keys),))
        return {record["$key"]: record for record in found}

    def page(self, connection: Any, kind: str, after: str, count: int) -> list[Record]:
        """The first whole records in key order that come after a key."""
        return _read(connection, self._statements[kind].page, (after, count))

    def related(self, connection: Any, kind: str, link: str, keys: Sequence[str]) -> dict[str, list[Record]]:
        """The whole records that point with a link at one of the keys, by that key, sorted by their own."""
        found: dict[str, list[Record]] = {}
        for record in _read(connection, self._statements[kind].by_link[link], (_array(keys),)):
            found.setdefault(record["$" + link], []).append(record)
        return found


def _read(connection: Documents, statement: str, parameters: Sequence[Any]) -> list[Record]:
    records: list[Record] = orjson.loads(b"[%b]" % b",".join(connection.documents(statement, parameters)))
    return records


def _array(keys: Sequence[str]) -> str:
    """Keys as the text of an array (PostgreSQL, 8.15.2); the driver would look at each of them for much longer."""
    quoted = [key.replace("\\", "\\\\").replace('"', '\\"') for key in keys]
    return '{"' + '","'.join(quoted) + '"}' if quoted else "{}"


def _documents(rows: str) -> str:
    return f"SELECT row_to_json(r)::text FROM ({rows}) r"  # noqa: S608 made of names of our own tables


def _record(schema: Schema, shape: KindTable, *, embed: bool, row: str = "t") -> str:
    """A record as one row: its entries, and each list as JSON; a list whose bit is not set is not looked for."""
    entries = _entries(shape.table, shape.names, row, 0)
    for part in shape.lists:
        entries.append(_list(row, part.bit, _items(part, row), part.child.name))
    for inner in shape.embedded if embed else ():
        below, other = f"{row}_", schema.shapes[inner.kind]
        records = _record(schema, other, embed=True, row=below)
        pointing = f"{below}.{_name(link_column(inner.link))} = {row}.{_name(KEY)}"
        entries.append(_list(row, inner.bit, f"{records} WHERE {pointing} ORDER BY {_order(other, below)}", inner.name))
    return f"SELECT {', '.join(entries)} FROM {_name(shape.table.name)} {row}"  # noqa: S608 names of our own


def _entries(table: Table, names: Sequence[str], row: str, first: int) -> list[str]:
    columns = list(table.c)[first : first + len(names)]
    return [f"{row}.{_name(column.name)} AS {_name(name)}" for column, name in zip(columns, names, strict=True)]


def _items(part: ListTable, row: str) -> str:
    """The items of a record's list in key order."""
    entries = ", ".join(_entries(part.table, part.names, "i", 1))
    order = ", ".join(f"i.{_name(column_name(name))}" for name in part.child.key)
    where = f"i.{_name(PARENT)} = {row}.{_name(KEY)}"
    return f"SELECT {entries} FROM {_name(part.table.name)} i WHERE {where} ORDER BY {order}"  # noqa: S608 our names


def _list(row: str, bit: int, items: str, name: str) -> str:
    made = f"(SELECT coalesce(json_agg(j), '[]') FROM ({items}) j)"  # noqa: S608 names of our own tables
    return f"CASE WHEN {row}.{_name(LISTS)} & {bit} <> 0 THEN {made} ELSE '[]' END AS {_name(name)}"


def _order(shape: KindTable, row: str = "t") -> str:
    parts = [f"{row}.{_name(column_name(name))} NULLS FIRST" for name in shape.kind.key]
    return ", ".join([*parts, f"{row}.{_name(KEY)}"])


def _name(name: str) -> str:
    if len(name.encode()) > LONGEST:
        raise ValueError(f"the name '{name}' is longer than {LONGEST} bytes")
    return '"' + name.replace('"', '""') + '"'
