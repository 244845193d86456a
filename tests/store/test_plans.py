"""A page is found by one range of an index, at any depth and in either direction: read from the plan of the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fhir_facade.contracts import Clause, Explained, Query, Sort
from fhir_facade.mapping.mapping_set import MappingSet
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
