"""How fields are named and what else stands in a table: the one agreement between search (to_where) and the store."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

KEY = "_key"  # text primary key of a kind's table: kinds.key_text of the record
REMAINDER = "$remainder"
"""The entry of a stored record that holds, as JSON by mapping name, what resources said and no row took."""
PARENT = "_parent"  # in a child list's table: the key of the record it belongs to

LOWEST, HIGHEST = -(2**62), 2**62
"""What stands for an open beginning and an open end of a period: milliseconds that no date has."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def column_name(field: str) -> str:
    """snake_case of a field name: innDatoTid → inn_dato_tid, henvFraHPR → henv_fra_hpr."""
    return _HUMP.sub("_", field).lower()


def link_column(link: str) -> str:
    """The column that holds the key a reference points at (NULL when it points nowhere)."""
    return f"_to_{column_name(link)}"


def table_name(kind_table: str, child: str = "") -> str:
    """The table of a kind, or of one of its own child lists."""
    return f"{kind_table}__{column_name(child)}" if child else kind_table


@dataclass(frozen=True, slots=True)
class SearchColumn:
    """A column computed from a record (or child item) when it is written, because search needs it.

    `kind` and `child` say whose table ("" = the kind's own); `compute` takes the record or item and returns the
    value: milliseconds since 1970 UTC for instants, folded text for strings, None when there is nothing to find.
    `reads` are the fields that it is computed from and how each is read: what was written by other fields is stale.
    There is an index over it where it is `indexed`, and one over it with each of `empties` in the place of NULL, which
    the order of results asks for. Where it is not `stored`, it is a field's own column, which needs an index only.
    `suffix` stands behind the text that is folded; `least` is the smallest whole number that FHIR can hold there.
    """

    kind: str
    child: str
    name: str
    type: Literal["integer", "text"]
    compute: Callable[[dict[str, Any]], int | str | None]
    reads: tuple[tuple[str, str], ...] = ()
    empties: tuple[int | str, ...] = ()
    indexed: bool = True
    stored: bool = True
    suffix: str = ""
    least: int = -(2**31)


def index_only(kind: str, child: str, field: str, *empties: str) -> SearchColumn:
    """A field's own column, with an index: plain, or with `empties` in the place of NULL."""
    name = column_name(field)
    return SearchColumn(kind, child, name, "text", lambda item: item.get(field), (), empties, not empties, stored=False)


def joined(one: SearchColumn, other: SearchColumn) -> SearchColumn:
    """The same column asked for twice: with the indexes of both."""
    empties = tuple(dict.fromkeys((*one.empties, *other.empties)))
    stored = one if one.stored else other
    indexed = one.indexed or other.indexed
    return replace(stored, empties=empties, indexed=indexed)


@dataclass(frozen=True, slots=True)
class FieldIndex:
    """A field whose column is to have an index, because searches name its value; `name` is the column's."""

    kind: str
    child: str
    name: str
