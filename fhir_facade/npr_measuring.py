"""Indicators counted over the patients of a store, some at a time: memory does not grow with the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet
from fhir_facade.npr.counting import Period, Tally, counted
from fhir_facade.npr.graph import Graph, shared_kinds
from fhir_facade.npr.indicators import Indicator
from fhir_facade.npr_checking import PatientStore, patients, subject


class MeasuredStore(PatientStore, Protocol):
    """What is asked of a store to count indicators."""

    def scan(self, kind: str) -> Iterator[Record]:
        """Yield every whole record of a kind in key order."""
        ...

    def get_many(self, kind: str, keys: Sequence[str]) -> dict[str, Record]:
        """Return the whole records that have one of the keys, by key."""
        ...


def measure(
    store: MeasuredStore,
    kinds: Kinds,
    indicators: Iterable[Indicator],
    period: Period,
    *,
    person: Record | None = None,
    listing: bool = False,
) -> list[Tally]:
    """The tally of each indicator over all patients, or over one; with the keys of who is in what when listed."""
    tallies = [Tally(indicator, listing) for indicator in indicators]
    wanted = frozenset[str]().union(*(tally.indicator.kinds for tally in tallies))
    shared_names = shared_kinds(kinds)
    shared = Graph({name: list(store.scan(name)) for name in sorted(shared_names & wanted)})
    people = store.scan(subject(kinds, shared_names)) if person is None else iter((person,))
    for records in patients(store, kinds, people, wanted):
        graph = Graph(records, shared=shared)
        for tally in tallies:
            for one in counted(tally.indicator, graph, period):
                tally.add(one)
    return tallies


def naming(mapping_set: MappingSet, kind: str) -> CompiledMapping | None:
    """The mapping that names records of a kind: as an organisation where they are one."""
    found = mapping_set.for_kind(kind)
    return next((each for each in found if each.resource_type == "Organization"), found[0] if found else None)


def labels(mapping: CompiledMapping, store: MeasuredStore, keys: Sequence[str]) -> Mapping[str, str]:
    """The names of records as their resources have them; the key where there is none."""
    records = store.get_many(mapping.kind.name, keys)
    return {key: str(mapping.served(record, []).get("name") or key) for key, record in records.items()}
