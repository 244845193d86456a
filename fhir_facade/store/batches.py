"""What readers hand to the loader: records that may be stored, and why the others may not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import Kind, Kinds, Link
from fhir_facade.outcome import Issue

LONGEST_NAME = 60


class Lacking(NamedTuple):
    """A required field that a record file leaves out; allowed when the stored one has it."""

    field: str
    child: str = ""
    key: tuple[object, ...] = ()


@dataclass(slots=True)
class ReadRecord:
    """A complete record, its kind, the line it begins on, and what it tells about."""

    kind: Kind
    record: Record
    line: int
    supplied: frozenset[str]
    lacking: tuple[Lacking, ...] = ()
    from_lines: bool = False

    @property
    def key(self) -> str:
        key: str = self.record["$key"]
        return key


@dataclass(frozen=True, slots=True)
class Delete:
    """A record to delete, named by one of its fields; `scope` are fields that it must have as well."""

    kind: str
    field: str
    value: str
    scope: Mapping[str, object]
    line: int


@dataclass(slots=True)
class Batch:
    """A part of a file that stands or falls by itself: records in dependency order."""

    records: list[ReadRecord] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    deletes: list[Delete] = field(default_factory=list)
    read: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    nested: Mapping[str, Sequence[Kind]] = field(default_factory=dict)
    """For each kind the kinds whose records the file tells of in full: those it no longer has are gone."""


def complete(kinds: Kinds, kind: Kind, record: Record) -> Record:
    """The record with its "$" entries, and no list that it did not have."""
    whole = kinds.complete(kind, record)
    for name in kind.children:
        if name not in record:
            whole.pop(name, None)
    return whole


def pointers(kind: Kind, record: Record) -> Iterator[tuple[Link, str]]:
    """Every reference that a complete record or an item of its lists makes, with the key it points at."""
    for link in kind.links.values():
        if key := record.get("$" + link.name):
            yield link, key
    for child in kind.own_lists():
        if not child.links:
            continue
        for item in record.get(child.name) or ():
            for link in child.links.values():
                if key := item.get("$" + link.name):
                    yield link, key


def line(number: int) -> str:
    """The place of an issue in a file."""
    return f"line {number}"


def shown(name: str) -> str:
    """A name found in a file, short and without runs of digits: it may be a person's number."""
    text = "".join("#" if char.isdigit() else char for char in name) if sum(map(str.isdigit, name)) > 5 else name
    return text if len(text) <= LONGEST_NAME else text[:LONGEST_NAME] + "…"
