"""A transaction that fails at any statement leaves nothing; one that is sent again under its name is done once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
from tests.bundles.case_files import BASE, id_of, resource
from tests.house import driven, sent_by

JSON = {"Content-Type": "application/fhir+json"}
ENTRIES = 20


class Broken(Exception):
    """What a database may do at any moment."""


class Failing:
    """A connection that fails at the n-th statement."""

    def __init__(self, connection: Any, at: int) -> None:
        self.connection, self.left = connection, at

    def _count(self) -> None:
        self.left -= 1
        if not self.left:
            raise Broken

    def execute(self, *given: Any) -> Any:
        self._count()
        return self.connection.execute(*given)

    def executemany(self, *given: Any) -> Any:
        self._count()
        return self.connection.executemany(*given)

    def __getattr__(self, name: str) -> Any:
        own = getattr(self.connection, name)
        if not callable(own):
            return own

        def counted(*given: Any) -> Any:
            self._count()
            return own(*given)

        return counted


@pytest.fixture
def store(place: Location, mapping_set: MappingSet) -> Iterator[Store]:
    opened = open_store(place, mapping_set.kinds, mapping_set.search.columns)
    yield opened
    opened.close()


@pytest.fixture
def lane(store: Store, mapping_set: MappingSet) -> FhirLane:
    return FhirLane(Services(mapping_set, store, BASE, PageTokens(b"secret"), "1", writing=Writing(store)))


def bundle() -> dict[str, Any]:
    """Twenty entries: patients and their episodes, which refer to each other by what the Bundle calls them."""
    entries = []
    for number in range(1, ENTRIES // 2 + 1):
        name = f"urn:uuid:00000000-0000-4000-8000-{number:012}"
        episode = {**resource(f"episode {number}"), "patient": {"reference": name}}
        entries.append({"resource": episode, "request": {"method": "POST", "url": "EpisodeOfCare"}})
        entries.append(
            {
                "fullUrl": name,
                "resource": resource(f"patient {number}"),
                "request": {"method": "POST", "url": "Patient"},
            }
        )
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def visible(lane: FhirLane) -> int:
    names = [("Patient", "patient"), ("EpisodeOfCare", "episode")]
    places = [f"/fhir/{kind}/{id_of(name, str(n))}" for kind, name in names for n in range(1, ENTRIES // 2 + 1)]
    return sum(driven(lane, place)[0] == 200 for place in places)


def post(lane: FhirLane, body: Any, path: str = "/fhir", **headers: str) -> tuple[int, dict[str, str], Any]:
    given = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    status, answered, content = sent_by(lane, path, given, "POST", orjson.dumps(body))
    return status, answered, orjson.loads(content)


def test_a_failure_at_any_statement_leaves_nothing(
    lane: FhirLane, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, began = store.digest(history=True), store._connections.writing
    for number in range(1, 10_000):
        failing: list[Failing] = []

        @contextmanager
        def writing(at: int = number, made: list[Failing] = failing) -> Iterator[Any]:
            with began() as connection:
                made.append(Failing(connection, at))
                yield made[-1]

        monkeypatch.setattr(store._connections, "writing", writing)
        status, _, answer = post(lane, bundle())
        monkeypatch.setattr(store._connections, "writing", began)
        if failing[0].left > 0:  # it had fewer statements than that
            break
        assert (status, answer["resourceType"]) == (500, "OperationOutcome")
        assert visible(lane) == 0
        assert store.digest(history=True) == before
    assert number > 3 * ENTRIES
    assert (status, len(answer["entry"])) == (200, ENTRIES)
    assert visible(lane) == ENTRIES


def test_a_failure_of_any_entry_leaves_nothing(lane: FhirLane, store: Store) -> None:
    before = store.digest(history=True)
    for number in range(ENTRIES):
        faulty = bundle()
        faulty["entry"][number]["resource"]["status" if not number % 2 else "gender"] = "no such code"
        status, _, answer = post(lane, faulty)
        assert status == 422
        assert {each["expression"][0].split(".resource")[0] for each in answer["issue"]} == {f"Bundle.entry[{number}]"}
        assert store.digest(history=True) == before


def test_a_named_request_is_done_once(lane: FhirLane, store: Store) -> None:
    first = post(lane, bundle(), Idempotency_Key='"a-1"')
    before = store.digest(history=True)
    again = post(lane, bundle(), Idempotency_Key='"a-1"')
    assert (first[0], first[2]) == (again[0], again[2])
    assert "idempotency-replayed" not in first[1]
    assert again[1]["idempotency-replayed"] == "true"
    assert store.digest(history=True) == before
    other = post(lane, resource("patient 99"), "/fhir/Patient", Idempotency_Key='"a-1"')
    assert (other[0], other[2]["issue"][0]["details"]["coding"][0]["code"]) == (422, "idempotency-key-reused")


def test_a_named_creation_is_answered_again_with_its_place(lane: FhirLane) -> None:
    first = post(lane, resource("patient 1"), "/fhir/Patient", Idempotency_Key="b")
    again = post(lane, resource("patient 1"), "/fhir/Patient", Idempotency_Key="b")
    assert first[0] == again[0] == 201
    assert first[2] == again[2]
    for name in ("location", "etag", "last-modified"):
        assert first[1][name] == again[1][name]
    assert post(lane, resource("patient 1"), "/fhir/Patient", Idempotency_Key="c")[0] == 409


def test_a_refusal_is_not_kept(lane: FhirLane) -> None:
    episode = {**resource("episode 1"), "patient": {"reference": f"Patient/{id_of('patient', '1')}"}}
    assert post(lane, episode, "/fhir/EpisodeOfCare", Idempotency_Key="d")[0] == 422
    assert post(lane, resource("patient 1"), "/fhir/Patient")[0] == 201
    assert post(lane, episode, "/fhir/EpisodeOfCare", Idempotency_Key="d")[0] == 201


@pytest.mark.parametrize("name", ["", '""', "a b", "x" * 201, "å"])
def test_a_name_that_is_none_is_told(lane: FhirLane, store: Store, name: str) -> None:
    status, _, answer = post(lane, resource("patient 1"), "/fhir/Patient", Idempotency_Key=name)
    assert (status, answer["issue"][0]["details"]["coding"][0]["code"]) == (400, "header-invalid")
    assert store.count("pasient") == 0


def test_a_named_batch_is_answered_again(lane: FhirLane, store: Store) -> None:
    batch = {**bundle(), "type": "batch"}
    batch["entry"] = [each for each in batch["entry"] if each["request"]["url"] == "Patient"]
    first = post(lane, batch, Idempotency_Key="e")
    before = store.digest(history=True)
    again = post(lane, batch, Idempotency_Key="e")
    assert first[2] == again[2]
    assert {each["response"]["status"] for each in first[2]["entry"]} == {"201 Created"}
    assert store.digest(history=True) == before
