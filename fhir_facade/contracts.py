"""The vocabulary that every room shares: what a record, a resource, a clause and a query are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

Record = dict[str, Any]
"""One EPJ record: field name → text, whole number or list of child records.

Names that begin with "$" are derived, never stored by the user: "$key" is the record's own key, "$<reference>" the
key of the record that a reference points at (None when it points nowhere).
"""

Resource = dict[str, Any]
"""One FHIR R4 resource as parsed JSON."""

Facts = Mapping[str, Any]

Version = tuple[int, str]
"""A version of a record, and the instant of its last change (ISO 8601, UTC)."""

Stamp = tuple[int, str, int]
"""One state of a stored record: its version, the instant of its last change, the number of the transaction.

The number rises with every change in the store, also where a record is deleted and made again. It is 0 where the
store does not write the record itself: then nothing tells that a part of the record has changed.
"""

Known = Callable[[str, str, Stamp], bytes | None]
"""What a mapping made of a record, by the record's key, when it was in this state; None when that is not at hand."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a chained search: by a reference `parameter` to the resources of `type` that it refers to.

    In reverse (`_has`) the parameter is one of `type`, whose resources refer to those where the step begins.
    """

    parameter: str
    type: str
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Clause:
    """One restriction on a search: a parameter with its modifier and the values that any may match.

    A value is as R4 writes it between commas: a backslash before `|`, `$`, `,` or itself takes its meaning away.
    `path` leads from the type that is searched to the one that has the parameter.
    """

    parameter: str
    values: tuple[str, ...]
    modifier: str = ""
    path: tuple[Hop, ...] = ()


class Unfinished(Exception):
    """What was asked would take longer than it may here."""


class Separately(Exception):
    """What was to be stored together cannot be; nothing of it is, and each may be tried by itself."""


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort key: a search parameter, ascending unless said otherwise."""

    parameter: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What a search asks of the store, free of HTTP: clauses are joined by AND, values inside one by OR.

    `after` is a place in the total order: the sort values in order, then source number and key. The page lies behind
    it, or before it where `backward`; () is the beginning, or for `backward` the end. `total` asks how many match in
    all, whatever page is asked for.
    """

    resource_type: str
    clauses: tuple[Clause, ...] = ()
    sort: tuple[Sort, ...] = ()
    count: int = 50
    after: tuple[Any, ...] = ()
    total: bool = False
    backward: bool = False


class Found(NamedTuple):
    """One matching record: which mapping renders it, its state, and where it stands in the total order.

    It has the record, or `made` when that is known for this state. `stamp` is None where no state was asked for.
    """

    mapping: str
    key: str
    whole: Record | None
    position: tuple[Any, ...] = ()
    stamp: Stamp | None = None
    made: bytes | None = None

    @property
    def record(self) -> Record:
        """The whole record; ValueError when what is made of it stands in its place."""
        if self.whole is None:
            raise ValueError("the record was not read: what is made of it was known")
        return self.whole


@dataclass(frozen=True, slots=True)
class Page:
    """A page of matches, whether more follow (or come before, where the query goes backward), and the number of all."""

    matches: Sequence[Found]
    more: bool
    total: int | None = None


@dataclass(frozen=True, slots=True)
class ExplainedParameter:
    """What one parameter of a search became in one mapping: the mapping's rows (file:line) and columns (table.column).

    `use` is "where" for a restriction and "order" for a sort key.
    """

    use: str
    name: str
    modifier: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """How one mapping of a type was searched: the SQL without values, the plan, rows that came back, milliseconds."""

    mapping: str
    parameters: tuple[ExplainedParameter, ...]
    sql: str
    plan: tuple[str, ...]
    rows: int
    milliseconds: float


class RecordStore(Protocol):
    """What the rest of the house asks of a place where records live."""

    def get(self, kind: str, key: str) -> Record | None:
        """Return the whole record with its child lists, or None."""
        ...

    def scan(self, kind: str) -> Iterator[Record]:
        """Yield every record of a kind in key order without holding them in memory."""
        ...
