"""The rules of the patient registry over a message as it is read, or over the patients of a store, some at a time.

Memory does not grow with the file: a patient's records are judged and let go. What stays are the units, which all
patients refer to, and the first faults of the reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.npr.graph import Graph, everything, shared_kinds
from fhir_facade.npr.rules import RuleSet
from fhir_facade.npr.verdict import Judging, Verdict
from fhir_facade.outcome import Issue
from fhir_facade.store.batches import Batch
from fhir_facade.store.npr_envelope import read_envelope
from fhir_facade.store.npr_read import read_message
from fhir_facade.store.npr_tree import Module, NprTable

FAULT = "reading_fault"
FOLLOWS = "record-under-refused"  # a fault that is there because of another
KEPT_FAULTS = 1000
TOGETHER = 100  # patients that are read from a store at a time


@dataclass(slots=True)
class Checked:
    """The verdicts of some records that belong together: with the line of each (0 where there is none), what the
    reader could not take, and the graph that they were judged in."""

    verdicts: list[tuple[Verdict, int]]
    faults: list[Issue]
    graph: Graph


class PatientStore(Protocol):
    """What is asked of a store to put patients together."""

    def related(self, kind: str, link: str, keys: Sequence[str]) -> dict[str, list[Record]]:
        """Return the whole records that point with a link at the keys, by that key."""
        ...


def check_message(path: Path, table: NprTable, kinds: Kinds, rules: RuleSet, today: str) -> Iterator[Checked]:
    """Judge a message patient by patient, its envelope last; Refused when it is not well-formed."""
    module, envelope = read_envelope(path, table)
    tells = _told_by(module, rules.kinds) if module else frozenset()
    shared_names = shared_kinds(rules.kinds)
    judging = Judging(rules, tells)
    own = module.top.main if module else None
    shared = Graph({own.kind.name: [envelope]} if own else {}, today=today)
    faults: list[Record] = []
    for batch in read_message(path, table, kinds):
        found = _as_records(batch, len(faults))
        faults += found[: KEPT_FAULTS - len(faults)]
        graph = Graph({FAULT: found}, shared=shared, today=today, tells=tells, whole=not batch.issues)
        lines: dict[int, int] = {}
        for read in batch.records:
            graph.add(read.kind.name, read.record)
            lines[id(read.record)] = read.line
            if read.kind.name in shared_names and read.kind is not (own and own.kind):
                shared.add(read.kind.name, read.record)
        if own and own.kind.name in graph.records:
            graph.records[FAULT] = faults
        verdicts = [each for each in judging.judge(graph) if each.kind != FAULT]
        yield Checked([(each, lines.get(id(each.record), 0)) for each in verdicts], batch.issues, graph)


def check_store(store: Patients, kinds: Kinds, rules: RuleSet, today: str) -> Iterator[Checked]:
    """Judge all records of a store: what patients share first, then some patients at a time."""
    stored = StoredPatients(store, kinds, rules, today)
    yield _checked(stored.judging, stored.shared)
    for name in stored.alone:
        for record in store.scan(name):
            yield _checked(stored.judging, Graph({name: [record]}, today=today))
    everybody = store.scan(stored.root)
    while people := list(islice(everybody, TOGETHER)):
        for graph in stored.graphs(people):
            yield _checked(stored.judging, graph)


class Patients(Protocol):
    """What judging asks of a store."""

    def scan(self, kind: str, /) -> Iterator[Record]:
        """All records of a kind."""
        ...

    def related(self, kind: str, link: str, keys: Sequence[str], /) -> dict[str, list[Record]]:
        """The records of a kind that refer to the keys, by key."""
        ...


class StoredPatients:
    """The patients of a store, each with all records about them, ready to be judged.

    `root` is the kind that all others are about, `shared` what many patients share. What is `alone` belongs to nobody:
    envelopes of messages, since what is stored is of no message in particular.
    """

    def __init__(self, store: Patients, kinds: Kinds, rules: RuleSet, today: str) -> None:
        self.store, self.today = store, today
        beside = {kind.name for kind in rules.kinds if kind.name not in kinds.by_name}
        self.tells = frozenset(name for name in everything(rules.kinds) if name.partition(".")[0] not in beside)
        self.judging = Judging(rules, self.tells)
        shared_names = shared_kinds(kinds)
        told_of = referred_to(kinds)
        self.shared = Graph({name: list(store.scan(name)) for name in shared_names & told_of}, today=today)
        self.alone = shared_names - told_of
        self.root = subject(kinds, shared_names)
        self.links = {kind.name: link.name for kind in kinds for link in kind.links.values() if link.to == self.root}

    def graphs(self, people: Sequence[Record]) -> Iterator[Graph]:
        """The records about each of some patients."""
        keys = [str(person["$key"]) for person in people]
        records = {person["$key"]: {self.root: [person]} for person in people}
        for name, link in self.links.items():
            for key, found in self.store.related(name, link, keys).items():
                records[key][name] = found
        for key in keys:
            yield Graph(records[key], shared=self.shared, today=self.today, tells=self.tells)

    def about(self, kind: Kind, record: Record) -> str | None:
        """The key of the patient that a record is about, None where it is about nobody."""
        if kind.name == self.root:
            return str(record["$key"])
        link = self.links.get(kind.name)
        return record.get(f"${link}") if link else None


def below(kinds: Kinds, graph: Graph, kind: str, key: str) -> set[tuple[str, str]]:
    """A record of a graph and all that refer to it, in one step or several: kinds and keys."""
    found = {(kind, key)}
    for each in kinds:  # references point backwards in their order
        for record in graph.records.get(each.name, ()):
            if any((link.to, record.get(f"${link.name}")) in found for link in each.links.values()):
                found.add((each.name, record["$key"]))
    return found


def patients(
    store: PatientStore, kinds: Kinds, people: Iterator[Record], wanted: frozenset[str] | None = None
) -> Iterator[dict[str, list[Record]]]:
    """The records of each patient by kind, of all kinds or of those wanted; some patients are read at a time."""
    root = subject(kinds, shared_kinds(kinds))
    links = {kind.name: link.name for kind in kinds for link in kind.links.values() if link.to == root}
    while some := list(islice(people, TOGETHER)):
        keys = [str(person["$key"]) for person in some]
        records = {person["$key"]: {root: [person]} for person in some}
        for name, link in links.items():
            if wanted is None or name in wanted:
                for key, found in store.related(name, link, keys).items():
                    records[key][name] = found
        yield from records.values()


def subject(kinds: Kinds, shared: Iterable[str]) -> str:
    """The kind that all others are about: a key that no other key is the beginning of, and that others begin with."""
    names = [kind.name for kind in kinds if kind.name not in shared]
    return min(names, key=lambda name: (len(kinds[name].key), bool(kinds[name].links)))


def referred_to(kinds: Kinds) -> frozenset[str]:
    """The kinds that some record, or an item of one, refers to."""
    tables = [links for kind in kinds for links in (kind.links, *(child.links for child in kind.own_lists()))]
    return frozenset(link.to for links in tables for link in links.values())


def _checked(judging: Judging, graph: Graph) -> Checked:
    return Checked([(verdict, 0) for verdict in judging.judge(graph)], [], graph)


def _told_by(module: Module, kinds: Kinds) -> frozenset[str]:
    """The names that a message tells of: what it carries, and how it was read."""
    told = {name for kind, fields in module.supplied.items() for name in (kind, *(f"{kind}.{each}" for each in fields))}
    return frozenset(told | {name for name in everything(kinds) if name.partition(".")[0] == FAULT})


def _as_records(batch: Batch, before: int) -> list[Record]:
    """The faults of a batch, as records that rules ask about."""
    return [
        {"number": before + place, "code": issue.code, "field": issue.facts.get("field")}
        for place, issue in enumerate(batch.issues, 1)
        if issue.code != FOLLOWS
    ]
