"""Synthetic Norway: any number of coherent synthetic patients, the same for the same seed, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import orjson

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.store.synthetic_calendar import Calendar
from fhir_facade.store.synthetic_paths import live
from fhir_facade.store.synthetic_places import build

UNTIL = date(2025, 6, 30)
BATCH = 200  # patients merged in one transaction
Progress = Callable[[int], None]


class MergeStore(Protocol):
    """The part of a store that loading needs."""

    def transaction(self) -> AbstractContextManager[Any]: ...


def generate(patients: int, seed: int, *, institutions: int = 2, until: date = UNTIL) -> Iterator[tuple[str, Record]]:
    """Yield (kind, record): places first, then patient after patient; references point backwards."""
    for records in by_patient(patients, seed, institutions, until):
        yield from records


def by_patient(patients: int, seed: int, institutions: int, until: date) -> Iterator[list[tuple[str, Record]]]:
    """The country's records, then the records of each patient."""
    calendar = Calendar(until)
    country = build(seed, institutions, calendar)
    yield list(country.records)
    for n in range(1, patients + 1):
        yield live(country, calendar, seed, n)


def write_ndjson(folder: Path, patients: int, seed: int, on_progress: Progress = lambda done: None) -> None:
    """Write one <kind>.ndjson a kind; `on_progress` hears how many patients are done."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, BinaryIO] = {}
    with ExitStack() as stack:
        for done, records in enumerate(by_patient(patients, seed, 2, UNTIL)):
            for kind, record in records:
                if kind not in files:
                    files[kind] = stack.enter_context((folder / f"{kind}.ndjson").open("wb"))
                files[kind].write(orjson.dumps(record, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))
            if done % BATCH == 0 or done == patients:
                on_progress(done)


def load_into(
    store: MergeStore,
    kinds: Kinds,
    patients: int,
    seed: int,
    now: str,
    on_progress: Progress = lambda done: None,
) -> None:
    """Merge the records into a store, some hundred patients a transaction, kinds in order of reference."""
    people = by_patient(patients, seed, 2, UNTIL)
    done = -1  # the first batch item is the country, not a patient
    while batch := list(islice(people, BATCH)):
        by_kind: dict[str, list[Record]] = {}
        for records in batch:
            for name, record in records:
                by_kind.setdefault(name, []).append(record)
        with store.transaction() as writer:
            for kind in kinds:
                if kind.name in by_kind:
                    complete = [kinds.complete(kind, record) for record in by_kind[kind.name]]
                    writer.merge(kind, complete, now, supplied=None)
        done += len(batch)
        on_progress(done)
