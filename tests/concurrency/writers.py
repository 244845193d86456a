"""A server in processes of its own over a store, small resources to write there, and clients that write at once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from fhir_facade.store.location import Location
from tests.bundles.case_files import id_of, resource

WAIT = 120
JSON = {"Content-Type": "application/fhir+json"}


class Running:
    """A server that answers at `base`."""

    def __init__(self, process: subprocess.Popen[str], base: str, seconds: float) -> None:
        self.process, self.base, self.seconds = process, base, seconds

    def kill(self) -> None:
        """End the server and its workers without a word."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(WAIT)

    def stop(self) -> int:
        """Ask the server to end; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.base, headers=JSON, timeout=WAIT, trust_env=False)


@contextmanager
def serving(place: Location, folder: Path, *options: str) -> Iterator[Running]:
    """Serve a store until the block is left; what is still there then is killed."""
    command = [sys.executable, "-m", "fhir_facade.cli", "serve", "--db", place.text, "--port", "0", *options]
    began = time.monotonic()
    with (folder / "stderr").open("a") as said:
        environment = os.environ | {"FHIR_FACADE_LOG_LEVEL": "error"}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment, start_new_session=True
        )
        with process:
            assert process.stdout is not None
            try:
                line = process.stdout.readline()
                found = re.match(r"FHIR R4 at (\S+)", line)
                assert found, (line, (folder / "stderr").read_text())
                with httpx.Client(trust_env=False, timeout=WAIT) as client:
                    assert client.get(f"{found[1]}/metadata?_summary=true").status_code == 200
                yield Running(process, found[1], time.monotonic() - began)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


def together(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What each of so many threads makes; the first fault of any is raised."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def patient(number: int, family: str = "") -> dict[str, Any]:
    """A small patient with a number of its own."""
    made = resource(f"patient {number}")
    return {**made, "name": [{"family": family}]} if family else made


def patient_id(number: int) -> str:
    return id_of("patient", str(number))


def condition(number: int) -> str:
    """The search that finds one patient."""
    identifier = patient(number)["identifier"][0]
    return f"identifier={identifier['system']}|{identifier['value']}"


def history(client: httpx.Client, place: str) -> list[dict[str, Any]]:
    """All versions of a resource, the oldest first."""
    entries: list[dict[str, Any]] = []
    url: str | None = f"{place}/_history?_count=200"
    while url:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        entries += bundle.get("entry", [])
        url = next((each["url"] for each in bundle["link"] if each["relation"] == "next"), None)
    return entries[::-1]


def versions(entries: Iterable[dict[str, Any]]) -> list[int]:
    """The numbers of versions."""
    return [int(each["response"]["etag"][3:].split("-")[0]) for each in entries]
