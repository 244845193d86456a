"""A page is found by one range of an index, at any depth and in either direction: read from the plan of the database."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from fhir_facade.contracts import Clause, Explained, Query, Sort
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.outcome import Refused
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into

NOW = "2026-01-02T03:04:05.678Z"


@pytest.fixture(scope="module")
def store(mapping_set: MappingSet) -> Iterator[SqliteStore]:
    store = SqliteStore.open(":memory:", mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, 60, 5, NOW)
    yield store
    store.close()


def places(store: SqliteStore, mapping_set: MappingSet, query: Query) -> list[Query]:
    """The query from the beginning, from a place in the middle, and the same backwards."""
    matches = store.find(replace(query, count=1000), mapping_set.search).matches
    middle = matches[len(matches) // 2].position if matches else ()
    return [replace(query, after=after, backward=backward) for after in {(), middle} for backward in (False, True)]


def faults(explained: list[Explained], deep: bool) -> list[str]:
    """Plans that sort, or that read rows before the place where the page begins."""
    found = []
    for each in explained:
        first = each.plan[0]
        in_place = first.startswith("SEARCH") or not deep or " WHERE 1 = 1 ORDER BY" in each.sql  # all rows lie beyond
        if "TEMP B-TREE" in str(each.plan) or "INDEX" not in first or not in_place:
            found.append(f"{each.mapping}: {each.sql}: {each.plan}")
    return found


def test_every_sort_key_is_read_from_an_index(mapping_set: MappingSet, store: SqliteStore) -> None:
    wrong, looked = [], 0
    for resource_type in sorted(mapping_set.by_type):
        for code in ("", *mapping_set.search.sortable(resource_type)):
            for descending in (False, True):
                sort = (Sort(code, descending),) if code else ()
                for query in places(store, mapping_set, Query(resource_type, (), sort, 5)):
                    explained = store.explain(query, mapping_set.search)
                    looked += len(explained)
                    wrong += faults(explained, deep=bool(query.after))
    assert wrong == []
    assert looked > 300


@pytest.mark.parametrize(
    "query",
    [
        Query("Encounter", (Clause("date", ("2024",)),), (Sort("date"),), 5),
        Query("Encounter", (Clause("date", ("ge2024",)),), (Sort("date", True),), 5),
        Query("Encounter", (Clause("_lastUpdated", ("gt2020",)),), (Sort("_lastUpdated"),), 5),
        Query("Encounter", (Clause("status", ("finished",)),), (Sort("date", True),), 5),
    ],
)
def test_a_restriction_leaves_the_order_to_its_index(mapping_set: MappingSet, store: SqliteStore, query: Query) -> None:
    for each in places(store, mapping_set, query):
        explained = store.explain(each, mapping_set.search)
        assert faults(explained, deep=bool(each.after)) == []


@pytest.mark.parametrize(
    ("resource_type", "code", "value", "column"),
    [
        ("Encounter", "patient", "Patient/1", "_to_pasient"),
        ("Encounter", "identifier", "1", "episode_id"),
        ("Patient", "family", "nor", "_folded_"),
        ("Patient", "birthdate", "1985-03-15", "_low_"),
    ],
)
def test_what_names_few_records_is_looked_up(
    mapping_set: MappingSet, store: SqliteStore, resource_type: str, code: str, value: str, column: str
) -> None:
    query = Query(resource_type, (Clause(code, (value,)),))
    (explained,) = store.explain(query, mapping_set.search)
    used = [line for line in explained.plan if line.startswith("SEARCH") and column in line]
    assert used, explained.plan


def steps(store: SqliteStore, mapping_set: MappingSet, query: Query) -> int:
    """How many instructions the database runs to find a page."""
    counted = [0]

    def count() -> None:
        counted[0] += 1

    with store._connections.snapshot() as connection:
        connection.set_progress_handler(count, 1)
        store.find(query, mapping_set.search)
        connection.set_progress_handler(None, 1)
    return counted[0]


@pytest.mark.parametrize("restriction", [(), (Clause("date", ("sa1950",)),), (Clause("_lastUpdated", ("gt2020",)),)])
@pytest.mark.parametrize("code", ["date", "_lastUpdated", "_id"])
@pytest.mark.parametrize("descending", [False, True])
def test_the_last_page_costs_what_the_first_does(
    mapping_set: MappingSet, store: SqliteStore, restriction: tuple[Clause, ...], code: str, descending: bool
) -> None:
    query = Query("Encounter", restriction, (Sort(code, descending),), 2)
    matches = store.find(replace(query, count=1000), mapping_set.search).matches
    assert len(matches) > 80
    deep = replace(query, after=matches[-4].position)
    assert len(store.find(deep, mapping_set.search).matches) == 2
    assert steps(store, mapping_set, deep) < 2 * steps(store, mapping_set, query)


WHOLE_TABLE = re.compile(r"SCAN (?!json_each)(\w+)(?!.*VIRTUAL TABLE)")


@contextmanager
def heard(connection: sqlite3.Connection) -> Iterator[set[str]]:
    """All statements that a connection runs meanwhile, with their values."""
    said: set[str] = set()
    connection.set_trace_callback(said.add)
    yield said
    connection.set_trace_callback(None)


def read_whole(connection: sqlite3.Connection, said: set[str]) -> list[tuple[str, str]]:
    """The statements that go through a whole table, as the database tells."""
    asked = [text for text in sorted(said) if text.startswith(("SELECT", "UPDATE", "DELETE"))]
    asked = [text for text in asked if not text.startswith("SELECT EXISTS")]  # whether there is any: one row is read
    plans = {text: [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")] for text in asked}
    assert plans
    return [(step, text) for text, plan in plans.items() for step in plan if WHOLE_TABLE.match(step)]


def test_records_that_are_named_are_read_by_indexes(mapping_set: MappingSet, store: SqliteStore) -> None:
    with store._connections.snapshot() as connection, heard(connection) as said:
        for name, kind in mapping_set.kinds.by_name.items():
            keys = [record["$key"] for record in store._reader.page(connection, name, "", 3)]
            said.difference_update({text for text in said if " LIMIT " in text})  # that page is not what is tested
            assert len(store.get_many(name, keys)) == len(keys)
            for link in kind.links:
                store.related(name, link, ["1", "2", "3"])
    assert read_whole(connection, said) == []


def test_records_that_are_named_are_written_by_indexes(mapping_set: MappingSet, tmp_path: Path) -> None:
    store = SqliteStore.open(str(tmp_path / "written.db"), mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, 20, 5, NOW)
    outcomes: list[str] = []
    with store.transaction() as writer, heard(writer._connection) as said:
        for name, kind in mapping_set.kinds.by_name.items():
            keys = [record["$key"] for record in store.scan(name)][:3]
            merged = [record for key in keys if (record := writer.get(kind, key))]
            for record in merged:  # the last field of its own that has a value goes
                own = [each for each in kind.fields if record[each] is not None and each not in kind.key]
                record[[each for each in own if each not in (kind.version, kind.changed)][-1]] = None
            outcomes += writer.merge(kind, merged, NOW)
            writer.existing(kind, keys)
        for name, kind in mapping_set.kinds.by_name.items():
            for last in [record["$key"] for record in store.scan(name)][-1:]:
                with suppress(Refused):  # others point at it: that was asked all the same
                    writer.delete(kind, last, now=NOW)
    assert set(outcomes) == {"updated"}
    assert len(outcomes) > 2 * len(mapping_set.kinds.by_name)
    assert read_whole(writer._connection, said) == []
    store.close()
