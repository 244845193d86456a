"""Many clients at once: one resource for one key, no update lost, no server fault; on both stores, with two workers.

CLIENTS, CREATES and UPDATES make it larger (64, 500 and 5000 is the whole); SEED repeats the order of keys.
"""

from __future__ import annotations

import os
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from tests.concurrency.writers import Running, condition, history, patient, patient_id, serving, together, versions

CLIENTS = int(os.environ.get("CLIENTS", "12"))
CREATES = int(os.environ.get("CREATES", "20"))
UPDATES = int(os.environ.get("UPDATES", "160"))
WRITERS = 32
KEYS = 100
SEED = int(os.environ.get("SEED", "0")) or secrets.randbelow(2**32)


@pytest.fixture
def place(new_place: Callable[[], Location], mapping_set: MappingSet) -> Location:
    made = new_place()
    open_store(made, mapping_set.kinds, mapping_set.search.columns).close()
    return made


@pytest.fixture
def server(place: Location, tmp_path: Path) -> Iterator[Running]:
    with serving(place, tmp_path, "--workers", "2") as running:
        yield running
        assert running.stop() == 0


def test_conditional_creates_make_one_resource_for_each_key(server: Running) -> None:
    print(f"seed {SEED}")

    def work(number: int) -> Counter[tuple[int, str]]:
        draw, met = random.Random(f"{SEED} {number}"), Counter[tuple[int, str]]()
        with server.client() as client:
            for _ in range(CREATES):
                key = draw.randrange(1, KEYS + 1)
                answer = client.post("/Patient", json=patient(key), headers={"If-None-Exist": condition(key)})
                while answer.status_code == 503:  # too many wait: told to come again
                    assert answer.headers["retry-after"]
                    answer = client.post("/Patient", json=patient(key), headers={"If-None-Exist": condition(key)})
                assert answer.status_code in (200, 201), answer.text
                assert answer.json()["id"] == patient_id(key)
                met[answer.status_code, answer.json()["id"]] += 1
        return met

    met = sum(together(CLIENTS, work), Counter())
    created = [name for status, name in met if status == 201]
    assert max(met[201, name] for name in created) == 1
    with server.client() as client:
        stored = client.get("/Patient?_count=0&_total=accurate").json()["total"]
    assert stored == len(created) == len({name for _, name in met})
    print({"created": len(created), "found": sum(met.values()) - len(created)})


def test_equal_conditions_in_bundles_that_cross_make_one_resource(server: Running) -> None:
    def bundle(keys: list[int]) -> dict[str, Any]:
        entries = [
            {"resource": patient(key), "request": {"method": "POST", "url": "Patient", "ifNoneExist": condition(key)}}
            for key in keys
        ]
        return {"resourceType": "Bundle", "type": "transaction", "entry": entries}

    def work(number: int) -> Counter[str]:
        met = Counter[str]()
        with server.client() as client:
            for turn in range(max(CREATES // 10, 2)):
                keys = [1000 + turn * 3 + each for each in range(3)]
                answer = client.post("/", json=bundle(keys if number % 2 else keys[::-1]))
                assert answer.status_code == 200, answer.text
                met.update(each["response"]["location"].split("/")[-3] for each in answer.json()["entry"]
                           if each["response"]["status"].startswith("201"))  # fmt: skip
        return met

    met = sum(together(CLIENTS, work), Counter())
    assert set(met.values()) == {1}
    assert len(met) == 3 * max(CREATES // 10, 2)


def test_of_updates_of_one_version_one_wins(server: Running) -> None:
    place = f"/Patient/{patient_id(1)}"
    with server.client() as client:
        assert client.post("/Patient", json=patient(1)).status_code == 201

    def work(number: int) -> list[str]:
        won = []
        with server.client() as client:
            for turn in range(UPDATES // WRITERS):
                read = client.get(place)
                sent = {**read.json(), "name": [{"family": f"{number}-{turn}"}]}
                answer = client.put(place, json=sent, headers={"If-Match": read.headers["etag"]})
                assert answer.status_code in (200, 412), answer.text
                if answer.status_code == 200:
                    won.append(f"{number}-{turn}")
        return won

    won = [name for each in together(WRITERS, work) for name in each]
    with server.client() as client:
        entries = history(client, place)
    assert versions(entries) == list(range(1, len(won) + 2))
    names = [each["resource"]["name"][0]["family"] for each in entries[1:]]
    assert sorted(names) == sorted(won)
    print({"attempts": UPDATES // WRITERS * WRITERS, "won": len(won)})
