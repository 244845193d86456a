"""Functions that rules ask of a whole record, over the fields that its record file gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import Field, Kind
from fhir_facade.npr.functions import TEXTS
from fhir_facade.npr.graph import Graph
from fhir_facade.terminology.lists import code_lists

REJECTED = "-1"
"""What the registry puts in the place of a code that is not in its list."""


@dataclass(frozen=True, slots=True)
class RecordFunction:
    """One function of a record: what it answers, and what that means."""

    apply: Callable[[Graph, Kind, Record], bool]
    meaning: str


def _values(kind: Kind, record: Record) -> Iterator[tuple[Field, Any]]:
    """Every field of a record and of the items of its lists, with a value."""
    for name, field in kind.fields.items():
        if record.get(name) is not None:
            yield field, record[name]
    for child in kind.own_lists():
        for item in record.get(child.name) or ():
            for name, field in child.fields.items():
                if item.get(name) is not None:
                    yield field, item[name]


def unique(graph: Graph, kind: Kind, record: Record) -> bool:
    """Whether no other record of the kind has the same key."""
    return sum(1 for _ in graph.of(kind.name, kind.key, tuple(map(record.get, kind.key)))) <= 1


def blanks(graph: Graph, kind: Kind, record: Record) -> bool:
    """Whether a text of the record begins or ends with a blank."""
    return any(isinstance(value, str) and value != value.strip() for _, value in _values(kind, record))


def loose_codes(graph: Graph, kind: Kind, record: Record) -> bool:
    """Whether a code is written with small letters where its list has capitals, a full stop, or one more zero."""
    return any(_is_loose(field, value) for field, value in _values(kind, record))


def _is_loose(field: Field, value: Any) -> bool:
    if field.type not in TEXTS or not field.code_list or not isinstance(value, str):
        return False
    known = code_lists().get(field.code_list)
    if known is None or value in known.codes:
        return False
    plain = value.strip().upper().replace(".", "")
    return plain in known.codes or (plain.lstrip("0") or "0") in known.codes


def rejected_codes(graph: Graph, kind: Kind, record: Record) -> bool:
    """Whether a code is -1, which means that the registry refused what stood there."""
    return any(field.type == "code" and value == REJECTED for field, value in _values(kind, record))


RECORD_FUNCTIONS: Mapping[str, RecordFunction] = {
    "unique": RecordFunction(unique, "no other record of the kind has the same key"),
    "blanks": RecordFunction(blanks, "a text begins or ends with a blank"),
    "looseCodes": RecordFunction(loose_codes, "a code that is right but for zeros, small letters or full stops"),
    "rejectedCodes": RecordFunction(rejected_codes, "a code is -1, the registry's mark of a refused code"),
}
