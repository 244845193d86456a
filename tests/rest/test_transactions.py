"""The table of batches and transactions, carried out by a whole server on both stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.services import Services, Writing
from fhir_facade.rest.surface import FhirLane
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.records import Store
from tests.bundles.case_files import BASE, Case, cases
from tests.house import driven, sent_by

JSON = {"Content-Type": "application/fhir+json"}
CASES = cases()
LIMITS = {"transaction": 12, "batch": 14}


@pytest.fixture(scope="module")
def store(new_place: Callable[[], Location], mapping_set: MappingSet) -> Iterator[Store]:
    opened = open_store(new_place(), mapping_set.kinds, mapping_set.search.columns)
    yield opened
    opened.close()


@pytest.fixture
def lane(store: Store, mapping_set: MappingSet) -> Iterator[FhirLane]:
    """A lane over a store that is empty before and after."""
    services = Services(
        mapping_set, store, BASE, PageTokens(b"secret"), "1", writing=Writing(store, most_entries=LIMITS)
    )
    yield FhirLane(services)
    with store._connections.writing() as connection:
        for table in reversed(store.schema.metadata.sorted_tables):
            if table.name != store.schema.counters.name:
                connection.execute(f"DELETE FROM {table.name}")
        assert store._connections.commit(connection)


def post(lane: FhirLane, bundle: Any, **headers: str) -> tuple[int, Any]:
    given = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    status, _, body = sent_by(lane, "/fhir", given, "POST", orjson.dumps(bundle))
    return status, orjson.loads(body)


def stored(lane: FhirLane, resource: dict[str, Any]) -> None:
    path = f"/fhir/{resource['resourceType']}"
    status, _, body = sent_by(lane, path, JSON, "POST", orjson.dumps(resource))
    assert status == 201, body


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_cases(lane: FhirLane, store: Store, case: Case) -> None:
    for resource in case.before:
        stored(lane, resource)
    before = store.digest(history=True)
    status, answer = post(lane, case.bundle)
    wanted = case.http
    assert status == wanted["status"], answer
    if "entries" in wanted:
        statuses = [int(each["response"]["status"].split()[0]) for each in answer.get("entry", [])]
        assert statuses == wanted["entries"], answer
        assert answer["type"] == f"{case.bundle['type']}-response"
    for place in wanted.get("stored", ()):
        assert driven(lane, f"/fhir/{place}")[0] == 200, place
    for place in wanted.get("gone", ()):
        assert driven(lane, f"/fhir/{place}")[0] in (404, 410), place
    if "issues" in wanted:
        found = [at for issue in answer["issue"] for at in issue.get("expression", issue.get("location", ()))]
        assert sorted(found) == sorted(wanted["issues"]), answer
    if wanted.get("unchanged") or status >= 400:
        assert store.digest(history=True) == before
    for place in wanted.get("stored", ()):  # references lead to what is there
        for inner in literal(driven(lane, f"/fhir/{place}")[1]):
            assert not inner.startswith("urn:uuid:"), (place, inner)


def literal(value: Any) -> Iterator[str]:
    """Every `reference` of a resource."""
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for inner in value.values():
            yield from literal(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from literal(inner)


def test_there_are_enough_cases() -> None:
    assert sum(case.bundle.get("type") == "transaction" for case in CASES if isinstance(case.bundle, dict)) >= 80
