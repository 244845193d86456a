"""The rules of the patient registry over a message as it is read, or over the patients of a store, some at a time.

Memory does not grow with the file: a patient's records are judged and let go. What stays are the units, which all
patients refer to, and the first faults of the reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.npr.graph import Graph, everything, shared_kinds
from fhir_facade.npr.rules import RuleSet
from fhir_facade.npr.verdict import Judging, Verdict
from fhir_facade.outcome import Issue
from fhir_facade.store.batches import Batch
from fhir_facade.store.npr_envelope import read_envelope
from fhir_facade.store.npr_read import read_message
from fhir_facade.store.npr_tree import Module, NprTable
from fhir_facade.store.records import Store

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


def check_store(store: Store, kinds: Kinds, rules: RuleSet, today: str) -> Iterator[Checked]:
    """Judge all records of a store: what patients share first, then some patients at a time."""
    beside = {kind.name for kind in rules.kinds if kind.name not in kinds.by_name}
    tells = frozenset(name for name in everything(rules.kinds) if name.partition(".")[0] not in beside)
    judging = Judging(rules, tells)
    shared_names = shared_kinds(kinds)
    told_of = _referred_to(kinds)
    shared = Graph({name: list(store.scan(name)) for name in shared_names & told_of}, today=today)
    yield _checked(judging, shared)
    for name in shared_names - told_of:  # envelopes of messages: what is stored is of no message in particular
        for record in store.scan(name):
            yield _checked(judging, Graph({name: [record]}, today=today))
    root = subject(kinds, shared_names)
    links = {kind.name: link.name for kind in kinds for link in kind.links.values() if link.to == root}
    everybody = store.scan(root)
    while people := list(islice(everybody, TOGETHER)):
        keys = [str(person["$key"]) for person in people]
        records = {person["$key"]: {root: [person]} for person in people}
        for name, link in links.items():
            for key, found in store.related(name, link, keys).items():
                records[key][name] = found
        for key in keys:
            yield _checked(judging, Graph(records[key], shared=shared, today=today, tells=tells))


def subject(kinds: Kinds, shared: Iterable[str]) -> str:
    """The kind that all others are about: a key that no other key is the beginning of, and that others begin with."""
    names = [kind.name for kind in kinds if kind.name not in shared]
    return min(names, key=lambda name: (len(kinds[name].key), bool(kinds[name].links)))


def _referred_to(kinds: Kinds) -> frozenset[str]:
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
