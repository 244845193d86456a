"""Where a page begins: the total order of a search, and the rows that lie beyond a place in it.

Rows stand in the order of the sort values, then of source and key, which go the way of the last sort value, so that
one index over (value, key) gives a page in either direction without sorting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, and_, true

from fhir_facade.contracts import Query, Stamp

Column = ColumnElement[Any]
Where = ColumnElement[bool]


class Place(NamedTuple):
    """Where a match stands in the total order."""

    order: tuple[Any, ...]
    source: Any
    key: str
    stamp: Stamp | None = None


@dataclass(frozen=True, slots=True)
class Walk:
    """Which way a page is read: whether each sort value goes down, and source and key after them."""

    down: tuple[bool, ...]
    tail: bool


def walk_of(query: Query) -> Walk:
    """The way that a query is read; a page before a place is read backwards."""
    down = tuple(each.descending != query.backward for each in query.sort)
    return Walk(down, down[-1] if down else query.backward)


def put_in_order(rows: list[Place], walk: Walk) -> None:
    """Sort the rows of all sources, the way they are read."""
    rows.sort(key=lambda row: (row.source, row.key), reverse=walk.tail)
    for index in reversed(range(len(walk.down))):
        rows.sort(key=lambda row: row.order[index], reverse=walk.down[index])


@dataclass(frozen=True, slots=True)
class Range:
    """Rows that one range of an index over (sort value, key) holds, and what is left to sort them by."""

    where: Where
    order_by: tuple[Column, ...]


def ranges(position: tuple[Any, ...], walk: Walk, order: Sequence[Column], number: int, key: Column) -> list[Range]:
    """The rows of source `number` that come after a position (sort values, source, key) on the walk, nearest first.

    First come the rows with the same sort values and a key beyond, then those that differ in the last value, and so on.
    All rows are one range when the position is (). What is the same for all rows of a range is not sorted by: a
    database would sort rows that its index has in order already.
    """
    varying = [
        (column, down) for column, down in zip(order, walk.down, strict=True) if not isinstance(column, BindParameter)
    ]
    sorting = tuple(column.desc() if down else column for column, down in (*varying, (key, walk.tail)))
    if not position:
        return [Range(true(), sorting)]
    *values, source, last = position
    parts: list[tuple[Column, bool, Any]] = []
    for column, down, value in zip(order, walk.down, values, strict=True):
        if not isinstance(column, BindParameter):
            parts.append((column, down, value))
        elif column.value != value:  # the same for all rows of the source: all of them lie beyond, or none
            return _ranges(parts, sorting, open_end=(column.value > value) != down)
    if number != source:
        return _ranges(parts, sorting, open_end=(number > source) != walk.tail)
    tail = [] if any(column is key for column, _, _ in parts) else [(key, walk.tail, last)]
    return _ranges(parts + tail, sorting, open_end=False)


def _ranges(parts: Sequence[tuple[Column, bool, Any]], sorting: tuple[Column, ...], *, open_end: bool) -> list[Range]:
    """Rows whose columns come after the values, or are equal to them where the end is open."""
    if not parts:
        return [Range(true(), sorting)] if open_end else []
    found = []
    for index in reversed(range(len(parts))):
        same = [column == value for column, _, value in parts[:index]]
        column, down, value = parts[index]
        if open_end and index == len(parts) - 1:
            after = column <= value if down else column >= value
        else:
            after = column < value if down else column > value
        found.append(Range(and_(*same, after), sorting[index:]))
    return found
