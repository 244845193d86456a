"""What is known of an open element of an NPR-melding, and how elements that have ended become records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.outcome import Issue
from fhir_facade.store.batches import Batch, ReadRecord, complete, line
from fhir_facade.store.npr_tree import MODULE, ORDINAL, PART, Module, Node, Owner, Place


@dataclass(eq=False, slots=True)
class Frame:
    """An element that is being read; `bad` when a fault refuses what it makes."""

    node: Node
    line: int
    up: Frame | None
    position: int = 1
    bad: bool = False
    spoken: bool = False  # its stray text has been reported
    values: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: dict[str, list[Record]] = field(default_factory=dict)
    keys: set[tuple[Any, ...]] = field(default_factory=set)

    @property
    def host(self) -> Frame:
        """The open element whose record answers for faults here."""
        frame = self
        while frame.node is not self.node.host and frame.up is not None:
            frame = frame.up
        return frame

    def above(self) -> Iterator[Frame]:
        """The open elements that this one stands in and that carry its record, nearest first."""
        frame = self.up
        while frame is not None and frame.up is not None:
            yield frame
            frame = frame.up

    def value(self, place: Place, module: Module) -> Any:
        """What stands at a place, seen from this element."""
        if place.what == MODULE:
            return module.name
        frame = self
        while frame.node.depth > place.depth and frame.up is not None:
            frame = frame.up
        if place.what == ORDINAL:
            return frame.position
        if place.what == PART:
            return next((part for part in frame.node.choice if part in frame.counts), None)
        values = frame.parts.get(place.part, {}) if place.part else frame.values
        return values.get(place.what)


@dataclass(eq=False, slots=True)
class Draft:
    """A record read, before it is known whether it may stand."""

    owner: Owner
    frame: Frame
    read: ReadRecord


def gather(owner: Owner, frame: Frame, module: Module) -> tuple[Record, list[str]]:
    """The fields of what an element makes, and the names of those that are given with different values."""
    record: Record = {}
    torn = []
    for slot in owner.slots:
        found = [frame.value(place, module) for place in slot.places]
        given = [value for value in found if value is not None]
        record[slot.field.name] = given[0] if given else None
        if any(value != given[0] for value in given[1:]):
            torn.append(slot.field.name)
    return record, torn


def draft(owner: Owner, frame: Frame, module: Module, kinds: Kinds) -> tuple[Draft, list[str]]:
    """The record that an element makes, with all its lists."""
    record, torn = gather(owner, frame, module)
    supplied = module.supplied[owner.kind.name]
    for child in owner.kind.own_lists():
        if child.name in supplied:
            record[child.name] = frame.items.get(child.name, [])
    whole = complete(kinds, owner.kind, record)
    return Draft(owner, frame, ReadRecord(owner.kind, whole, frame.line, supplied)), torn


def sift(drafts: Iterable[Draft], order: dict[str, int], batch: Batch) -> None:
    """Put into the batch the drafts that may stand, and an issue for each that falls with another."""
    kept: set[tuple[str, str]] = set()
    fallen: set[tuple[str, str]] = set()
    waiting: dict[tuple[str, str], Draft] = {}  # derived records that fell, unless a later element makes them stand
    for one in sorted(drafts, key=lambda one: order[one.owner.kind.name]):
        kind, key = one.owner.kind, one.read.key
        name = (kind.name, key)
        reason = None if one.frame.bad else _falls_with(one, kept, fallen)
        if one.owner.derived:
            if not one.frame.bad and not reason and name not in kept:
                _keep(one, kept, batch)
            elif reason and name not in kept:
                waiting.setdefault(name, one)
                fallen.add(name)
            continue
        if not one.frame.bad and not reason and name in kept:
            one.frame.bad = True
            batch.issues.append(Issue("record-repeated", line(one.read.line), {"kind": kind.name}))
        elif not one.frame.bad and not reason:
            _keep(one, kept, batch)
            continue
        _refuse(one, reason, batch)
        fallen.add(name)
    for name, one in waiting.items():
        if name not in kept:
            _refuse(one, one.frame.node.label, batch)


def _keep(one: Draft, kept: set[tuple[str, str]], batch: Batch) -> None:
    kept.add((one.owner.kind.name, one.read.key))
    batch.records.append(one.read)
    batch.read[one.owner.kind.name] += 1


def _refuse(one: Draft, parent: str | None, batch: Batch) -> None:
    batch.read[one.owner.kind.name] += 1
    batch.refused[one.owner.kind.name] += 1
    if parent:
        facts = {"kind": one.owner.kind.name, "parent": parent}
        batch.issues.append(Issue("record-under-refused", line(one.read.line), facts))


def _falls_with(one: Draft, kept: set[tuple[str, str]], fallen: set[tuple[str, str]]) -> str | None:
    """What was refused that this record belongs to: an element around it, or a record that it points at."""
    for frame in one.frame.above():
        if frame.bad:
            return frame.node.label
    for link in one.owner.kind.links.values():
        target = (link.to, str(one.read.record.get("$" + link.name)))
        if target in fallen and target not in kept:
            return link.to
    return None
