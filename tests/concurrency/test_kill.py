"""A server that is killed in the middle of its work has kept all that it acknowledged, and nothing by half.

KILLS says how often it is killed over each store; SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from tests.concurrency.writers import Running, condition, history, patient, patient_id, serving, versions

KILLS = int(os.environ.get("KILLS", "3"))
SEED = int(os.environ.get("SEED", "0")) or secrets.randbelow(2**32)
WRITERS = 8
IN_A_BUNDLE = 4
PATIENT = "Patient"


class Writing(threading.Thread):
    """One client that writes patients of its own until the server goes, and remembers what was acknowledged."""

    def __init__(self, server: Running, number: int, turn: int, draw: random.Random) -> None:
        super().__init__(daemon=True)
        self.server, self.draw = server, draw
        self.next = (turn * WRITERS + number) * 10_000 + 1
        self.kept: dict[int, tuple[str, str | None]] = {}  # by number: the ETag, and the name; None when deleted
        self.doubtful: set[int] = set()  # asked for, and not answered
        self.bundles: list[list[int]] = []
        self.faults: list[str] = []

    def run(self) -> None:
        try:
            with self.server.client() as client:
                while not self.faults:
                    self.step(client)
        except (httpx.TransportError, OSError):
            return

    def fresh(self) -> int:
        self.next += 1
        return self.next

    def step(self, client: httpx.Client) -> None:
        known = [number for number, (_, name) in self.kept.items() if name is not None]
        act = self.draw.choice(["create", "condition", "bundle", "bundle", "update", "patch", "delete"])
        if act in ("update", "patch", "delete") and not known:
            act = "create"
        number = self.fresh() if act in ("create", "condition", "bundle") else self.draw.choice(known)
        name = f"{act}-{self.draw.randrange(10**9)}"
        place = f"/Patient/{patient_id(number)}"
        if act == "bundle":
            numbers = [number, *(self.fresh() for _ in range(IN_A_BUNDLE - 1))]
            self.bundles.append(numbers)
            self.doubtful.update(numbers)
            entries = [
                {"resource": patient(each, name), "request": {"method": "POST", "url": PATIENT}} for each in numbers
            ]
            answer = client.post("/", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
            self.check(answer, 200)
            for each, said in zip(numbers, answer.json()["entry"], strict=True):
                self.kept[each] = (said["response"]["etag"], name)
            self.doubtful.difference_update(numbers)
            return
        self.doubtful.add(number)
        if act == "create":
            answer = client.post("/Patient", json=patient(number, name))
        elif act == "condition":
            answer = client.post("/Patient", json=patient(number, name), headers={"If-None-Exist": condition(number)})
        elif act == "update":
            answer = client.put(place, json={**patient(number, name), "id": patient_id(number)})
        elif act == "patch":
            answer = client.patch(
                place,
                json=[{"op": "replace", "path": "/name/0/family", "value": name}],
                headers={"Content-Type": "application/json-patch+json"},
            )
        else:
            answer = client.delete(place)
        self.check(answer, {"create": 201, "condition": 201, "delete": 204}.get(act, 200))
        self.kept[number] = (answer.headers["etag"], None if act == "delete" else name)
        self.doubtful.discard(number)

    def check(self, answer: httpx.Response, status: int) -> None:
        if answer.status_code != status:
            self.faults.append(f"{answer.status_code}: {answer.text}")
            raise OSError


@pytest.fixture
def place(new_place: Callable[[], Location], mapping_set: MappingSet) -> Location:
    made = new_place()
    open_store(made, mapping_set.kinds, mapping_set.search.columns).close()
    return made


def test_what_was_acknowledged_outlives_the_server(place: Location, tmp_path: Path) -> None:
    print(f"seed {SEED}")
    draw = random.Random(SEED)
    acknowledged, waits = 0, list[float]()
    writers: list[Writing] = []
    for turn in range(KILLS + 1):
        with serving(place, tmp_path) as server:
            waits.append(server.seconds)
            for writer in writers:
                acknowledged += judged(server, writer)
            if turn == KILLS:
                break
            writers = [Writing(server, n, turn, random.Random(f"{SEED} {turn} {n}")) for n in range(WRITERS)]
            for writer in writers:
                writer.start()
            time.sleep(draw.uniform(0.005, 1.5))
            server.kill()
            for writer in writers:
                writer.join()
                assert not writer.faults
    print(
        {
            "kills": KILLS,
            "acknowledged": acknowledged,
            "ready after": f"{sorted(waits)[len(waits) // 2]:.2f} s, at most {max(waits):.2f} s",
        }
    )
    assert acknowledged


def judged(server: Running, writer: Writing) -> int:
    """How many resources were acknowledged; all are there as they were told to be, and Bundles wholly or not."""
    with server.client() as client:
        for number, (etag, name) in writer.kept.items():
            place = f"/Patient/{patient_id(number)}"
            entries = history(client, place)
            numbers = versions(entries)
            assert numbers == list(range(1, len(numbers) + 1)), (place, numbers)
            told = next(each for each in entries if each["response"]["etag"] == etag)
            shown = told["resource"]["name"][0]["family"] if "resource" in told else None
            assert shown == name
            if number not in writer.doubtful:
                assert told is entries[-1]
                assert client.get(place).status_code == (410 if name is None else 200)
        for numbers in writer.bundles:
            there = set()
            for each in numbers:
                with suppress(KeyError):
                    there.add(bool(versions_of(client, f"/Patient/{patient_id(each)}")))
            assert len(there) == 1, numbers
    return len(writer.kept)


def versions_of(client: httpx.Client, place: str) -> Any:
    answer = client.get(f"{place}/_history")
    assert answer.status_code in (200, 404)
    return answer.status_code == 200


def test_what_was_begun_is_answered_when_the_server_is_asked_to_end(place: Location, tmp_path: Path) -> None:
    """What was not answered was not begun either: nothing of it is stored."""
    print(f"seed {SEED}")
    with serving(place, tmp_path) as server:
        writers = [Writing(server, n, 0, random.Random(f"{SEED} end {n}")) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        while sum(len(writer.kept) for writer in writers) < 10 * WRITERS:
            time.sleep(0.01)
        assert server.stop() == 0
        for writer in writers:
            writer.join()
            assert not writer.faults
    with serving(place, tmp_path) as server, server.client() as client:
        for writer in writers:
            assert judged(server, writer)
            for number in writer.doubtful:
                answer = client.get(f"/Patient/{patient_id(number)}")
                etag, name = writer.kept.get(number, ("", None))
                assert (answer.status_code == 200) == (name is not None)
                assert answer.status_code != 200 or answer.headers["etag"] == etag
