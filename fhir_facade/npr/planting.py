"""Faults put into the records of one patient: what is changed, and which rules are broken where."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.npr.faults import ADDED, THIS, Change, Fault, Step
from fhir_facade.npr.graph import Graph
from fhir_facade.npr.rules import Consequence, Rule, RuleSet
from fhir_facade.npr.to_rule import KEPT

Records = dict[str, list[Record]]
Spot = tuple[str, Record, str, int]
"""Kind, record, list and place in it (from 0); the list is "" for the record itself."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A rule that is broken at a record, in an item of a list where `child` names it, and what the registry does."""

    rule: Rule
    kind: str
    record: Record
    child: str
    place: int
    consequence: Consequence


@dataclass(frozen=True, slots=True)
class Changed:
    """One thing that was changed: `what` is a field, a list, or "" for a record that came or went."""

    kind: str
    record: Record
    child: str
    what: str
    before: Any
    after: Any


@dataclass
class Scene:
    """The records of one patient with what all patients share; what is `new` among the shared ones, and what was told
    of the patient `earlier`, begins empty."""

    records: Records
    shared: Records
    today: str
    new: Records = field(default_factory=dict)
    earlier: Records = field(default_factory=dict)

    def graph(self) -> Graph:
        return Graph(self.records, shared=Graph(self.shared, today=self.today), today=self.today)

    def copy(self) -> Scene:
        """A scene with records of its own; those that are shared are the same."""
        return Scene(orjson.loads(orjson.dumps(self.records)), self.shared, self.today)


@dataclass
class Planted:
    """A fault that was put in: the scene after it, what was changed, and what is to be found."""

    fault: Fault
    number: int
    scene: Scene
    changed: list[Changed]
    expected: list[Expected]
    at: Spot


def plant(fault: Fault, scene: Scene, rules: RuleSet, number: int, numbers: random.Random) -> Planted | None:
    """The fault at one of the places where it can be, with its number; None where there is no such place."""
    kind, _, child = fault.record.partition(".")
    graph = scene.graph()
    places = [
        (at, place)
        for at, record in enumerate(graph.all(kind))
        for place, item in enumerate((record.get(child) or ()) if child else (record,))
        if fault.where(graph, record, item) == KEPT
    ]
    numbers.shuffle(places)
    for at, place in places:
        made = scene.copy()
        if fault.message:
            made.shared = orjson.loads(orjson.dumps(scene.shared))
        host = made.graph().all(kind)[at]
        planter = _Planter(made, rules.kinds, number)
        try:
            seeded = planter.run(fault, kind, host, child, place)
        except LookupError:
            continue
        return Planted(fault, number, made, planter.changed, list(_expected(fault, rules, planter, seeded)), seeded)
    return None


def prepared(scene: Scene, faults: tuple[Fault, ...], kinds: Kinds) -> None:
    """Do to every record what the table says of all."""
    for fault in faults:
        kind, _, child = fault.record.partition(".")
        graph = scene.graph()
        found = [each for each in graph.all(kind) if fault.where(graph, each, each) == KEPT]
        for number, record in enumerate(found, 1):
            _Planter(scene, kinds, number).run(fault, kind, record, child, 0)


def _expected(fault: Fault, rules: RuleSet, planter: _Planter, seeded: Spot) -> Iterator[Expected]:
    for number, places in fault.finds:
        rule = rules[number]
        does: Consequence = "none" if number in fault.spared else rule.consequence
        for kind, record, child, place in planter.spots(places, seeded):
            yield Expected(rule, kind, record, child, place, does)


class _Planter:
    """Carries out the steps of one fault."""

    def __init__(self, scene: Scene, kinds: Kinds, number: int) -> None:
        self.scene, self.kinds, self.number = scene, kinds, number
        self.changed: list[Changed] = []
        self.added: list[Spot] = []

    def run(self, fault: Fault, kind: str, host: Record, child: str, place: int) -> Spot:
        """Carry them out, seen from a record or an item of it; LookupError where a value is missing."""
        item = host[child][place] if child else host
        for step in fault.steps:
            graph = self.scene.graph()
            for target in step.of.read(graph, host, item):
                self._step(step, graph, self._spot(step.of.kind, step.of.child, target), target)
        place = next((at for at, each in enumerate(host[child]) if each is item), 0) if child else 0
        return kind, host, child, place

    def spots(self, places: tuple[Any, ...], seeded: Spot) -> Iterator[Spot]:
        """The records that the places mean."""
        _, host, child, place = seeded
        item = host[child][place] if child else host
        for each in places:
            if each == THIS:
                yield seeded
            elif each == ADDED:
                yield from self.added
            else:
                for found in each.read(self.scene.graph(), host, item):
                    yield self._spot(each.kind, each.child, found)

    def _spot(self, kind: str, child: str, target: Record) -> Spot:
        """Where a record or an item stands."""
        for record in self.scene.graph().all(kind):
            if not child and record is target:
                return kind, record, "", 0
            for place, item in enumerate(record.get(child) or () if child else ()):
                if item is target:
                    return kind, record, child, place
        raise LookupError(kind)

    def _step(self, step: Step, graph: Graph, spot: Spot, target: Record) -> None:
        kind, host, child, _ = spot
        new = [(each, each.value(graph, host, target, self.number)) for each in step.changes]
        if step.action == "set":
            self._set(spot, target, new)
            for name in step.cleared:
                self.changed.append(Changed(kind, host, "", name, host.pop(name, None), None))
        elif step.action == "remove":
            rows = host[child] if child else self.scene.records[kind]
            rows[:] = [each for each in rows if each is not target]
            self.changed.append(Changed(kind, host, child, "", target, None))
        elif step.action == "add" and step.name not in self.kinds.by_name:
            rows = host.setdefault(step.name, [])
            rows.append(self._item(rows, kind, step.name, new))
            self._came(kind, host, step.name, rows)
        elif step.action == "add":
            self._record(step.name, self._new(step.name, host, new), self.scene.records)
        elif child:
            rows = host[child]
            rows.append(self._item(rows, kind, child, new, dict(target)))
            self._came(kind, host, child, rows)
        else:
            copied = orjson.loads(orjson.dumps(target))
            _put(copied, new)
            for name in step.cleared:
                copied.pop(name, None)
            self._record(kind, copied, self.scene.earlier if step.action == "before" else self.scene.records)

    def _set(self, spot: Spot, target: Record, new: list[tuple[Change, Any]]) -> None:
        kind, host, child, _ = spot
        for change, value in new:
            name = change.field.name
            self.changed.append(Changed(kind, host, child, name, target.get(name), value))
        _put(target, new)

    def _new(self, kind: str, beside: Record, new: list[tuple[Change, Any]]) -> Record:
        """A record with the keys of the one that it stands beside."""
        known = self.kinds[kind]
        names = {*known.key, *(name for link in known.links.values() for name in link.fields)}
        record = {name: beside[name] for name in known.fields if name in names and beside.get(name) is not None}
        _put(record, new)
        return record

    def _item(
        self, rows: list[Record], kind: str, child: str, new: list[tuple[Change, Any]], item: Record | None = None
    ) -> Record:
        """An item; where its list is numbered and it has no number yet, with the next."""
        last = self.kinds[kind].children[child].key[-1]
        made = {**(item or {}), last: max((each.get(last, 0) for each in rows), default=0) + 1}
        _put(made, new)
        return made

    def _record(self, kind: str, record: Record, among: Records) -> None:
        """Take a record: among those of the patient, those that are shared, or those that were told before."""
        told_before = among is self.scene.earlier
        if kind in self.scene.shared and not told_before:
            among = self.scene.new
        among.setdefault(kind, []).append(record)
        if kind in self.scene.shared and not told_before:
            self.scene.shared = {**self.scene.shared, kind: [*self.scene.shared[kind], record]}
        if not told_before:
            self.added.append((kind, record, "", 0))
        self.changed.append(Changed(kind, record, "earlier" if told_before else "", "", None, record))

    def _came(self, kind: str, host: Record, child: str, rows: list[Record]) -> None:
        self.added.append((kind, host, child, len(rows) - 1))
        self.changed.append(Changed(kind, host, child, "", None, rows[-1]))


def _put(record: Record, new: list[tuple[Change, Any]]) -> None:
    for change, value in new:
        if value is None:
            record.pop(change.field.name, None)
        else:
            record[change.field.name] = value
