"""The tables of a store, built from the record kinds with SQLAlchemy Core."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
)
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement
from sqlalchemy.sql.elements import ClauseElement

from fhir_facade.mapping.columns import (
    KEY,
    PARENT,
    REMAINDER,
    FieldIndex,
    SearchColumn,
    column_name,
    link_column,
    table_name,
)
from fhir_facade.mapping.kinds import ChildList, Field, Kind, Kinds, Link
from fhir_facade.mapping.search_order import or_empty
from fhir_facade.store.dialects import SQLITE, TEXT, WHOLE, Dialect
from fhir_facade.store.replies import replies_table
from fhir_facade.store.versions import versions_table

LISTS = "_lists"  # bit n is set when child list n may have items, so that a read asks for no empty list
REMAINDERS = "_remainder"  # what resources said of the record and no mapping row took, as JSON by mapping name
WRITTEN = "_written"  # the transaction that last gave the row a version, so that a parent gets one once in each
COUNTERS = "_store"  # what the store knows of itself: the fingerprint of its schema, the number of transactions
FINGERPRINT, TRANSACTIONS = "schema", "transactions"

FIELDS = "if"
"""What the names of indexes on fields begin with: before "ix", so that they are made first.

Of two indexes that seem to be worth the same SQLite takes the one that was made last. A record has few others that
point where it does, and a code may have many records: a search by both goes by the reference.
"""


@dataclass(frozen=True, slots=True)
class ListTable:
    """The table of one own child list; `names` are an item's entries as the columns after `_parent`."""

    child: ChildList
    table: Table
    bit: int
    names: tuple[str, ...]
    search: tuple[SearchColumn, ...]


@dataclass(frozen=True, slots=True)
class Embedded:
    """A child list whose items are records of another kind: those that point here with `link`."""

    name: str
    kind: str
    link: str
    bit: int


@dataclass(frozen=True, slots=True)
class KindTable:
    """The table of a kind; `names` are the record's entries in the order of the first columns."""

    kind: Kind
    table: Table
    names: tuple[str, ...]
    lists: tuple[ListTable, ...]
    embedded: tuple[Embedded, ...]
    search: tuple[SearchColumn, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that have a column of their own."""
        return tuple(stored_fields(self.kind))


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: `column` of `table` points at a record of kind `to`; `contained` rows go with it."""

    kind: str
    field: str
    table: Table
    column: str
    to: str
    contained: bool


@dataclass(frozen=True)
class Schema:
    """All tables of a store; `tables` knows them as search does: "kind" and "kind/list"."""

    kinds: Kinds
    metadata: MetaData
    shapes: dict[str, KindTable]
    counters: Table
    versions: Table
    replies: Table
    references: list[Reference] = field(default_factory=list)
    dialect: Dialect = SQLITE

    @cached_property
    def tables(self) -> dict[str, Table]:
        named = {name: shape.table for name, shape in self.shapes.items()}
        for name, shape in self.shapes.items():
            named |= {f"{name}/{part.child.name}": part.table for part in shape.lists}
        return named

    @cached_property
    def ddl(self) -> list[str]:
        """The statements that make an empty database a store."""
        made: list[ExecutableDDLElement] = []
        for table in self.metadata.tables.values():
            made.append(CreateTable(table))
            made += [CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name))]
        return [self.text_of(statement) for statement in made]

    def text_of(self, statement: ClauseElement, *names: str) -> str:
        """The SQL of a statement in the store's dialect; `names` are its parameters in the order they are passed."""
        return self.dialect.text_of(statement, *names)

    @cached_property
    def fingerprint(self) -> int:
        """A number that differs when the tables do."""
        return int.from_bytes(hashlib.sha256("\n".join(self.ddl).encode()).digest()[:7])


def build_schema(
    kinds: Kinds, search_columns: Sequence[SearchColumn | FieldIndex] = (), dialect: Dialect = SQLITE
) -> Schema:
    """Return the tables of the kinds with their search columns and the indexes that searches need."""
    metadata = MetaData()
    counters = Table(COUNTERS, metadata, Column("name", TEXT, primary_key=True), Column("value", WHOLE))
    schema = Schema(kinds, metadata, {}, counters, versions_table(metadata), replies_table(metadata), dialect=dialect)
    search: dict[tuple[str, str], list[SearchColumn]] = {}
    fields: dict[tuple[str, str], list[str]] = {}
    for column in search_columns:
        if isinstance(column, FieldIndex):
            fields.setdefault((column.kind, column.child), []).append(column.name)
        elif column.stored:
            search.setdefault((column.kind, column.child), []).append(column)
    for kind in kinds:
        schema.shapes[kind.name] = _kind_table(schema, kind, search)
    if search:
        raise ValueError(f"search columns of tables that no kind has: {sorted(search)}")
    for column in search_columns:
        if not isinstance(column, FieldIndex):
            _index_search(schema, column)
    for (kind_name, child), names in fields.items():
        table = schema.tables[f"{kind_name}/{child}" if child else kind_name]
        _index(table, names, PARENT if child else KEY, FIELDS)
    return schema


def _index_search(schema: Schema, column: SearchColumn) -> None:
    """The indexes of a search column, with the key behind: an order asks for it with something in the place of NULL."""
    table = schema.tables[f"{column.kind}/{column.child}" if column.child else column.kind]
    key = PARENT if column.child else KEY
    if column.indexed:
        _index(table, [column.name], key)
    for number, empty in enumerate(column.empties):
        filled = or_empty(table.c[column.name], empty)
        Index(f"ix_{table.name}__{column.name}__in_order{number or ''}", filled, table.c[key])


def stored_fields(kind: Kind) -> list[str]:
    """The fields of a kind but for the version and the instant of change, which the store keeps."""
    return [name for name in kind.fields if name not in (kind.version, kind.changed)]


def parent_link(kind: Kind) -> Link | None:
    """The reference that leads from a record to its parent."""
    return next((link for link in kind.links.values() if kind.parent and link.to == kind.parent), None)


def _kind_table(schema: Schema, kind: Kind, search: dict[tuple[str, str], list[SearchColumn]]) -> KindTable:
    extra = tuple(search.pop((kind.name, ""), ()))
    fields = stored_fields(kind)
    table = Table(
        table_name(kind.table),
        schema.metadata,
        Column(KEY, TEXT, primary_key=True, nullable=False),
        *(_column(kind.fields[name]) for name in fields),
        Column(kind.version, WHOLE, nullable=False),
        Column(kind.changed, TEXT, nullable=False),
        *(Column(link_column(name), TEXT) for name in kind.links),
        Column(REMAINDERS, TEXT),
        Column(LISTS, WHOLE, nullable=False),
        Column(WRITTEN, WHOLE, nullable=False),
        *_search_columns(extra),
    )
    _point(schema, kind, table, kind.links.values(), set(kind.key))
    _index(table, map(link_column, kind.links), KEY)
    lists, embedded = [], []
    for place, child in enumerate(kind.children.values()):
        if child.records:
            embedded.append(_embedded(schema.kinds, kind, child, 1 << place))
        else:
            lists.append(_list_table(schema, kind, child, 1 << place, search.pop((kind.name, child.name), ())))
    names = ("$key", *fields, kind.version, kind.changed, *("$" + name for name in kind.links), REMAINDER)
    return KindTable(kind, table, names, tuple(lists), tuple(embedded), extra)


def _list_table(schema: Schema, kind: Kind, child: ChildList, bit: int, search: Iterable[SearchColumn]) -> ListTable:
    if not child.key:
        raise ValueError(f"{child.at}: the list '{child.name}' has no key")
    extra = tuple(search)
    table = Table(
        table_name(kind.table, child.name),
        schema.metadata,
        Column(PARENT, TEXT),
        *map(_column, child.fields.values()),
        *(Column(link_column(name), TEXT) for name in child.links),
        *_search_columns(extra),
        PrimaryKeyConstraint(PARENT, *map(column_name, child.key)),
        ForeignKeyConstraint([PARENT], [f"{table_name(kind.table)}.{KEY}"], ondelete="CASCADE"),
        sqlite_with_rowid=False,  # the items of a record lie together, in key order
    )
    _point(schema, kind, table, child.links.values(), set())
    _index(table, map(link_column, child.links), PARENT)
    names = (*child.fields, *("$" + name for name in child.links))
    return ListTable(child, table, bit, names, extra)


def _embedded(kinds: Kinds, kind: Kind, child: ChildList, bit: int) -> Embedded:
    inner = kinds[child.records]
    link = parent_link(inner)
    if link is None or inner.parent != kind.name:
        raise ValueError(f"{child.at}: '{inner.name}' does not point at '{kind.name}' as its parent")
    return Embedded(child.name, inner.name, link.name, bit)


def _column(spec: Field) -> Column[Any]:
    return Column(column_name(spec.name), WHOLE if spec.type == "integer" else TEXT, autoincrement=False)


def _search_columns(columns: Iterable[SearchColumn]) -> list[Column[Any]]:
    return [Column(each.name, WHOLE if each.type == "integer" else TEXT) for each in columns]


def _point(schema: Schema, kind: Kind, table: Table, links: Iterable[Link], own_key: set[str]) -> None:
    """Foreign keys, judged at commit. A kind that NPR-melding lacks may be missing."""
    for link in links:
        target = schema.kinds[link.to]
        if not target.elements:
            continue
        contained = own_key.issuperset(link.fields)
        column = link_column(link.name)
        table.append_constraint(
            ForeignKeyConstraint(
                [column],
                [f"{table_name(target.table)}.{KEY}"],
                ondelete="CASCADE" if contained else None,
                deferrable=True,
                initially="DEFERRED",
            )
        )
        schema.references.append(Reference(kind.name, link.fields[-1], table, column, link.to, contained))


def _index(table: Table, columns: Iterable[str], key: str, head: str = "ix") -> None:
    for name in dict.fromkeys(columns):
        Index(f"{head}_{table.name}__{name}", table.c[name], table.c[key])


def text_of(statement: ClauseElement, *names: str) -> str:
    """The SQL of a statement for SQLite; `names` are its parameters in the order they are passed."""
    return SQLITE.text_of(statement, *names)
