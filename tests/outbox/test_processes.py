"""Servers and tellers in processes of their own, killed in the middle of their work; SEED repeats a run."""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.outbox import Outbox
from tests.concurrency.writers import WAIT, patient, patient_id, serving
from tests.outbox.changes import change, put
from tests.outbox.receiver import Done, Fault, Receiver
from tests.postgres_server import Server

SEED = int(os.environ.get("SEED", "0")) or secrets.randbelow(2**32)
PATIENTS, VERSIONS = 4, 4
QUICK = {"TIMEOUT": "1", "LEASE": "3", "FIRST_WAIT": "0.05", "LONGEST_WAIT": "0.2"}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver that the settings name; it listens when it is told to."""
    made = Receiver()
    with made.listening():
        for name, value in {"URL": made.url, **QUICK}.items():
            monkeypatch.setenv(f"FHIR_FACADE_OUTBOX_{name}", value)
    made.let_go.clear()
    return made


def until(holds: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def write(client: httpx.Client, number: int, version: int) -> None:
    resource = {**patient(number, f"v{version}"), "id": patient_id(number)}
    assert client.put(f"/Patient/{patient_id(number)}", json=resource).status_code in (200, 201)


def counts(client: httpx.Client) -> dict[str, int]:
    answer = client.get(f"{str(client.base_url).removesuffix('fhir/')}outbox/status")
    assert answer.status_code == 200
    found: dict[str, int] = answer.json()["changes"]
    return found


def test_each_change_arrives_once_whatever_fails_and_dies(
    postgres: Server, tmp_path: Path, receiver: Receiver, mapping_set: MappingSet
) -> None:
    print(f"seed {SEED}")
    place = Location(postgres.fresh())
    open_store(place, mapping_set.kinds, mapping_set.search.columns).close()
    draw = random.Random(SEED)
    faults: list[Fault | None] = [None, None, None, "lose", "hang up", (503, {"Retry-After": "0"}, b"")]
    receiver.faults = lambda done: draw.choice(faults)
    with serving(place, tmp_path, "--workers", "2") as server, server.client() as client:
        for version in range(1, VERSIONS):
            for number in range(1, PATIENTS + 1):
                write(client, number, version)
        assert sum(counts(client).values()) == PATIENTS * (VERSIONS - 1)  # nobody listens yet
        with receiver.listening():
            until(lambda: len(receiver.done) > PATIENTS, "nothing arrives")
            server.kill()
    with serving(place, tmp_path) as server, server.client() as client:
        for number in range(1, PATIENTS + 1):
            write(client, number, VERSIONS)
        with receiver.listening():
            until(lambda: counts(client)["delivered"] == PATIENTS * VERSIONS, "something is left")
        assert server.stop() == 0
    assert len({done.key for done in receiver.done}) == len(receiver.done) == PATIENTS * VERSIONS
    for number in range(1, PATIENTS + 1):
        told = receiver.of(f"Patient/{patient_id(number)}")
        assert [done.body["name"][0]["family"] for done in told] == [f"v{each}" for each in range(1, VERSIONS + 1)]
        assert [done.headers["Outbox-Change"] for done in told] == ["create", *["update"] * (VERSIONS - 1)]
    assert len(receiver.tried) > len(receiver.done)


@contextmanager
def telling(place: Location) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "fhir_facade.cli", "outbox", "deliver", "--db", place.text]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_another_teller_takes_over_from_one_that_is_killed(
    tmp_path: Path, receiver: Receiver, mapping_set: MappingSet
) -> None:
    place = Location(tmp_path / "told.db")

    def faults(done: Done) -> Fault | None:
        return "hold" if not receiver.held.is_set() else None

    receiver.faults = faults
    store = open_store(place, mapping_set.kinds, mapping_set.search.columns)
    outbox = Outbox(store)
    outbox.make()
    put(store, outbox, *(change(0, number) for number in range(3)))
    with ExitStack() as stack:
        stack.enter_context(receiver.listening())
        first = stack.enter_context(telling(place))
        until(receiver.held.is_set, "nothing is asked")
        first.send_signal(signal.SIGKILL)
        second = stack.enter_context(telling(place))
        until(lambda: len(receiver.done) == 3, "nobody takes over")
        receiver.let_go.set()  # what the first asked for is carried out at last, and known already
        until(lambda: outbox.counts()[0].changes == 3, "not all is settled")
        second.send_signal(signal.SIGTERM)
        assert second.wait(WAIT) == 0
    with outbox.reading() as connection:
        assert outbox.lease(connection).holder == ""
    store.close()
    names = [change(0, number).change for number in range(3)]
    assert [done.key for done in receiver.done] == names
    assert receiver.tried == [names[0], *names]
