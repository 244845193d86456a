"""How fields are named and what else stands in a table: the one agreement between search (to_where) and the store."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

KEY = "_key"  # text primary key of a kind's table: kinds.key_text of the record
REMAINDER = "$remainder"
"""The entry of a stored record that holds, as JSON by mapping name, what resources said and no row took."""
PARENT = "_parent"  # in a child list's table: the key of the record it belongs to

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
    """

    kind: str
    child: str
    name: str
    type: Literal["integer", "text"]
    compute: Callable[[dict[str, Any]], int | str | None]
    reads: tuple[tuple[str, str], ...] = ()
