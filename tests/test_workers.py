"""`serve --workers`: real processes at one address, watched by their parent."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.resources import data_root
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into

WAIT = 90  # seconds until a test gives up
NOW = "2026-01-01T10:00:00.000Z"
STAYS = 12


@pytest.fixture(scope="module")
def database(mapping_set: MappingSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("workers") / "served.db"
    store = SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, STAYS, 1, NOW)
    store.close()
    return path


class Parent:
    """The parent process, where it answers, and what it and its workers have logged."""

    def __init__(self, process: subprocess.Popen[str], base: str, log: Path) -> None:
        self.process, self.base, self.log = process, base, log

    def told(self, event: str) -> list[dict[str, Any]]:
        lines = [orjson.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    def workers(self) -> set[int]:
        """The children that are there."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return {int(each) for each in found}

    def get(self, path: str) -> httpx.Response:
        """On a connection of its own, so that any worker may take it."""
        with httpx.Client(trust_env=False, timeout=WAIT) as client:
            return client.get(path if path.startswith("http") else f"{self.base}{path}")

    def answering(self) -> str:
        """Which worker answered: its request ids begin with letters of its own."""
        return self.get("/metadata?_summary=true").headers["x-request-id"].partition("-")[0]


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


@contextmanager
def served(folder: Path, database: Path, *options: str, code: int = 0) -> Iterator[Parent]:
    command = [sys.executable, "-m", "fhir_facade.cli", "serve", "--db", str(database), "--port", "0", *options]
    log = folder / "log"
    with log.open("w") as said:
        environment = os.environ | {"FHIR_FACADE_LOG_LEVEL": "info"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment) as process:
            assert process.stdout is not None
            found = re.match(r"FHIR R4 at (\S+)", line := process.stdout.readline())
            try:
                assert found, (line, log.read_text())
                yield Parent(process, found[1], log)
            finally:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
                process.wait(WAIT)
    assert process.returncode == code, log.read_text()


def is_gone(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True


def test_all_workers_answer_and_follow_each_others_links(database: Path, tmp_path: Path) -> None:
    with served(tmp_path, database, "--workers", "2") as parent:
        workers = parent.workers()
        assert len(workers) == 2
        seen: set[str] = set()
        until(lambda: seen.add(parent.answering()) or len(seen) == 2)  # type: ignore[func-returns-value]
        took, ids, url = set(), [], "/Encounter?_count=1"
        while url:
            answer = parent.get(url)
            assert answer.status_code == 200, answer.text
            took.add(answer.headers["x-request-id"].partition("-")[0])
            ids += [entry["resource"]["id"] for entry in answer.json().get("entry", ())]
            url = next((each["url"] for each in answer.json()["link"] if each["relation"] == "next"), "")
        assert len(ids) == len(set(ids)) > 5
        assert took == seen  # a page of one worker led to one of the other
        versions = {parent.get(f"/Encounter/{ids[0]}").headers["etag"] for _ in range(8)}
        assert len(versions) == 1
        parent.process.send_signal(signal.SIGTERM)
        parent.process.wait(WAIT)
        assert all(map(is_gone, workers))
    assert len(parent.told("worker_begun")) == 2
    assert {line["event"] for line in map(orjson.loads, parent.log.read_text().splitlines())} <= {
        "worker_begun",
        "request",
    }


def test_a_worker_that_dies_is_begun_again_and_others_answer_meanwhile(database: Path, tmp_path: Path) -> None:
    with served(tmp_path, database, "--workers", "2") as parent:
        first = parent.workers()
        os.kill(min(first), signal.SIGKILL)
        until(lambda: len(parent.told("worker_died")) == 1)
        assert parent.get("/metadata?_summary=true").status_code == 200
        until(lambda: len(parent.workers() - first) == 1)
        assert parent.told("worker_died")[0]["number"] == -signal.SIGKILL
        seen: set[str] = set()
        until(lambda: seen.add(parent.answering()) or len(seen) == 2)  # type: ignore[func-returns-value]


def test_workers_whose_parent_is_killed_end_too(database: Path, tmp_path: Path) -> None:
    with served(tmp_path, database, "--workers", "2", code=-signal.SIGKILL) as parent:
        workers = parent.workers()
        parent.process.kill()
        until(lambda: all(map(is_gone, workers)))


def test_it_gives_up_when_workers_die_again_and_again(database: Path, tmp_path: Path) -> None:
    with served(tmp_path, database, "--workers", "1", "--workers", "2", code=2) as parent:
        killed: set[int] = set()
        while parent.process.poll() is None:
            with suppress(OSError):
                for pid in parent.workers() - killed:
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            time.sleep(0.01)
        assert len(killed) >= 10
        assert all(map(is_gone, killed))


def test_a_hangup_changes_the_mappings_of_all(database: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mappings"
    shutil.copytree(data_root("mappings"), folder)
    environment = {"FHIR_FACADE_MAPPINGS": str(folder)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with served(tmp_path, database, "--workers", "2", "--reload-mappings", "3600") as parent:
            before = parent.get("/Encounter?_count=1").json()["entry"][0]["resource"]["meta"]["versionId"]
            path = folder / "opphold.encounter.yaml"
            path.write_text(path.read_text().replace("\nversion: ", "\nversion: 9."))
            parent.process.send_signal(signal.SIGHUP)
            until(lambda: len(parent.told("mappings")) == 2)
            after = {
                parent.get("/Encounter?_count=1").json()["entry"][0]["resource"]["meta"]["versionId"] for _ in range(8)
            }
            assert len(after) == 1
            assert before not in after


def test_a_signal_right_after_the_address_ends_it_in_order(database: Path, tmp_path: Path) -> None:
    with served(tmp_path, database) as parent:
        parent.process.send_signal(signal.SIGTERM)
        parent.process.wait(WAIT)


HURRIED = """
import os, signal
from fhir_facade.workers import run_workers

def work(place):
    place.begun()
    while True:
        signal.pause()

run_workers(4, work, lambda: None, lambda event, number: os.write(1, b"."))
"""


def test_a_worker_that_has_just_begun_hears_that_it_is_to_end() -> None:
    """The parent is told to end while it begins them, so that the last is told in its first moments."""
    for attempt in range(40):
        with subprocess.Popen([sys.executable, "-c", HURRIED], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.read(1 + attempt % 4)
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(20) == 0
            except subprocess.TimeoutExpired:
                for each in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                    os.kill(int(each), signal.SIGKILL)
                raise
