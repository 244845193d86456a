"""What one transaction has to tell the record system: each change as the resource is when all is written.

A change is told in the queue of its patient, the one that its references lead to; one of no patient in its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Set
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from fhir_facade.contracts import Record
from fhir_facade.mapping.following import Edge, keys_in, written_edges
from fhir_facade.outcome import Issue
from fhir_facade.store.outbox import Outbox
from fhir_facade.store.outbox_tables import Act, Outgoing

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet
    from fhir_facade.mapping.to_where import SearchPlan
    from fhir_facade.store.records import Store
    from fhir_facade.store.writer import Writer

PATIENT = "Patient"


class _Noted(NamedTuple):
    act: Act
    mapping: CompiledMapping
    key: str
    queue: str  # of what is deleted; of all else it is found when all is written


class Telling:
    """Notes changes as they are made and puts them into the outbox at the end of their transaction."""

    def __init__(self, outbox: Outbox, mapping_set: MappingSet, now: str) -> None:
        self._outbox, self._mapping_set, self._now = outbox, mapping_set, now
        self._noted: list[_Noted] = []

    def stored(self, mapping: CompiledMapping, key: str, act: Act) -> None:
        """A resource has been created or updated."""
        self._noted.append(_Noted(act, mapping, key, ""))

    def going(self, writer: Writer, mapping: CompiledMapping, key: str, contents: Mapping[str, Set[str]]) -> None:
        """A record is about to be deleted, and with it its contents (keys by kind): what is inside goes first."""
        kinds = self._mapping_set.kinds
        for kind in reversed(list(kinds)):
            of_kind = self._mapping_set.for_kind(kind.name)[:1]
            for each in of_kind:
                for inner in sorted(contents.get(kind.name, set()) - ({key} if kind is mapping.kind else set())):
                    self._leaving(writer, each, inner)
        self._leaving(writer, mapping, key)

    def _leaving(self, writer: Writer, mapping: CompiledMapping, key: str) -> None:
        record = writer.get(mapping.kind, key)
        if record is not None:
            self._noted.append(_Noted("delete", mapping, key, queue_of(self._mapping_set, mapping, record)))

    def put(self, writer: Writer, store: Store) -> None:
        """Put all that was noted into the outbox; `store` is as the transaction sees it."""
        if self._noted:
            self._outbox.put(writer.connection, [self._outgoing(each, store) for each in self._noted])
            self._noted = []

    def _outgoing(self, noted: _Noted, store: Store) -> Outgoing:
        mapping, key = noted.mapping, noted.key
        last = store.last_version(mapping.kind.name, key)
        version, record = (0, None) if last is None else (last.version, last.record)
        queue, content = noted.queue, None
        if noted.act != "delete":
            if record is None:
                raise ValueError("what was written a moment ago is there")
            issues: list[Issue] = []
            content = mapping.serve(record, issues).decode()
            queue = queue_of(self._mapping_set, mapping, record)
        name, type_ = str(uuid.uuid4()), mapping.resource_type
        return Outgoing(name, queue, type_, mapping.id_of(key), version, noted.act, content, self._now)


def queue_of(mapping_set: MappingSet, mapping: CompiledMapping, record: Record) -> str:
    """What keeps its order together: the reference of the patient that a resource refers to, or its own."""
    edges = _edges(mapping_set.search, mapping.name)
    patients = sorted(
        f"{PATIENT}/{mapping_set.mappings[edge.target].id_of(key)}" for edge in edges for key in keys_in(record, edge)
    )
    return patients[0] if patients else f"{mapping.resource_type}/{mapping.id_of(record['$key'])}"


@lru_cache(maxsize=256)
def _edges(plan: SearchPlan, mapping: str) -> tuple[Edge, ...]:
    return tuple(edge for edge in written_edges(plan) if edge.source.mapping == mapping and edge.to == PATIENT)
