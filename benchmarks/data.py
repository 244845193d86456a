"""The records and databases that are measured on: synthetic patients, the same every time."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from fhir_facade.contracts import Record
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.resources import data_root
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import generate, load_into

SEED = 20
CHANGED = "2026-01-01T00:00:00.000Z"


@cache
def mapping_set() -> MappingSet:
    """The mappings that the product ships."""
    return load_mapping_set(data_root("mappings"))


def complete_records(kind: str, count: int) -> list[Record]:
    """The first `count` complete synthetic records of a kind, as a store returns them."""
    kinds = mapping_set().kinds
    by_kind: dict[str, list[Record]] = {}
    for name, record in generate(count, SEED):
        by_kind.setdefault(name, []).append(record)
        if name != kind and len(by_kind.get(kind, ())) >= count:
            break  # the next patient's or the next kind's turn: what belongs to the records is there
    for each in kinds:
        for record in by_kind.get(each.name, ()):
            record[each.version], record[each.changed] = 1, CHANGED
    for each in kinds:
        for child in each.children.values():
            if child.records:
                _embed(kinds[child.records], each, child.name, by_kind)
    return [kinds.complete(kinds[kind], record) for record in by_kind[kind][:count]]


def _embed(inner: Any, outer: Any, child: str, by_kind: dict[str, list[Record]]) -> None:
    """Put the records of one kind into the lists of the records that they belong to."""
    link = next(link for link in inner.links.values() if link.to == outer.name)
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in by_kind.get(inner.name, ()):
        groups.setdefault(tuple(record.get(name) for name in link.fields), []).append(record)
    for record in by_kind.get(outer.name, ()):
        record[child] = groups.get(tuple(record.get(name) for name in outer.key), [])


def make_database(path: Path, patients: int) -> SqliteStore:
    """A store in a file with so many synthetic patients."""
    mappings = mapping_set()
    store = SqliteStore.open(path, mappings.kinds, mappings.search.columns)
    load_into(store, mappings.kinds, patients, SEED, CHANGED)
    return store
