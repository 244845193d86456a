"""Changes that wait at the same time are committed together, and each has its own fate all the same."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest.answer import Answer
from fhir_facade.rest.change_queue import ChangeQueue
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.services import Services, Writing
from fhir_facade.rest.surface import FhirLane
from fhir_facade.rest.threads import Threads
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.records import Store
from tests.bundles.case_files import BASE, id_of, resource
from tests.house import driven
from tests.rest.test_all_or_nothing import Failing

LONG = 60  # seconds until a test gives up
PATIENT = "/fhir/Patient"
Asked = tuple[str, str, Any, dict[str, str]]


@pytest.fixture
def store(place: Location, mapping_set: MappingSet) -> Iterator[Store]:
    opened = open_store(place, mapping_set.kinds, mapping_set.search.columns)
    yield opened
    opened.close()


class Commits:
    """The commits of a store, as they happen; each may be made to fail."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.refused = 0, 0
        self.seen: Callable[[], object] = lambda: None
        real = store._connections.commit

        def commit(connection: Any) -> bool:
            self.count += 1
            self.seen()
            if self.count <= self.refused:
                return False
            done: bool = real(connection)
            return done

        monkeypatch.setattr(store._connections, "commit", commit)


@pytest.fixture
def commits(store: Store, monkeypatch: pytest.MonkeyPatch) -> Commits:
    return Commits(store, monkeypatch)


@pytest.fixture
def services(store: Store, mapping_set: MappingSet) -> Services:
    return Services(mapping_set, store, BASE, PageTokens(b"secret"), "1", writing=Writing(store))


@pytest.fixture
def at_once(services: Services, store: Store) -> Callable[..., list[httpx.Response]]:
    """Sends requests that all wait for the store before the first of them is carried out; answers in their order."""

    async def send(asked: Sequence[Asked], told: list[int]) -> list[httpx.Response]:
        threads = Threads(1, remote=store.remote)
        lane, queue, go = FhirLane(services, threads=threads), threads._changes, threading.Event()

        def hold() -> Answer:
            assert go.wait(LONG)
            return Answer(200, b"")

        async def one(client: httpx.AsyncClient, number: int, each: Asked) -> httpx.Response:
            method, path, body, headers = each
            answer = await client.request(method, path, json=body, headers=headers)
            told.append(number)
            return answer

        held = asyncio.create_task(queue.run(hold, None))
        transport = httpx.ASGITransport(app=lane)
        async with httpx.AsyncClient(transport=transport, base_url="http://facade.test") as client:
            tasks = []
            for number, each in enumerate(asked):
                tasks.append(asyncio.create_task(one(client, number, each)))
                while len(queue._row) <= number:
                    await asyncio.sleep(0.001)
            go.set()
            await held
            answers = await asyncio.wait_for(asyncio.gather(*tasks), LONG)
        lane.close()
        return answers

    return lambda asked, told=None: asyncio.run(send(asked, [] if told is None else told))


def create(name: str, **more: Any) -> Asked:
    return "POST", PATIENT, {**resource(name), **more}, {}


def place_of(number: int) -> str:
    return f"{PATIENT}/{id_of('patient', str(number))}"


def statuses(answers: Sequence[httpx.Response]) -> list[int]:
    return [answer.status_code for answer in answers]


def test_changes_that_wait_together_are_committed_together(
    at_once: Callable[..., list[httpx.Response]], store: Store, commits: Commits
) -> None:
    told: list[int] = []
    early: list[list[int]] = []
    commits.seen = lambda: early.append(list(told))
    asked = [
        create("patient 1"),
        create("patient 2", gender="no such code"),
        create("patient 1"),
        ("POST", PATIENT, resource("patient 3"), {"Prefer": "return=minimal"}),
        ("POST", PATIENT + "?_dryrun=true", resource("patient 4"), {}),
        create("patient 5"),
    ]
    assert statuses(at_once(asked, told)) == [201, 422, 409, 201, 200, 201]
    assert (commits.count, early) == (1, [[]])  # nobody was told before it was stored
    assert store.count("pasient") == 3


def test_each_has_a_version_of_its_own(at_once: Callable[..., list[httpx.Response]], commits: Commits) -> None:
    [first] = at_once([create("patient 1")])
    whole, tag = first.json(), {"If-Match": first.headers["etag"]}
    changed = [{**whole, "gender": gender} for gender in ("other", "unknown", "other")]
    asked = [
        ("PUT", place_of(1), changed[0], tag),
        ("PUT", place_of(1), changed[1], tag),
        ("PUT", place_of(1), changed[2] | {"gender": "unknown"}, {}),
        ("DELETE", place_of(1), None, {}),
        ("PUT", place_of(1), changed[2], {}),
    ]
    before = commits.count
    answers = at_once(asked)
    assert statuses(answers) == [200, 412, 200, 204, 201]
    assert commits.count == before + 1
    tags = [answers[n].headers["etag"] for n in (0, 2, 3, 4)]
    assert [int(tag.removeprefix('W/"').split("-")[0]) for tag in tags] == [2, 3, 4, 5]


def test_what_cannot_be_committed_together_is_committed_by_itself(
    at_once: Callable[..., list[httpx.Response]], store: Store, commits: Commits
) -> None:
    commits.refused = 1
    asked = [create("patient 1"), create("patient 1"), create("patient 2", gender="none"), create("patient 3")]
    assert statuses(at_once(asked)) == [201, 409, 422, 201]
    assert (commits.count, store.count("pasient")) == (3, 2)


def test_a_commit_of_unknown_end_is_told_to_each(
    at_once: Callable[..., list[httpx.Response]], store: Store, commits: Commits
) -> None:
    def fail() -> None:
        raise OSError("the disk is gone")

    commits.seen = fail
    answers = at_once([create("patient 1"), create("patient 2", gender="none"), create("patient 3")])
    assert statuses(answers) == [500, 500, 500]
    assert {answer.json()["resourceType"] for answer in answers} == {"OperationOutcome"}
    assert store.count("pasient") == 0


def test_a_failure_at_any_statement_keeps_what_was_told(
    at_once: Callable[..., list[httpx.Response]], store: Store, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, kind, reading = store._connections.writing, store.schema.shapes["pasient"].kind, FhirLane(services)
    seen = set()
    for number in range(1, 10_000):
        failing: list[Failing] = []

        @contextmanager
        def writing(at: int = number, made: list[Failing] = failing) -> Iterator[Any]:
            with began() as connection:
                made.append(Failing(connection, at))
                yield made[-1]

        monkeypatch.setattr(store._connections, "writing", writing)
        answers = at_once([create("patient 1"), create("patient 2"), create("patient 3")])
        monkeypatch.setattr(store._connections, "writing", began)
        if failing[0].left > 0:
            break
        stored = [answer.status_code == 201 for answer in answers]
        seen.add(tuple(stored))
        assert {answer.status_code for answer in answers} <= {201, 500}
        assert [driven(reading, place_of(each))[0] == 200 for each in (1, 2, 3)] == stored
        with store.transaction() as writer:
            for each in list(store.scan("pasient")):
                writer.delete(kind, each["$key"])
    assert statuses(answers) == [201, 201, 201]
    assert len(seen) > 3  # one of them alone, and all of them


def test_what_still_waits_at_the_end_is_carried_out_and_told() -> None:
    done: list[int] = []

    async def story() -> tuple[list[int], int]:
        queue, go = ChangeQueue(10), threading.Event()

        def change(number: int) -> Answer:
            assert go.wait(LONG)
            done.append(number)
            return Answer(200 + number, b"")

        tasks = [asyncio.create_task(queue.run(lambda each=number: change(each), None)) for number in range(5)]
        while len(queue._row) < 4:
            await asyncio.sleep(0.001)
        go.set()
        queue.close()
        assert done == [0, 1, 2, 3, 4]
        answers = await asyncio.wait_for(asyncio.gather(*tasks), LONG)
        return [answer.status for answer in answers], queue._inside

    assert asyncio.run(story()) == ([200, 201, 202, 203, 204], 0)
