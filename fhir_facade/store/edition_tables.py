"""The tables of the database of code systems: one of editions, and for each edition tables and an index of its own.

https://www.sqlite.org/fts5.html. The names of an edition's tables end with its number.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import orjson
from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    func,
    literal_column,
    select,
    union,
)
from sqlalchemy.schema import CreateIndex, CreateTable

from fhir_facade.store.code_system_words import Words
from fhir_facade.store.dialects import number, parameter
from fhir_facade.store.tables import text_of
from fhir_facade.terminology.concepts import Edition

APPLICATION = 0x4E4F4353  # in the header of the file: it is ours, and not the store of records
LAYOUT = 1
INDEXED_PREFIX = 12  # letters; what is longer is put together from whole words when it is asked for, and those are few

_METADATA = MetaData()
EDITIONS = Table(
    "edition",
    _METADATA,
    Column("number", Integer, primary_key=True),
    Column("url", Text, nullable=False),
    Column("version", Text, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("name", "title", "confidence", "source", "note")),
    Column("valid_from", Text),
    Column("valid_to", Text),
    Column("identifiers", Text, nullable=False),
    *(Column(name, Integer, nullable=False) for name in ("title_is_ours", "complete", "case_sensitive", "dotless")),
    Column("count", Integer, nullable=False),
    Column("digest", Text, nullable=False),
    Index("edition_url", "url", "version", unique=True),
)
CONCEPT = ("code", "display", "status", "valid_from", "valid_to", "parent", "more")
"""The columns that a Concept is made of; `more` is JSON: properties and designations, NULL when there are none."""


def at_most(query: Select[Any]) -> Select[Any]:
    """The query with a parameter for how many rows it gives; with no offset the dialect would add one as parameter."""
    return query.limit(number("most")).offset(literal_column("0"))


class EditionTables:
    """The tables of one edition, and the statements that read them, each compiled when it is first asked for."""

    def __init__(self, edition: int, digest: str = "") -> None:
        self.number, self.digest = edition, digest
        metadata = MetaData()
        self.concepts = Table(
            f"concept_{edition}",
            metadata,
            Column("place", Integer, primary_key=True),
            Column("code", Text, nullable=False),
            Column("display", Text, nullable=False),
            Column("status", Text, nullable=False),
            *(Column(name, Text) for name in ("valid_from", "valid_to", "parent", "more")),
            Column("compact", Text, nullable=False),  # the code folded, letters and digits only
            Column("folded", Text, nullable=False),  # the display folded
            Column("at", Integer, nullable=False),  # file and line it came from
        )
        self.above = Table(  # the parents after the first, where a concept has several
            f"above_{edition}",
            metadata,
            Column("code", Text, primary_key=True),
            Column("parent", Text, primary_key=True),
            sqlite_with_rowid=False,
        )
        self.words = Table(f"words_{edition}", metadata, Column("rowid", Integer), Column("words", Text))

    @property
    def creations(self) -> list[str]:
        """What makes the tables; the words are ours already, so that the index has only to split them at spaces."""
        lengths = " ".join(map(str, range(1, INDEXED_PREFIX + 1)))
        fts = f"tokenize='ascii', content='', columnsize=0, detail=none, prefix='{lengths}'"
        made = [text_of(CreateTable(table)) for table in (self.concepts, self.above)]
        return [*made, f"CREATE VIRTUAL TABLE {self.words.name} USING fts5(words, {fts})"]

    @property
    def indexes(self) -> list[str]:
        """What makes the indexes, when the rows are there and no code stands twice; that of codes is the first."""
        columns, name = self.concepts.c, self.concepts.name
        made = [
            Index(f"{name}_code", columns.code, unique=True),
            Index(f"{name}_compact", columns.compact),
            Index(f"{name}_folded", columns.folded),
            Index(f"{name}_parent", columns.parent),
            Index(f"{self.above.name}_parent", self.above.c.parent),
        ]
        name = self.words.name  # one segment instead of many: words are found in about half the time
        return [*(text_of(CreateIndex(index)) for index in made), f"INSERT INTO {name}({name}) VALUES('optimize')"]

    @property
    def removals(self) -> list[str]:
        return [f"DROP TABLE IF EXISTS {table.name}" for table in (self.words, self.above, self.concepts)]

    @cached_property
    def by_code(self) -> str:
        return text_of(self._select().where(self.concepts.c.code == parameter("code")), "code")

    @cached_property
    def by_place(self) -> str:
        return text_of(self._select().where(self.concepts.c.place == number("place")), "place")

    @cached_property
    def by_compact(self) -> str:
        columns = self.concepts.c
        query = self._select().where(columns.compact == parameter("compact")).order_by(columns.place)
        return text_of(query, "compact")

    @cached_property
    def page(self) -> str:
        """Places have no gaps, so a page is a range of them."""
        place = self.concepts.c.place
        query = self._select().where(place > number("after"), place <= number("last")).order_by(place)
        return text_of(query, "after", "last")

    @cached_property
    def parents(self) -> str:
        columns, above = self.concepts.c, self.above.c
        first = select(columns.parent).where(columns.code == parameter("code"))
        return text_of(first.union_all(select(above.parent).where(above.code == parameter("again"))), "code", "again")

    @cached_property
    def children(self) -> str:
        columns, above = self.concepts.c, self.above.c
        first = select(columns.place).where(columns.parent == parameter("code"))
        others = select(columns.place).join(self.above, above.code == columns.code)
        below = union(first, others.where(above.parent == parameter("again"))).subquery()
        query = self._select().where(columns.place.in_(select(below.c.place))).order_by(columns.place)
        return text_of(query, "code", "again")

    @cached_property
    def ranks(self) -> tuple[str, str, str, str]:
        """Places by exact code, exact display, code prefix, display prefix; each at most so many."""
        columns = self.concepts.c
        place = columns.place
        exact = [
            at_most(select(place).where(column == parameter("text")).order_by(place))
            for column in (columns.compact, columns.folded)
        ]
        begins = [
            at_most(select(place).where(column >= parameter("text"), column < parameter("end")).order_by(column, place))
            for column in (columns.compact, columns.folded)
        ]
        return (
            text_of(exact[0], "text", "most"),
            text_of(exact[1], "text", "most"),
            text_of(begins[0], "text", "end", "most"),
            text_of(begins[1], "text", "end", "most"),
        )

    @cached_property
    def matches(self) -> str:
        """Places of those that match, in the order of the source."""
        return text_of(at_most(self._matching().order_by(self.words.c.rowid)), "text", "most")

    @cached_property
    def counted(self) -> str:
        """How many match, counted no further than so many: many times faster than to fetch them."""
        found = at_most(self._matching()).subquery()
        return text_of(select(func.count()).select_from(found), "text", "most")

    @cached_property
    def kept_words(self) -> Words:
        """The places of words that were asked for."""
        found = self._matching().subquery()
        last = select(func.max(self.concepts.c.place)).scalar_subquery()
        return Words(text_of(select(func.json_group_array(found.c.rowid), last), "text"))

    def _matching(self) -> Select[Any]:
        whole: ColumnElement[Any] = literal_column(self.words.name)  # an index without details takes no single column
        return select(self.words.c.rowid).where(whole.op("MATCH")(parameter("text")))

    def _select(self) -> Select[Any]:
        return select(*(self.concepts.c[name] for name in CONCEPT))


_NUMBER = text_of(
    select(EDITIONS.c.number, EDITIONS.c.digest).where(
        EDITIONS.c.url == parameter("url"), EDITIONS.c.version == parameter("version")
    ),
    "url",
    "version",
)


def layout() -> list[str]:
    """What makes an empty file a database of code systems."""
    return [text_of(CreateTable(EDITIONS)), *(text_of(CreateIndex(index)) for index in EDITIONS.indexes)]


def number_of(connection: sqlite3.Connection, url: str, version: str) -> int | None:
    """The number that an edition has in the names of its tables; None when it is not there."""
    row = stored(connection, url, version)
    return row[0] if row else None


def stored(connection: sqlite3.Connection, url: str, version: str) -> tuple[int, str] | None:
    """The number of an edition and the digest of its content; None when it is not there."""
    row: tuple[int, str] | None = connection.execute(_NUMBER, (url, version)).fetchone()
    return row


def edition_of(row: Mapping[str, Any]) -> Edition:
    """The edition of a row of the table of editions."""
    plain = ("url", "version", "name", "title", "confidence", "source", "note", "valid_from", "valid_to", "count")
    known: dict[str, Any] = {name: row[name] for name in plain}
    known |= {name: bool(row[name]) for name in ("complete", "case_sensitive", "title_is_ours")}
    return Edition(**known, identifiers=tuple(orjson.loads(row["identifiers"])))
