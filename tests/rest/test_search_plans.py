"""How SQLite carries out chained searches: by indexes, and no table is read whole that need not be."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fhir_facade.contracts import Query
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest.parameters import parse
from fhir_facade.store.location import Location
from fhir_facade.store.postgres import PostgresStore
from fhir_facade.store.records import SqliteStore
from tests.postgres_server import Server


@pytest.fixture
def new_postgres(mapping_set: MappingSet, postgres: Server) -> Iterator[PostgresStore]:
    """An empty store: what is left out of the plans is said by the tables alone."""
    store = PostgresStore.open(Location(postgres.fresh()), mapping_set.kinds, mapping_set.search.columns)
    yield store
    store.close()


WHOLE = re.compile(r"SCAN (\w+?)(?:_\d+)?(?: |$)").match
"""A step of a plan that reads all of a table; the number is of its alias."""


def plans(mapping_set: MappingSet, database: Path, query: str) -> list[list[str]]:
    """The steps of each statement of a search, but for those that SQLite ends before the first row."""
    resource_type, _, rest = query.partition("?")
    pairs = [(name, value) for name, _, value in (part.partition("=") for part in rest.split("&"))]
    search = mapping_set.search
    asked = parse(search, resource_type, pairs, base="http://x", lenient=False)
    store = SqliteStore.open(database, mapping_set.kinds, search.columns, read_only=True)
    connection = sqlite3.connect(database)
    out = []
    for number, source in enumerate(search.sources(resource_type)):
        for statement in store._planner.page(Query(resource_type, tuple(asked.clauses)), search, number, source):
            text, values = store._planner.statement(statement)
            if "WHERE 0 = 1 ORDER BY" not in " ".join(text.split()):
                out.append([row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)])
    store.close()
    connection.close()
    return out


def read_whole(plan: list[str]) -> list[str]:
    return [found[1] for step in plan if (found := WHOLE(step))]


FEW_MATCH = [
    "Encounter?subject.name=hansen",
    "Encounter?subject:Patient.identifier=12345678",
    "Encounter?subject:Patient.birthdate=1985-03-15",
    "Encounter?subject.general-practitioner.name=berg",
    "Encounter?subject.general-practitioner=Practitioner/1",
    "Encounter?location.name=a",
    "Encounter?diagnosis.code=I10",
    "Encounter?episode-of-care.organization.name=a",
    "Encounter?participant.identifier=1",
    "Encounter?subject._has:Condition:patient:code=I10",
    "Condition?encounter:Encounter.service-provider.name=a",
    "Condition?encounter.service-provider.identifier=1",
    "Procedure?performer.name=a",
    "Observation?encounter.location._id=a",
    "Patient?general-practitioner.name=berg",
    "Patient?_has:Condition:patient:code=I10",
    "Patient?_has:Condition:patient:recorded-date=2024-01-31",
    "Patient?_has:Encounter:subject:service-provider=Organization/1",
    "Patient?_has:Encounter:patient:_has:Condition:encounter:code=I10",
    "Practitioner?_has:Patient:general-practitioner:name=h",
    "Practitioner?_has:Encounter:participant:_id=1",
    "Organization?_has:Encounter:service-provider:subject.name=h",
]


@pytest.mark.parametrize("query", FEW_MATCH)
def test_a_search_that_few_match_reads_no_table_whole(mapping_set: MappingSet, database: Path, query: str) -> None:
    found = plans(mapping_set, database, query)
    assert found
    for plan in found:
        assert read_whole(plan) == [], plan


@pytest.mark.parametrize(
    ("query", "table"),
    [
        ("Encounter?subject.gender=male", "opphold"),
        ("Encounter?subject.name:missing=true", "opphold"),
        ("Encounter?subject.birthdate=ge1950", "opphold"),
        ("Observation?encounter.class=IMP", "maling"),
        ("Procedure?based-on.code=1", "tvangstiltak"),
        ("Patient?_has:Encounter:subject:class=IMP", "pasient"),
        ("Patient?_has:Condition:patient:code:not=I10", "pasient"),
        ("Organization?_has:Encounter:service-provider:class=IMP", "enhet"),
        ("Practitioner?_has:Encounter:participant:class=IMP", "behandler"),
        ("Encounter?subject.name:contains=ans", "pasient"),
    ],
)
def test_a_search_that_many_match_reads_one_table_in_order(
    mapping_set: MappingSet, database: Path, query: str, table: str
) -> None:
    """The type that is searched, until the page is full; or, for a part of a string, the one that holds it."""
    found = plans(mapping_set, database, query)
    assert found
    assert [read_whole(plan) for plan in found] == [[table]]


def test_a_search_by_code_and_reference_goes_by_the_reference(mapping_set: MappingSet, database: Path) -> None:
    for plan in plans(mapping_set, database, "Condition?code=I10&patient=Patient/1"):
        assert "_to_pasient=?" in plan[0], plan


BY_OTHERS = re.compile(r"->  (?:Bitmap Heap|CTE|Subquery|Function) Scan ").match
"""Steps of PostgreSQL that read what other steps have found."""


def without_bounds(plan: Sequence[str]) -> list[str]:
    """The steps of a plan of PostgreSQL that read a table or an index from end to end."""
    steps: list[list[str]] = []
    for line in map(str.strip, plan):
        if line.startswith("->") or not steps:
            steps.append([])
        steps[-1].append(line)
    reading = [step for step in steps if " Scan " in step[0] and not BY_OTHERS(step[0])]
    assert reading or any("One-Time Filter: false" in line for line in plan), plan
    return [step[0] for step in reading if not any(line.startswith("Index Cond: ") for line in step)]


def test_postgres_reads_nothing_whole_where_few_match(mapping_set: MappingSet, new_postgres: PostgresStore) -> None:
    """It takes an index wherever there is one that leads there: reading a table whole is made dear.

    Procedure?performer.name= seeks by several columns and lists: there is no index for alternatives of subqueries.
    """
    search, wrong = mapping_set.search, []
    for query in FEW_MATCH:
        resource_type, _, rest = query.partition("?")
        pairs = [(name, value) for name, _, value in (part.partition("=") for part in rest.split("&"))]
        asked = parse(search, resource_type, pairs, base="http://x", lenient=False)
        planner = new_postgres._planner
        with new_postgres._connections.snapshot() as connection:
            connection.execute("SET LOCAL enable_seqscan = off")
            for number, source in enumerate(search.sources(resource_type)):
                for select in planner.page(Query(resource_type, tuple(asked.clauses)), search, number, source):
                    text, _ = planner.statement(select)
                    plan = [row[0] for row in connection.execute(f"EXPLAIN (GENERIC_PLAN) {text}")]
                    wrong += [(query, step) for step in without_bounds(plan)]
    by_name = [step for query, step in wrong if query == "Procedure?performer.name=a"]
    assert len(by_name) == 1 and " on prosedyre" in by_name[0]
    assert len(wrong) == 1, wrong
