"""Records that belong together, and the ways between them: what rules are judged over.

A graph holds the records of one patient, or of whatever a source gives at a time. What many patients share (units,
the envelope of a message) stands in a graph of its own. Ways are made of the record files: a reference, the parent,
and the records that refer back. Values are as the record files say: text, whole numbers, dates as ISO 8601 text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import Kinds

Way = tuple[str, tuple[str, ...]]


class Graph:
    """Records by kind. `tells` are the names (kind, or kind.field) that the source has knowledge of: a rule that
    needs another cannot be judged. `today` is the day of the judgement (YYYY-MM-DD), `earlier` the same institution's
    records as they were told before. `whole` is false where records could not be read: what is not there may yet be."""

    def __init__(
        self,
        records: dict[str, list[Record]],
        *,
        tells: frozenset[str] = frozenset(),
        today: str | None = None,
        shared: Graph | None = None,
        earlier: Graph | None = None,
        whole: bool = True,
    ) -> None:
        self.records = records
        self.tells = tells
        self.today = today
        self.shared = shared
        self.earlier = earlier
        self.whole = whole
        self._ways: dict[Way, dict[tuple[Any, ...], list[Record]]] = {}

    def all(self, kind: str) -> list[Record]:
        """The records of a kind: the graph's own when it tells of the kind, else those that are shared."""
        if kind in self.records or self.shared is None:
            return self.records.get(kind, [])
        return self.shared.all(kind)

    def add(self, kind: str, record: Record) -> None:
        """Take one more record."""
        self.records.setdefault(kind, []).append(record)
        for (name, fields), way in self._ways.items():
            if name == kind:
                way.setdefault(tuple(map(record.get, fields)), []).append(record)

    def before(self, kind: str) -> list[Record]:
        """The records of a kind as they were told before."""
        return self.earlier.all(kind) if self.earlier is not None else []

    def of(self, kind: str, fields: tuple[str, ...], values: tuple[Any, ...]) -> Iterable[Record]:
        """The records of a kind whose fields have these values; none when a value is missing."""
        if None in values:
            return ()
        if kind not in self.records and self.shared is not None:
            return self.shared.of(kind, fields, values)
        way = self._ways.get((kind, fields))
        if way is None:
            way = {}
            for record in self.records.get(kind, ()):
                way.setdefault(tuple(map(record.get, fields)), []).append(record)
            self._ways[kind, fields] = way
        return way.get(values, ())


def everything(kinds: Kinds) -> frozenset[str]:
    """All names that a source can tell of."""
    return frozenset(name for kind in kinds for name in (kind.name, *(f"{kind.name}.{field}" for field in kind.fields)))


def shared_kinds(kinds: Kinds) -> frozenset[str]:
    """Kinds that are nobody's in particular (units, envelopes): no key is built on theirs, nor theirs on another."""
    keys = {kind.name: kind.key for kind in kinds}
    return frozenset(
        name
        for name, key in keys.items()
        if not any(other != key and (other[: len(key)] == key or key[: len(other)] == other) for other in keys.values())
    )
