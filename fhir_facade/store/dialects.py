"""What differs in the SQL of the two databases: placeholders, a list of keys as one parameter, the types of columns.

Statements are made by SQLAlchemy Core and become text here; a driver runs the text. Text compares by code point in
both: SQLite's way by itself, and COLLATE "C" in PostgreSQL, whose databases are UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from sqlalchemy import BigInteger, BindParameter, Boolean, ColumnElement, Integer, Text, bindparam
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect as Compiler
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

TEXT = Text().with_variant(Text(collation="C"), "postgresql")
WHOLE = Integer().with_variant(BigInteger(), "postgresql")


class Rows(Protocol):
    """What a statement returned."""

    def fetchone(self) -> Any:
        """The next row, a tuple, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """What reading and writing need of a driver's connection."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Rows:
        """Run one statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Any:
        """Run one statement for each row of parameters."""
        ...


@dataclass(frozen=True)
class Dialect:
    """How statements are written for one database; `list_of` makes keys the one parameter that `among` takes.

    `explain` stands before a statement to have its plan. A plan that would show the values is made without them.
    `has` asks whether there is a table of a name.
    """

    name: str
    compiler: Compiler
    list_of: Callable[[Sequence[str | None]], Any]
    explain: str
    explains_without: bool
    has: str

    def text_of(self, statement: ClauseElement, *names: str) -> str:
        """The SQL of a statement for the driver; `names` are its parameters in the order they are passed."""
        compiled = statement.compile(dialect=self.compiler)
        order = tuple(getattr(compiled, "positiontup", None) or ())
        if order != names:
            raise ValueError(f"parameters are {order}, not {names}")
        return str(compiled).strip()


def _as_json(keys: Sequence[str | None]) -> str:
    return orjson.dumps(keys).decode()


SQLITE = Dialect(
    "sqlite",
    sqlite.dialect(paramstyle="qmark"),
    _as_json,
    "EXPLAIN QUERY PLAN",
    False,
    "SELECT name FROM sqlite_master WHERE name = ?",
)


class Among(ColumnElement[bool]):
    """Whether a column has one of the keys in a parameter: one statement whatever their number."""

    inherit_cache = False
    type = Boolean()

    def __init__(self, column: ColumnElement[str], keys: BindParameter[Any]) -> None:
        self.column, self.keys = column, keys

    def self_group(self, against: Any = None) -> Among:
        """Itself: it is a condition already, and one that is compared (`... = 1`) is found by no index."""
        return self


def among(column: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a column has one of the keys in the parameter "keys" (see `Dialect.list_of`)."""
    return Among(column, bindparam("keys", type_=Text))


@compiles(Among, "sqlite")
def _in_json(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    column, keys = compiler.process(element.column, **options), compiler.process(element.keys, **options)
    return f"{column} IN (SELECT value FROM json_each({keys}))"  # noqa: S608 compiled expressions


def parameter(name: str) -> BindParameter[str]:
    """A named parameter."""
    return bindparam(name, type_=Text)


def number(name: str) -> BindParameter[int]:
    """A named parameter that is a whole number."""
    return bindparam(name, type_=WHOLE)
