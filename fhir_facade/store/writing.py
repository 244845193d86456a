"""The statements that write the tables, compiled once for a store, and what their parameters hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from sqlalchemy import (
    Index,
    MetaData,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    update,
)  # fmt: skip
from sqlalchemy.schema import CreateIndex

from fhir_facade.contracts import Record
from fhir_facade.mapping.columns import KEY, PARENT, column_name, link_column
from fhir_facade.store.dialects import among, number, parameter
from fhir_facade.store.replies import Replies
from fhir_facade.store.tables import LISTS, WRITTEN, KindTable, ListTable, Reference, Schema
from fhir_facade.store.versions import Journal

Parameters = tuple[Any, ...]


class ListStatements:
    """The statements that write a child list."""

    def __init__(self, schema: Schema, part: ListTable) -> None:
        text_of = schema.text_of
        self.part = part
        self.name = part.child.name
        self.insert = text_of(insert(part.table), *part.table.c.keys())
        self.clear = text_of(delete(part.table).where(part.table.c[PARENT] == parameter("parent")), "parent")

    def rows(self, parent: str, items: Iterable[Record]) -> Iterator[Parameters]:
        """What the columns hold for the items of one record."""
        names, search = self.part.names, self.part.search
        for item in items:
            yield (parent, *map(item.get, names), *(column.compute(item) for column in search))


class KindStatements:
    """The statements that write a kind; `pointed` tells which of some keys records point at with a link."""

    def __init__(self, schema: Schema, shape: KindTable) -> None:
        self._text_of = text_of = schema.text_of
        table = shape.table
        key, bits = table.c[KEY], table.c[LISTS]
        self.shape = shape
        self.kind = shape.kind
        self.fields = shape.fields
        self.lists = [ListStatements(schema, part) for part in shape.lists]
        self.insert = text_of(insert(table), *table.c.keys())
        self.update = self._update()
        self.delete = text_of(delete(table).where(key == parameter("key")), "key")
        self.some = text_of(select(exists(select(key))))
        by_keys = select(key).where(among(key))
        self.by_keys = text_of(by_keys, "keys")
        self.stale = text_of(by_keys.where(table.c[WRITTEN] != number("now")), "keys", "now")
        marked = update(table).values({LISTS: bits.bitwise_or(number("bit"))})
        unmarked = bits.bitwise_and(number("same")) == literal_column("0")
        self.mark = text_of(marked.where(among(key), unmarked), "bit", "keys", "same")
        self.pointed = {
            name: text_of(select(column).where(among(column)).distinct(), "keys")
            for name in shape.kind.links
            for column in (table.c[link_column(name)],)
        }
        self._embedded = sum(part.bit for part in shape.embedded)
        self._lookups: dict[tuple[str, ...], tuple[str, str]] = {}

    def inserted(self, record: Record, transaction: int) -> Parameters:
        """What `insert` takes for a new record."""
        search = (column.compute(record) for column in self.shape.search)
        return (*map(record.get, self.shape.names), self._bits(record), transaction, *search)

    def updated(self, record: Record, transaction: int) -> Parameters:
        """What `update` takes for a record; lists of other records keep their bits."""
        search = (column.compute(record) for column in self.shape.search)
        key, *values = map(record.get, self.shape.names)
        return (*values, self._embedded, self._bits(record), transaction, *search, key)

    def _bits(self, record: Record) -> int:
        return sum(part.part.bit for part in self.lists if record.get(part.name))

    def _update(self) -> str:
        """Set every column but the key; the bits of embedded lists stay."""
        table = self.shape.table
        values: dict[str, Any] = {}
        names = []
        for name in table.c.keys()[1:]:
            if name == LISTS:
                values[name] = table.c[name].bitwise_and(number("embedded")).bitwise_or(number("own"))
                names += ["embedded", "own"]
            else:
                values[name] = bindparam(f"to_{name}")
                names.append(f"to_{name}")
        return self._text_of(update(table).values(values).where(table.c[KEY] == parameter("key")), *names, "key")

    @cache  # noqa: B019 lives as long as the store
    def greatest(self, field: str) -> tuple[str, tuple[str, ...]]:
        """The statement that finds the greatest number in a field of the key among records that share the others.

        With it the entries of a record that are its parameters: the reference that those make, where there is one,
        since it has an index.
        """
        table, kind = self.shape.table, self.kind
        names = tuple(name for name in kind.key if name != field)
        link = next((link for link in kind.links.values() if set(link.fields) == set(names)), None)
        columns = [table.c[column_name(name)] for name in names]
        if link is not None:
            names, columns = ("$" + link.name,), [table.c[link_column(link.name)]]
        same = [column == bindparam(f"in_{column.name}") for column in columns]
        chosen = select(func.max(table.c[column_name(field)])).where(*same)
        return self._text_of(chosen, *(f"in_{column.name}" for column in columns)), names

    def lookup(self, field: str, others: tuple[str, ...]) -> tuple[str, str]:
        """The statements that build an index over a field, and that find a key by it and by other fields."""
        fields = (field, *others)
        if fields not in self._lookups:
            table = self.shape.table
            columns = [table.c[column_name(name)] for name in fields]
            alone = table.to_metadata(MetaData())
            name = f"ix_{table.name}__by_{column_name(field)}"
            index = CreateIndex(Index(name, alone.c[column_name(field)]), if_not_exists=True)
            same = [column == bindparam(f"in_{column.name}") for column in columns]
            key = table.c[KEY]
            statement = self._text_of(select(func.min(key)).where(*same), *(f"in_{column.name}" for column in columns))
            self._lookups[fields] = (self._text_of(index), statement)
        return self._lookups[fields]


class Statements:
    """All statements that write; of references to a kind, `contained` go with it and `pointing` hold it."""

    def __init__(self, schema: Schema) -> None:
        text_of = schema.text_of
        self.list_of = schema.dialect.list_of
        self.journal = Journal(schema)
        self.replies = Replies(schema)
        self.kinds = schema.kinds
        self._shapes = {name: KindStatements(schema, shape) for name, shape in schema.shapes.items()}
        self.contained: dict[str, list[Reference]] = {}
        self.pointing: dict[str, list[Reference]] = {}
        self.source_keys: dict[Reference, str] = {}
        for reference in schema.references:
            (self.contained if reference.contained else self.pointing).setdefault(reference.to, []).append(reference)
            key = next(iter(reference.table.c))
            pointing = select(key).where(among(reference.table.c[reference.column]))
            self.source_keys[reference] = text_of(pointing, "keys")
        counters = schema.counters
        named = counters.c.name == parameter("called")
        self.transactions = text_of(select(counters.c.value).where(named), "called")
        self.count = text_of(update(counters).values(value=number("number")).where(named), "number", "called")

    def __getitem__(self, kind: str) -> KindStatements:
        return self._shapes[kind]
