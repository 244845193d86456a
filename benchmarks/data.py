"""The records and databases that are measured on: synthetic patients, the same every time."""

from __future__ import annotations

from functools import cache
from itertools import islice
from pathlib import Path

from fhir_facade.contracts import Record
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.resources import data_root
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into

SEED = 20
CHANGED = "2026-01-01T00:00:00.000Z"


@cache
def mapping_set() -> MappingSet:
    """The mappings that the product ships."""
    return load_mapping_set(data_root("mappings"))


def complete_records(kind: str, count: int) -> list[Record]:
    """So many complete synthetic records of a kind, as a store returns them: every field is there, None when absent."""
    store = make_database(":memory:", count)
    records = list(islice(store.scan(kind), count))
    store.close()
    return records


def without_absent(record: Record) -> Record:
    """The same record with its absent fields left out, as one reads it from a file; so in the lists inside it."""
    return {
        name: [without_absent(item) for item in value] if isinstance(value, list) else value
        for name, value in record.items()
        if value is not None and value != []
    }


def make_database(path: Path | str, patients: int) -> SqliteStore:
    """A store in a file with so many synthetic patients."""
    mappings = mapping_set()
    store = SqliteStore.open(path, mappings.kinds, mappings.search.columns)
    load_into(store, mappings.kinds, patients, SEED, CHANGED)
    return store
