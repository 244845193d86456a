"""Where a page begins: the total order of a search, and the rows that lie beyond a place in it.

Rows stand in the order of the sort values, then of source and key, which go the way of the last sort value, so that
one index over (value, key) gives a page in either direction without sorting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, and_, false, or_, true, tuple_

from fhir_facade.contracts import Query

Column = ColumnElement[Any]
Where = ColumnElement[bool]


class Place(NamedTuple):
    """Where a match stands in the total order."""

    order: tuple[Any, ...]
    source: int
    key: str


@dataclass(frozen=True, slots=True)
class Walk:
    """Which way a page is read: whether each sort value goes down, and source and key after them."""

    down: tuple[bool, ...]
    tail: bool


def walk_of(query: Query) -> Walk:
    """The way that a query is read; a page before a place is read backwards."""
    down = tuple(each.descending != query.backward for each in query.sort)
    return Walk(down, down[-1] if down else query.backward)


def order_by(walk: Walk, order: Sequence[Column], key: Column) -> list[Column]:
    """What to sort a source's rows by; what is the same for all of them is left out."""
    columns = [(column, down) for column, down in zip(order, walk.down, strict=True) if not _is_constant(column)]
    return [column.desc() if down else column for column, down in (*columns, (key, walk.tail))]


def put_in_order(rows: list[Place], walk: Walk) -> None:
    """Sort the rows of all sources, the way they are read."""
    rows.sort(key=lambda row: (row.source, row.key), reverse=walk.tail)
    for index in reversed(range(len(walk.down))):
        rows.sort(key=lambda row: row.order[index], reverse=walk.down[index])


def beyond(position: tuple[Any, ...], walk: Walk, order: Sequence[Column], number: int, key: Column) -> Where:
    """The rows of source `number` that come after a position (sort values, source, key) on the walk; all when it is ().

    A row comparison wherever the values go one way, which is one range of an index.
    """
    if not position:
        return true()
    *values, source, last = position
    open_end = number != source and (number > source) != walk.tail  # rows with the same values lie beyond too
    parts: list[tuple[Column, bool, Any]] = []
    for column, down, value in zip(order, walk.down, values, strict=True):
        if not isinstance(column, BindParameter):
            parts.append((column, down, value))
        elif column.value != value:  # the same for all rows of the source: all of them lie here or there
            return _compared(parts, open_end=(column.value > value) != down)
    if number == source:
        parts.append((key, walk.tail, last))
    return _compared(parts, open_end=open_end)


def _compared(parts: Sequence[tuple[Column, bool, Any]], *, open_end: bool) -> Where:
    """Rows whose columns come after the values, or are equal to them where the end is open."""
    if not parts:
        return true() if open_end else false()
    if len({down for _, down, _ in parts}) > 1:
        return _mixed(parts, open_end=open_end)
    columns, values = [column for column, _, _ in parts], [value for _, _, value in parts]
    one: Any = columns[0] if len(parts) == 1 else tuple_(*columns)
    other: Any = values[0] if len(parts) == 1 else tuple_(*values)
    if parts[0][1]:
        return one <= other if open_end else one < other  # type: ignore[no-any-return]
    return one >= other if open_end else one > other  # type: ignore[no-any-return]


def _mixed(parts: Sequence[tuple[Column, bool, Any]], *, open_end: bool) -> Where:
    """The same for values that go different ways, which no row comparison can say."""
    tail: Where = true() if open_end else false()
    for column, down, value in reversed(parts):
        after = column < value if down else column > value
        bound = column <= value if down else column >= value  # the same once more: an index can be used
        tail = and_(bound, or_(after, tail))
    return tail


def _is_constant(column: Column) -> bool:
    return isinstance(column, BindParameter)
