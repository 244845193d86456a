"""What changes over HTTP put into the outbox, and that it is there with its change or not at all; on both stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.outcome import Refused
from fhir_facade.resources import data_root
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.services import Services, Writing
from fhir_facade.rest.surface import FhirLane
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.outbox import Outbox
from fhir_facade.store.outbox_tables import Entry
from fhir_facade.store.records import Store
from tests.bundles.case_files import BASE, id_of, resource
from tests.house import sent_by
from tests.outbox.changes import empty
from tests.postgres_server import Server
from tests.rest.test_all_or_nothing import Failing

JSON = {"Content-Type": "application/fhir+json"}
PATIENT = f"Patient/{id_of('patient', '1')}"


@pytest.fixture(scope="module")
def shared(new_place: Callable[[], Location], mapping_set: MappingSet) -> Iterator[Store]:
    """A store that each test empties; to make one takes a second."""
    opened = open_store(new_place(), mapping_set.kinds, mapping_set.search.columns)
    yield opened
    opened.close()


@pytest.fixture
def store(shared: Store) -> Iterator[Store]:
    yield shared
    with shared._connections.writing() as connection:
        for table in reversed(shared.schema.metadata.sorted_tables):
            if table.name != shared.schema.counters.name:
                connection.execute(f"DELETE FROM {table.name}")
        assert shared._connections.commit(connection)


@pytest.fixture
def outbox(store: Store) -> Outbox:
    return empty(store)


@pytest.fixture
def lane(store: Store, outbox: Outbox, mapping_set: MappingSet) -> FhirLane:
    writing = Writing(store, outbox=outbox)
    return FhirLane(Services(mapping_set, store, BASE, PageTokens(b"secret"), "1", writing=writing))


def ask(lane: FhirLane, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    given = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    content = b"" if body is None else orjson.dumps(body)
    status, _, said = sent_by(lane, f"/fhir/{path}".rstrip("/"), given, method, content)
    return status, orjson.loads(said) if said else None


def waiting(outbox: Outbox) -> list[Entry]:
    return [outbox.find(each.change) for each in outbox.listed("waiting", 1000)]


def told(outbox: Outbox) -> list[tuple[str, str, str, int]]:
    return [(each.act, each.place, each.queue, each.version) for each in waiting(outbox)]


def entries(*requests: tuple[str, str, Any], kind: str = "transaction") -> dict[str, Any]:
    listed = []
    for number, (method, url, body) in enumerate(requests):
        each: dict[str, Any] = {"request": {"method": method, "url": url}}
        if body is not None:
            each |= {"resource": body, "fullUrl": f"urn:uuid:00000000-0000-4000-8000-{number:012}"}
        listed.append(each)
    return {"resourceType": "Bundle", "type": kind, "entry": listed}


def test_each_change_is_told_as_it_was_stored(lane: FhirLane, outbox: Outbox) -> None:
    status, made = ask(lane, "POST", "Patient", resource("patient 1"))
    assert status == 201
    renamed = {**made, "name": [{"family": "Ny"}]}
    status, changed = ask(lane, "PUT", PATIENT, renamed)
    assert status == 200
    assert ask(lane, "DELETE", PATIENT)[0] == 204
    assert told(outbox) == [
        ("create", PATIENT, PATIENT, 1),
        ("update", PATIENT, PATIENT, 2),
        ("delete", PATIENT, PATIENT, 3),
    ]
    first, second, third = waiting(outbox)
    assert orjson.loads(first.content or "") == made
    assert orjson.loads(second.content or "") == changed
    assert third.content is None
    assert len({first.change, second.change, third.change}) == 3


def test_what_changes_nothing_is_not_told(lane: FhirLane, outbox: Outbox) -> None:
    made = ask(lane, "POST", "Patient", resource("patient 1"), idempotency_key="a")[1]
    before = told(outbox)
    assert ask(lane, "POST", "Patient", resource("patient 1"), idempotency_key="a")[0] == 201  # the same answer again
    assert ask(lane, "PUT", PATIENT, made)[0] == 200
    assert ask(lane, "POST", "Patient", resource("patient 1"))[0] == 409
    assert ask(lane, "PUT", f"{PATIENT}?_dryrun=true", {**made, "name": [{"family": "Ny"}]})[0] == 200
    assert ask(lane, "PUT", PATIENT, {**made, "gender": "none"})[0] == 422
    assert ask(lane, "DELETE", f"Patient/{id_of('patient', '2')}")[0] == 204
    bundle = entries(("POST", "Patient", resource("patient 2")), ("POST", "Patient", {"resourceType": "Patient"}))
    assert ask(lane, "POST", "", bundle)[0] >= 400
    assert told(outbox) == before == [("create", PATIENT, PATIENT, 1)]


def test_a_bundle_is_told_change_by_change_in_the_order_of_its_references(lane: FhirLane, outbox: Outbox) -> None:
    patient, episode = resource("patient 1"), resource("episode 1")
    episode = {**episode, "patient": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"}}
    bundle = entries(("POST", "EpisodeOfCare", episode), ("POST", "Patient", patient))
    assert ask(lane, "POST", "", bundle)[0] == 200
    stay = f"EpisodeOfCare/{id_of('episode', '1')}"
    assert told(outbox) == [("create", PATIENT, PATIENT, 1), ("create", stay, PATIENT, 1)]
    batch = entries(("DELETE", stay, None), ("POST", "Patient", {"resourceType": "Patient"}), kind="batch")
    assert ask(lane, "POST", "", batch)[0] == 200
    assert told(outbox)[2:] == [("delete", stay, PATIENT, 2)]


def test_what_goes_with_a_deletion_is_told_before_it(lane: FhirLane, outbox: Outbox) -> None:
    for name in ("patient 1", "episode 1", "referral 1", "encounter 1", "condition 1"):
        status, said = ask(lane, "POST", resource(name)["resourceType"], resource(name))
        assert status == 201, said
    before = len(told(outbox))
    stay = f"Encounter/{id_of('encounter', '1')}"
    assert ask(lane, "DELETE", stay)[0] == 409
    assert len(told(outbox)) == before
    assert ask(lane, "DELETE", stay, x_cascade="delete")[0] == 200
    found = told(outbox)[before:]
    assert [each[:3] for each in found] == [
        ("delete", f"Condition/{id_of('condition', '1')}", PATIENT),
        ("delete", stay, PATIENT),
    ]


def test_another_facade_that_is_told_has_the_same_resources(
    lane: FhirLane, outbox: Outbox, mapping_set: MappingSet
) -> None:
    names = ["patient 1", "episode 1", "referral 1", "encounter 1", "condition 1", "patient 2"]
    made = [ask(lane, "POST", resource(name)["resourceType"], resource(name))[1] for name in names]
    assert ask(lane, "PUT", PATIENT, {**made[0], "name": [{"family": "Ny"}]})[0] == 200
    assert ask(lane, "DELETE", f"Encounter/{made[3]['id']}", x_cascade="delete")[0] == 200
    other = open_store(":memory:", mapping_set.kinds, mapping_set.search.columns)
    second = FhirLane(Services(mapping_set, other, BASE, PageTokens(b"secret"), "1", writing=Writing(other)))
    for entry in waiting(outbox):
        body = None if entry.content is None else orjson.loads(entry.content)
        status, said = ask(second, "DELETE" if body is None else "PUT", entry.place, body)
        assert status in (200, 201, 204), said
    for each in made:
        place = f"{each['resourceType']}/{each['id']}"
        (here, mine), (there, its) = ask(lane, "GET", place), ask(second, "GET", place)
        assert here == there == (410 if each in made[3:5] else 200)
        if here == 200:
            assert {**mine, "meta": None} == {**its, "meta": None}
    other.close()


def test_what_has_no_patient_keeps_its_own_order(lane: FhirLane, outbox: Outbox) -> None:
    examples = data_root("mappings") / "behandler.practitioner.examples"
    example = orjson.loads(next(iter(sorted(examples.glob("*.fhir.json")))).read_bytes())
    status, made = ask(lane, "POST", "Practitioner", {name: example[name] for name in example if name != "meta"})
    assert status == 201, made
    place = f"Practitioner/{made['id']}"
    assert told(outbox) == [("create", place, place, 1)]


def test_every_mapping_of_a_patient_keeps_to_the_patients_order(mapping_set: MappingSet, synthetic: Any) -> None:
    from fhir_facade.writes.outgoing import queue_of

    own = ("behandler", "enhet")
    for mapping in mapping_set.mappings.values():
        for record in synthetic.get(mapping.kind.name, ())[:20]:
            queue = queue_of(mapping_set, mapping, record)
            whose = mapping.resource_type if mapping.kind.name in own else "Patient"
            assert queue.partition("/")[0] == whose


def test_a_failure_at_any_statement_leaves_nothing_in_the_outbox(
    lane: FhirLane, store: Store, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = store._connections.writing
    for number in range(1, 1000):
        failing: list[Failing] = []

        @contextmanager
        def writing(at: int = number, made: list[Failing] = failing) -> Iterator[Any]:
            with began() as connection:
                made.append(Failing(connection, at))
                yield made[-1]

        monkeypatch.setattr(store._connections, "writing", writing)
        status, _ = ask(lane, "POST", "Patient", resource("patient 1"))
        monkeypatch.setattr(store._connections, "writing", began)
        if failing[0].left > 0:
            break
        assert (status, told(outbox)) == (500, [])
    assert (status, len(told(outbox))) == (201, 1)


def test_without_an_outbox_there_is_no_table_until_it_is_made_and_the_store_is_the_same(
    place: Location, mapping_set: MappingSet
) -> None:
    store = open_store(place, mapping_set.kinds, mapping_set.search.columns)
    lane = FhirLane(Services(mapping_set, store, BASE, PageTokens(b"secret"), "1", writing=Writing(store)))
    assert ask(lane, "POST", "Patient", resource("patient 1"))[0] == 201
    assert not Outbox(store).is_there()
    store.close()
    for turn in range(2):
        store = open_store(place, mapping_set.kinds, mapping_set.search.columns)
        assert Outbox(store).is_there() == bool(turn)
        Outbox(store).make()
        Outbox(store).make()
        store.close()


def test_who_may_make_no_tables_is_told_so(postgres: Server, mapping_set: MappingSet) -> None:
    place = postgres.fresh()
    open_store(place, mapping_set.kinds, mapping_set.search.columns).close()
    with postgres.connect(place.split("?")[0].rpartition("/")[2]) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
        connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest")
    store = open_store(place.replace("postgres@", "guest@"), mapping_set.kinds, mapping_set.search.columns)
    with pytest.raises(Refused, match="store-forbids"):
        Outbox(store).make()
    store.close()
