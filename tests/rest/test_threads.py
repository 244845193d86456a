"""What takes its time in the store keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_facade.contracts import Page
from fhir_facade.rest.surface import SURFACE, FhirLane
from fhir_facade.rest.threads import Threads
from fhir_facade.store import connections

LONG = 60  # seconds until a test gives up
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


def together(lane: FhirLane, work: Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=lane), base_url="http://facade.test") as client:
            await asyncio.wait_for(work(client), LONG)

    asyncio.run(run())


@pytest.fixture
def held(lane_over: Callable[[Path], FhirLane], database: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A lane whose store holds each search, or each read, until it is let go."""
    plain = lane_over(database)
    store: Any = plain.services.store
    begun, go, loop = threading.Event(), threading.Event(), threading.current_thread()

    def hold(name: str, *, remote: bool) -> FhirLane:
        real = getattr(store, name)

        def slowly(*given: Any) -> Any:
            begun.set()
            if threading.current_thread() is loop and name == "find":
                with store._connections.snapshot() as connection:
                    connection.execute(ENDLESS).fetchall()
            assert go.wait(LONG)
            return real(*given)

        monkeypatch.setattr(store, name, slowly)
        return FhirLane(plain.services, threads=Threads(2, remote=remote))

    hold.begun, hold.go = begun, go  # type: ignore[attr-defined]
    return hold


async def until(event: threading.Event) -> None:
    while not event.is_set():
        await asyncio.sleep(0.001)


def test_a_slow_search_lets_others_be_answered(held: Any, ids: list[str]) -> None:
    lane = held("find", remote=False)

    async def work(client: httpx.AsyncClient) -> None:
        slow = asyncio.create_task(client.get("/fhir/Encounter?_count=2"))
        await until(held.begun)
        assert (await client.get(f"/fhir/Encounter/{ids[0]}")).status_code == 200
        assert (await client.get("/fhir/metadata")).status_code == 200
        assert not slow.done()
        held.go.set()
        assert len((await slow).json()["entry"]) == 2

    together(lane, work)
    lane.close()


@pytest.mark.parametrize(
    ("remote", "brief", "threads"),
    [
        (False, 10**6, ["MainThread"]),  # quick: not handed over
        (False, 0, ["MainThread", "store_0"]),  # takes more than it may: begun again
        (True, 10**6, ["store_0"]),
    ],
)
def test_a_search_is_handed_over_when_it_takes_its_time(
    lane_over: Callable[[Path], FhirLane], database: Path, monkeypatch: pytest.MonkeyPatch,
    remote: bool, brief: int, threads: list[str],
) -> None:  # fmt: skip
    plain = lane_over(database)
    store: Any = plain.services.store
    real, asked = store.find, []

    def heard(*given: Any) -> Any:
        asked.append(threading.current_thread().name)
        return real(*given)

    monkeypatch.setattr(store, "find", heard)
    monkeypatch.setattr(connections, "BRIEF", brief)
    lane = FhirLane(plain.services, threads=Threads(2, remote=remote))

    async def work(client: httpx.AsyncClient) -> None:
        found = (await client.get("/fhir/Encounter?_sort=-date&_total=accurate")).json()
        assert len(found["entry"]) == found["total"] > 10

    together(lane, work)
    lane.close()
    assert asked == threads


def test_a_read_from_another_server_lets_others_be_answered(held: Any, ids: list[str]) -> None:
    lane = held("get", remote=True)

    async def work(client: httpx.AsyncClient) -> None:
        slow = asyncio.create_task(client.get(f"/fhir/Encounter/{ids[0]}"))
        await until(held.begun)
        assert (await client.get("/fhir/metadata")).status_code == 200
        assert not slow.done()
        held.go.set()
        assert (await slow).json()["id"] == ids[0]

    together(lane, work)
    lane.close()


def test_faults_in_a_thread_are_told_as_anywhere(
    lane_over: Callable[[Path], FhirLane], database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = FhirLane(lane_over(database).services, threads=Threads(1, remote=True))
    store: Any = lane.services.store

    async def work(client: httpx.AsyncClient) -> None:
        assert (await client.get("/fhir/Encounter?statsu=1")).status_code == 400
        assert (await client.get("/fhir/Encounter/nobody")).status_code == 404

        def broken(*given: Any) -> Page:
            raise ZeroDivisionError

        monkeypatch.setattr(store, "find", broken)
        answer = await client.get("/fhir/Encounter")
        assert (answer.status_code, answer.json()["resourceType"]) == (500, "OperationOutcome")

    together(lane, work)
    lane.close()


def test_every_row_that_asks_the_store_says_so() -> None:
    rows = [row for row in SURFACE if row.reads and not (row.template.startswith("/Measure") and not row.operation)]
    assert {row.code: row.reads for row in rows} == {
        "npr-check": "long",
        "search-type": "page",
        "search-system": "page",
        "search-compartment": "page",
        "everything": "page",
        "evaluate-measure": "page",
        "read": "record",
        "lineage": "record",
        "vread": "page",
        "history-instance": "page",
        "history-type": "page",
        "history-system": "page",
        "transaction": "write",
        "create": "change",
        "update": "change",
        "patch": "change",
        "delete": "change",
    }
